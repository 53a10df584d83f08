"""What a page opens with: what came out, in a sentence and a small chart, and what is missing.

The chart goes from the untrained network to the last merge step, the one selected without labels, and the
best one, with a dot for every seed. It shows the base configuration and, of a search, the one that would be
chosen: on fresh seeds where it was confirmed, else the run that it was chosen by.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
from markupsafe import Markup

from analysis.charts.style import BLACK, BLUE, GREY, rows, shapes
from analysis.charts.style import told as tooltip
from analysis.data.changes import changed_in_base
from analysis.data.published import final_setting
from analysis.data.results import Group, Study
from analysis.data.runs import Run, by_score, by_seed, runs, runs_of, steps_told, unlabelled
from analysis.page.frame import chart, command, render
from analysis.page.typeset import number, p_value
from analysis.stats.confirmed import confirmation
from analysis.stats.findings import CURVE, Finding
from analysis.stats.measures import HEADINGS, measures_of
from analysis.stats.unlabelled import HEADINGS as SCORE_HEADINGS
from analysis.stats.unlabelled import scores_known
from search_spaces.paper import BOUND, BOUND_LABEL, BOUND_NOTE, FINAL
from search_spaces.rivals import RIVAL_LABELS, RIVAL_PLANS, RIVALS
from study.decide.confirmation import SEARCHED
from study.record.intervals import FEWEST_SEEDS, MISSING, estimate, interval_text
from study.record.ledger import FINISHED, TrialRecord
from study.show.next_command import confirm_command, next_command, retry_command

_SIGNS = {1: "better", 0: "not decided", -1: "worse"}
_STEPS = ("untrained", "last", "selected", "best")


@dataclass(frozen=True)
class Standing:
    """A configuration that the answer tells of, and its runs, one for each seed."""

    name: str
    runs: tuple[Run, ...]
    changes: str = ""  # what it changes in the base
    chosen_by: bool = False  # its one run is the luckiest of a search


def answer(group: Group, judged: Sequence[Finding] = ()) -> Markup:
    """The sentence, the chart and the line of what is missing, of one group; judged: a page's findings."""
    said, drawn = _without_labels(group) if unlabelled(group) else _with_labels(group)
    said = " ".join(filter(None, [said, _claims(group, judged)]))
    missing = next(_missing(group), None)
    return render(
        "answer.html",
        name=group.name,
        said=said,
        chart=drawn,
        missing=missing[0] if missing else "",
        command=command(missing[1]) if missing else "",
    )


def standings(group: Group) -> list[Standing]:
    """The base, the search's choice, the rivals and the bound, as far as they were run."""
    found = runs(group)
    base = runs_of(found, FINAL)
    told = [Standing(_whose(group), tuple(base))] if base else []
    told += _choice(found, group)
    asked = {study.plan.experiments for study in group.studies}
    for plan in RIVAL_PLANS:
        for row in RIVALS if plan in asked else ():
            experiment = f"{plan}/{row}"
            rivals = [run for run in runs_of(found, experiment) if run not in base]
            if rivals:
                told.append(Standing(RIVAL_LABELS[experiment], tuple(rivals)))
    bound = runs_of(found, BOUND)
    return [*told, Standing(BOUND_LABEL, tuple(bound))] if bound else told


def _whose(group: Group) -> str:
    return f"{group.whose} configuration"


def _choice(found: Sequence[Run], group: Group) -> list[Standing]:
    """The configuration that the group's search would choose: confirmed ones by their fresh runs."""
    study = next((study for study in group.studies if study.plan.space is not None), None)
    if study is None:
        return []
    drawn = [run for run in found if run.trial.origin in SEARCHED and not run.diverged]
    drawn = [run for run in drawn if FINAL not in run.experiments]
    if not drawn:
        return []
    value = {run.setting: run.trial.objective_value(study.plan.objective) or 0.0 for run in drawn}
    fresh: dict[str, list[Run]] = {}
    for run in found:
        if run.trial.origin == "confirm" and run.setting in value:
            fresh.setdefault(run.setting, []).append(run)
    confirmed = {setting: members for setting, members in fresh.items() if len(members) > 1}
    best = max(drawn, key=lambda run: value[run.setting])
    if not confirmed:
        name = f"the search's best, trial {best.trial.number}"
        return [Standing(name, (best,), changed_in_base(best.config, group), chosen_by=True)]
    at = "selected" if study.plan.objective == "unlabelled" else study.plan.objective

    def mean(setting: str) -> float:
        return sum(run.value("mAP", at) for run in confirmed[setting]) / len(confirmed[setting])

    setting = max(confirmed, key=mean)
    run = next(run for run in drawn if run.setting == setting)
    name = f"the search's choice, trial {run.trial.number}, on fresh seeds"
    return [Standing(name, tuple(confirmed[setting]), changed_in_base(run.config, group))]


# --- with labels


def _with_labels(group: Group) -> tuple[str, Markup]:
    told = standings(group)
    if not told:
        measured = sum(trial.measured for study in group.studies for trial in study.trials)
        known = f"{number(measured, 'trial')} {'has' if measured == 1 else 'have'} been measured"
        return f"No run has ended yet; {known}.", Markup()
    return " ".join(_sentences(told, group)), chart(answer_chart(told, group), _caption(told, group))


def _sentences(told: Sequence[Standing], group: Group) -> Iterator[str]:
    first, *others = told
    count = len(first.runs)
    runs_told = {1: "one run", 2: "two seeds"}.get(count, f"{count} seeds, 95 % interval")
    begin = _told(first, "untrained")
    origin = f"from an mAP of {begin} % untrained " if begin != MISSING else "to an mAP "
    text = f"{_capital(first.name)} comes {origin}to {_told(first, 'last')} % at its last merge step"
    diverged = sum(run.diverged for run in first.runs)
    if "selected" in steps_told(first.runs):
        text += f", {_told(first, 'selected')} % at the step selected without labels"
    yield f"{text} ({runs_told}{f', {diverged} diverged' if diverged else ''})."
    if group.has_bound:
        yield f"{BOUND_NOTE}."
    for one in others:
        value = _told(one, "last")
        if one.chosen_by:
            drawn = sum(t.origin in SEARCHED for study in group.studies for t in study.trials)
            yield f"{_capital(one.name)}, has {value} %: the best of {drawn} runs is too good by its luck."
        else:
            yield f"{_capital(one.name)}: {value} %{_against_papers(one, group)}."


def _claims(group: Group, judged: Sequence[Finding]) -> str:
    """How many of the paper's claims stand, at the last step."""
    tested = [one for one in judged if one.group is group and one.is_tested and one.at in ("last", CURVE)]
    if not tested:
        return ""
    counts = Counter(one.verdict.split(" (")[0] for one in tested)
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in sorted(counts, key=lambda v: -counts[v]))
    return f"Of {number(len(tested), 'claim')} of the paper that could be tested at the last step: {told}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _against_papers(one: Standing, group: Group) -> str:
    """What the confirmation says of the search's choice; nothing of other configurations."""
    if not one.changes:
        return ""
    of = confirmation(runs(group), group)
    if of.best is None or of.best.name != one.changes or not of.best.gain.difference.n:
        return ""
    gain = of.best.gain
    said = gain.obstacle
    if not said:
        said = f"{_SIGNS[gain.sign]}, p {p_value(gain.p)}"
        said += f" corrected for the choice among {of.judged}" if of.judged > 1 else ""
    return f", {gain.difference.text(signed=True)} points against the paper's ({said})"


def _told(one: Standing, at: str) -> str:
    """mAP with its interval over seeds; of two runs both values."""
    return estimate(by_seed(one.runs, "mAP", at)).text()


def _caption(told: Sequence[Standing], group: Group) -> str:
    text = f"Percent; a dot for every seed, a bar for their mean. Gallery: {group.protocol}."
    text += "".join(f" {_capital(one.name)}: {one.changes}." for one in told if one.changes)
    if group.is_papers:
        text += " Diamond: the paper's number, of the best step."
    if any("selected" in steps_told(one.runs) for one in told):
        text += " Selected: the step with the highest score without labels."
    return f"{text} The best step is chosen with test labels, as in the paper: it is too good by that."


def points(told: Sequence[Standing]) -> list[dict[str, Any]]:
    """A row for each configuration, step, measure and seed."""
    return [
        {
            **{"configuration": one.name, "step": at, "measure": HEADINGS[metric], "value": value},
            **{"seed": run.trial.seed, "trial": f"{run.study.name}/{run.trial.number}"},
        }
        for one in told
        for at in _STEPS
        if at == "untrained" or at in steps_told(one.runs)
        for run in one.runs
        for metric in measures_of(one.runs)
        if not math.isnan(value := run.value(metric, at))
    ]


def answer_chart(told: Sequence[Standing], group: Group) -> alt.TopLevelMixin:
    """Steps below each other, configurations side by side within a step; a select chooses the measure."""
    values = points(told)
    measures = list(dict.fromkeys(row["measure"] for row in values))
    first = HEADINGS["mAP_trapezoid" if group.is_papers else "mAP"]
    measure = alt.param(
        name="measure", value=first, bind=alt.binding_select(options=measures, name="measure ")
    )
    names = [one.name for one in told]
    steps = [at for at in _STEPS if any(row["step"] == at for row in values)]
    axis = alt.Axis(labelLimit=220, grid=True, ticks=False)
    place = {
        "y": alt.Y("step:N", sort=steps, title=None, axis=axis),
        "yOffset": alt.YOffset("configuration:N", sort=names),
    }
    looks = shapes("configuration", names)
    if len(names) == 1:
        looks = {name: look.legend(None) for name, look in looks.items()}
    else:
        looks = {name: look.legend(columns=1, labelLimit=600) for name, look in looks.items()}
    scale = alt.Scale(zero=False, nice=True, padding=12)
    base = alt.Chart(rows(values)).transform_filter("datum.measure == measure")
    means = (
        base.transform_aggregate(mean="mean(value)", runs="count()", groupby=["configuration", "step"])
        .mark_tick(thickness=3, size=16)
        .encode(
            x=alt.X("mean:Q", title="percent"), color=looks["color"], **place,
            tooltip=tooltip(("configuration", "configuration"), ("step", "step"), ("mean", "mean", ".1f"),
                            ("runs", "runs", "d")),
        )
    )  # fmt: skip
    seeds = base.mark_point(filled=True, opacity=0.75, size=45).encode(
        x=alt.X("value:Q", title="percent", scale=scale), **looks, **place,
        tooltip=tooltip(("configuration", "configuration"), ("step", "step"), ("value", "value", ".1f"),
                        ("seed", "seed"), ("trial", "trial")),
    )  # fmt: skip
    layers = [means, seeds]
    printed = final_setting(group.dataset) if group.is_papers else None
    if printed is not None:
        paper = [
            {"step": "best", "measure": HEADINGS["mAP_trapezoid"], "value": printed.mAP},
            {"step": "best", "measure": HEADINGS["rank1"], "value": printed.rank1},
        ]
        layers.append(
            alt.Chart(rows(paper))
            .transform_filter("datum.measure == measure")
            .mark_point(shape="diamond", filled=True, color=BLACK, size=110)
            .encode(x=alt.X("value:Q"), y=place["y"], tooltip=tooltip(("value", "paper", ".1f")))
        )
    height = len(steps) * max(len(names) * 14, 26)
    made = alt.layer(*layers).properties(width="container", height=height)
    return made.add_params(measure)


# --- without labels


def _without_labels(group: Group) -> tuple[str, Markup]:
    found = by_score(group)
    best = next((run for run in found if run.trial.state == "complete"), None)
    if best is None:
        return "No trial is complete yet; nothing is chosen.", Markup()
    row, step, untrained = best.trial.selected, best.selected_step, best.trial.steps.get(0, {})
    score = row.get("unlabelled")
    before = untrained.get("unlabelled")
    ended = sum(trial.state in FINISHED for study in group.studies for trial in study.trials)
    text = (
        f"Of {number(ended, 'trial')} the score without labels chooses trial {best.trial.number} at merge "
        f"step {step} of {best.trial.total_steps}"
    )
    if score is not None:
        text += f": {interval_text(100 * score)} %"
        text += f", untrained {interval_text(100 * before)} %" if before is not None else ""
    text += (
        f". Its {row['classes_after']:,} classes hold {group.train_tracklets:,} tracklets, the largest "
        f"{row['class_size_max']:,} ({changed_in_base(best.config, group)})."
    )
    return text, chart(
        scores_chart(best),
        "Percent: scores of the untrained network and of the chosen step. No score is an accuracy: none "
        "knows who is who. Of camera excess and exclusivity the lower is the better.",
    )


def scores_chart(run: Run) -> alt.TopLevelMixin:
    """From the untrained network's scores to those of the selected step."""
    names = scores_known([run])
    values = [
        {"score": SCORE_HEADINGS[name], "at": at, "value": 100 * row[name]}
        for at, row in (("untrained", run.trial.steps.get(0, {})), ("selected", run.trial.selected))
        for name in names
        if row.get(name) is not None
    ]
    base = alt.Chart(rows(values)).encode(
        x=alt.X("value:Q", title="percent", scale=alt.Scale(zero=False, padding=12)),
        y=alt.Y("score:N", sort=[SCORE_HEADINGS[name] for name in names], title=None),
    )
    lines = base.mark_line(color="#bbb", strokeWidth=2).encode(detail="score:N")
    ats = ["untrained", "selected"]
    dots = base.mark_point(filled=True, size=80).encode(
        color=alt.Color("at:N", sort=ats, title=None, scale=alt.Scale(domain=ats, range=[GREY, BLUE])),
        shape=alt.Shape(
            "at:N", sort=ats, title=None, scale=alt.Scale(domain=ats, range=["circle", "square"])
        ),
        tooltip=tooltip(("score", "score"), ("at", "at"), ("value", "value", ".1f")),
    )
    return alt.layer(lines, dots).properties(width="container", height=26 * len(names))


# --- what is missing


def _missing(group: Group) -> Iterator[tuple[str, str]]:
    """(what is missing, the command for it), the most urgent first."""
    for study in group.studies:
        yield from _unfinished(study)
    if unlabelled(group):
        return
    found = runs(group)
    seeds = len({run.trial.seed for run in runs_of(found, FINAL)})
    confirmed = any(run.trial.origin == "confirm" for run in found)
    for study in group.studies:
        if study.plan.space is not None and not confirmed:
            yield (
                "The search's best is not confirmed on seeds that had no part in the choice. To confirm it:",
                confirm_command(study.plan),
            )
        if study.plan.experiments is not None and seeds < FEWEST_SEEDS:
            yield (
                f"{number(seeds, 'seed')}: an interval and a verdict take {FEWEST_SEEDS}. More seeds:",
                next_command(study.plan, complete=True).removeprefix("more seeds: "),
            )


def _unfinished(study: Study) -> Iterator[tuple[str, str]]:
    """Runs that have not begun, or not ended, or failed."""
    running, failed = (sum(t.state == state for t in study.trials) for state in ("running", "failed"))
    wanted, what = study.plan.samples, "trial"
    if study.plan.experiments is not None:
        wanted, what = len(study.plan.fixed_items()), "run"
    left = wanted - sum(_counts(trial) for trial in study.trials)
    going = next_command(study.plan, complete=False).removeprefix("to go on: ")
    if left > failed:
        yield f"{left} of {number(wanted, what)} of {study.name} not finished. To go on:", going
    elif running:
        yield f"{number(running, what)} of {study.name} not finished. To go on:", going
    if failed:
        yield (
            f"{number(failed, 'trial')} of {study.name} failed (see below). Again:",
            retry_command(study.plan),
        )


def _counts(trial: TrialRecord) -> bool:
    return trial.state in FINISHED and trial.origin != "confirm"

"""The paper's Tables 1 to 5, the audit of leaks and the α table, computed from the runs of a group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.data import paper
from analysis.data.paper import Published
from analysis.data.results import Group
from analysis.data.runs import AT, Run, count, of_experiment, standing
from analysis.data.symbols import CRITERIA, symbol, value
from analysis.page.typeset import MISSING, Table, mean, p_value
from analysis.stats.tests import compare
from dcreid.presets import preset
from search_spaces.paper import PLANS
from study.record.intervals import Estimate, estimate

MEASURES = ("rank1", "mAP_trapezoid", "mAP")
_HEADINGS = {
    "rank1": "rank-1",
    "rank5": "rank-5",
    "rank10": "rank-10",
    "mAP_trapezoid": "mAP trapezoid",
    "mAP": "mAP",
}


@dataclass(frozen=True)
class Ablation:
    """One of the paper's tables: the plan it comes from, what it is called, and what was printed."""

    plan: str
    title: str
    heading: str  # of the first column
    published: Mapping[str, Mapping[str, Published]]
    labels: Mapping[str, str]  # experiment to words; others are called by their value


ABLATIONS = (
    Ablation(
        "table1",
        "Table 1: the merge criterion",
        "criterion",
        paper.TABLE1,
        dict(CRITERIA),
    ),
    Ablation(
        "table2", "Table 2: memory update rate", "α", paper.TABLE2, {"table2/linear": "linearly growing"}
    ),
    Ablation("table3", "Table 3: temperature", "τ", paper.TABLE3, {}),
    Ablation("alpha", "Beyond the paper: end value and schedule of α", "α", {}, {}),
)

LEAKS = {
    "right": "as it should be",
    "zero_rows": "memory rows start at zero",
    "previous_rows": "memory rows by index from the step before",
    "identity_order": "tracklets in order of identity",
    "lambda_not_applied": "λ1 and λ2 not applied",
    "intra_pairs": "Eq (3) with 1/n² instead of 1/n",
    "intra_samples": "Eq (3) with 1/n instead of 1/n²",
    "leak": "the leak: rows by index, in order of identity",
    "public_code": "as DBC's public code: the leak, λ not applied, 1/n²",
}


def ablation_table(spec: Ablation, found: Sequence[Run], group: Group) -> Table:
    """Two rows per setting, best and last step, beside what the paper printed."""
    shown = _published_for(spec, group)
    comparable = group.is_papers_data and group.dataset in spec.published
    rows, numbers = [], []
    for experiment, _ in PLANS[spec.plan].rows(group.base):
        for at in AT:
            means = _means(found, experiment, at)
            printed = spec.published.get(group.dataset, {}).get(experiment) if comparable else None
            cells = _cells(means, group, experiment)
            for dataset in shown:
                cells += _printed_cells(spec.published[dataset].get(experiment), at)
            if comparable:
                cells += _difference_cells(means, printed, at)
            label = spec.labels.get(experiment, experiment.split("/", 1)[1])
            rows.append((label, at, count(found, experiment), *cells))
            numbers.append(_numbers(experiment, at, means, printed))
    headings = [_HEADINGS[name] for name in MEASURES] + _published_headings(shown, comparable)
    return Table(
        name=spec.plan,
        title=f"{spec.title}, {group.name}",
        columns=(spec.heading, "step", "runs", *headings),
        rows=tuple(rows),
        caption=_caption(group, found, bool(shown), comparable)
        + (" Δ is ours minus the paper's." if comparable else ""),
        numbers=pd.DataFrame(numbers),
        left=2,
    )


def others_table(found: Sequence[Run], group: Group) -> Table | None:
    """Table 4 or 5 with our row; None for data that is not the paper's."""
    if group.dataset not in paper.DATASETS:
        return None
    number, printed = ("4", paper.TABLE4) if group.dataset == "mars" else ("5", paper.TABLE5)
    rows = []
    for name, row in printed.items():
        told = [MISSING if rank is None else f"{rank:.1f}" for rank in (row.rank1, row.rank5, row.rank10)]
        rows.append((name, row.labels, MISSING, *told, f"{row.mAP:.1f}", MISSING))
    numbers = []
    measures = ("rank1", "rank5", "rank10", "mAP_trapezoid", "mAP")
    for at in AT:
        means = _means(found, "fig3/final", at, measures)
        cells = _cells(means, group, "fig3/final")
        rows.append((f"ours, {at} step", "none", count(found, "fig3/final"), *cells))
        numbers.append(_numbers("fig3/final", at, means, paper.final_setting(group.dataset)))
    return Table(
        name=f"table{number}",
        title=f"Table {number}: against others, {group.name}",
        columns=("method", "labels", "runs", *(_HEADINGS[name] for name in measures)),
        rows=tuple(rows),
        caption=_caption(group, found, True, group.is_papers_data)
        + " Labels one: one labelled tracklet per identity. The other rows are as the paper prints them.",
        numbers=pd.DataFrame(numbers),
        left=2,
    )


def leak_table(found: Sequence[Run], group: Group) -> Table:
    """What each leak and each slip of the public code is worth here, against doing it right."""
    note = "Rows taken over by index leak labels only where a person's tracklets lie side by side."
    labels = {f"leak_audit/{name}": label for name, label in LEAKS.items()}
    return _gains("leak_audit", "What leaking labels is worth", labels, note, found, group)


def choices_table(found: Sequence[Run], group: Group) -> Table:
    """What each choice that the paper leaves open is worth here, against the base."""
    base, labels = group.base, {"choices/default": "the base"}
    for experiment, changes in PLANS["choices"].rows(base):
        told = [f"{symbol(name)} {value(of)} for {value(base.flat()[name])}" for name, of in changes.items()]
        labels.setdefault(experiment, ", ".join(told))
    return _gains("choices", "What each choice is worth", labels, "", found, group)


def _gains(
    plan: str, title: str, labels: dict[str, str], note: str, found: Sequence[Run], group: Group
) -> Table:
    """Rows of a plan, each against its first."""
    rows, numbers = [], []
    experiments = [experiment for experiment, _ in PLANS[plan].rows(group.base)]
    for experiment in experiments:
        for at in AT:
            means = _means(found, experiment, at)
            first = of_experiment(found, experiments[0], "mAP_trapezoid", at)
            gain = compare((of_experiment(found, experiment, "mAP_trapezoid", at) - first).dropna())
            worth = [mean(gain.difference.mean, gain.difference.half, sign=True), p_value(gain.p)]
            if experiment == experiments[0]:
                worth = [MISSING, MISSING]
            label = labels.get(experiment, experiment)
            rows.append((label, at, count(found, experiment), *_cells(means, group, experiment), *worth))
            values = {"gain": gain.difference.mean, "gain_half": gain.difference.half, "p": gain.p}
            numbers.append(_numbers(experiment, at, means, None) | values)
    against = " Δ: against the first row, paired by seed (p: t test)."
    return Table(
        name=plan,
        title=f"{title}, {group.name}",
        columns=("variant", "step", "runs", *(_HEADINGS[name] for name in MEASURES), "Δ mAP trapezoid", "p"),
        rows=tuple(rows),
        caption=f"{_caption(group, found, False, False)}{against} {note}".strip(),
        numbers=pd.DataFrame(numbers),
        left=2,
    )


def departures(group: Group) -> str:
    """What the base configuration changes in the preset of its data set, for headings."""
    own, standard = group.base.flat(), preset(group.dataset).flat()
    drawn = group.dataset == "synthetic"
    changed = [
        f"{name} = {own[name]}"
        for name in own
        if own[name] != standard[name] and name != "seed" and (drawn or ".synthetic." not in name)
    ]
    return ", ".join(changed) or "nothing"


def _means(
    found: Sequence[Run], experiment: str, at: str, measures: Sequence[str] = MEASURES
) -> dict[str, Estimate]:
    return {name: estimate(of_experiment(found, experiment, name, at)) for name in measures}


def _cells(means: Mapping[str, Estimate], group: Group, experiment: str) -> list[str]:
    """Means with intervals, or why there are none."""
    if not any(value.n for value in means.values()):
        return [standing(group, experiment), *[MISSING] * (len(means) - 1)]
    return [mean(value.mean, value.half) for value in means.values()]


def _published_for(spec: Ablation, group: Group) -> tuple[str, ...]:
    """Whose printed numbers stand beside ours: the data set's own, else all that the paper has."""
    return (group.dataset,) if group.dataset in spec.published else tuple(spec.published)


def _published_headings(shown: tuple[str, ...], comparable: bool) -> list[str]:
    short = {"mars": "MARS", "duke": "Duke"}
    told = [f"paper {short[name]} {what}" for name in shown for what in ("rank-1", "mAP")]
    return told + (["Δ rank-1", "Δ mAP"] if comparable else [])


def _printed_cells(printed: Published | None, at: str) -> list[str]:
    if printed is None or at != "best":
        return [MISSING, MISSING]
    return [f"{printed.rank1:.1f}", f"{printed.mAP:.1f}"]


def _difference_cells(means: Mapping[str, Estimate], printed: Published | None, at: str) -> list[str]:
    if printed is None or at != "best":
        return [MISSING, MISSING]
    rank1 = mean(means["rank1"].mean - printed.rank1, sign=True)
    return [rank1, mean(means["mAP_trapezoid"].mean - printed.mAP, sign=True)]


def _caption(group: Group, found: Sequence[Run], published: bool, comparable: bool) -> str:
    text = (
        f"Percent, mean ± 95 % t interval over seeds. Gallery: {group.protocol}. best: the merge step with "
        "the highest mAP, chosen with test labels as the paper does; last: the last step, chosen without."
    )
    if any(run.diverged for run in found):
        text += " A run whose training diverged counts as 0 from there on."
    if published and found and max(Counter(run.setting for run in found).values()) == 1:
        text += " One run of each setting: no interval and no verdict (more seeds: --plan tables --seeds 5)."
    if published:
        text += " The paper's mAP is of the trapezoid kind and of the best step."
    if published and not comparable:
        text += (
            " The paper's numbers are of other data and only for orientation: MARS has 8,298 training "
            f"tracklets, DukeMTMC-VideoReID 2,196, this {group.train_tracklets:,}."
        )
    return text


def _numbers(
    experiment: str, at: str, means: Mapping[str, Estimate], printed: Published | None
) -> dict[str, Any]:
    row: dict[str, Any] = {"experiment": experiment, "at": at, "runs": means["rank1"].n}
    for name, found in means.items():
        row |= {name: found.mean, f"{name}_half": found.half}
    if printed is not None and at == "best":
        row |= {"paper_rank1": printed.rank1, "paper_mAP": printed.mAP}
    return row

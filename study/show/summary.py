"""The end of a session: the best configurations, trial 0's, the untrained network, what to type next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from rich.console import Console
from rich.table import Table
from rich.text import Text

from search_spaces.paper import BOUND_NOTE
from study.decide.confirmation import confirmed
from study.decide.session import Session
from study.plan import OBJECTIVES, StudyPlan
from study.record.intervals import MISSING
from study.record.ledger import DIVERGED_VALUE, TrialRecord
from study.show.next_command import confirm_command, models_of, next_command, retry_command
from study.show.scores import SELECTED_MEANS, by_score, cell, measured_at_selected, scores_in_words
from study.show.view import StudyView, failures, is_base, is_papers, of_session
from study.show.wording import (
    NORMALISED,
    NORMALISED_MEANS,
    changed_by_options,
    clock,
    describe_objective,
    is_bound,
    last_value,
    normalised_columns,
    parameters,
    percent,
    selected_text,
    trial_numbers,
    whose,
)

_BEST = 5
_LAST = {"mAP": "mAP", "mAP_trapezoid": "trapez.", "rank1": "rank-1"}
_UNTRAINED = {"mAP": "mAP", "mAP_trapezoid": "trapezoid", "rank1": "rank-1"}
# Heading to what stands below it for a trial.
Columns: TypeAlias = dict[str, Callable[[TrialRecord], str]]


def summary(session: Session, console: Console) -> None:
    """Prints it; 80 columns are enough."""
    view, plan = of_session(session), session.plan
    ranking = view.ranking()
    if ranking:
        _print_ranking(ranking, plan, console)
    _print_measures(session, view.trials, console)
    chosen = view.best()
    if chosen is not None and OBJECTIVES[plan.objective] == "unlabelled":
        _print_chosen(chosen, console)
    if plan.confirm:
        _print_confirmed(view.trials, plan, console)
    elif plan.space is not None and ranking:
        console.print(
            f"the best of a search is optimistic; to confirm it on fresh seeds: {confirm_command(plan)}",
            soft_wrap=True,
        )
    _print_saved(view, session.gpus_per_trial, console)
    for (state, reason), numbers in failures(view.trials).items():
        console.print(f"{trial_numbers(numbers)} {state}: {reason}", style="red", soft_wrap=True)
    for place, problem in session.ledger.set_aside.items():
        console.print(f"{place} was set aside: {problem}", style="yellow", soft_wrap=True)
    console.print(f"results: {plan.folder}/results.parquet, one row per trial and merge step", soft_wrap=True)
    for line in models_of(plan):
        console.print(line, soft_wrap=True)
    if view.any_failed:
        console.print(f"failed trials again, from their checkpoints: {retry_command(plan)}", soft_wrap=True)
    console.print(next_command(plan, view.queue.complete), soft_wrap=True)


def _print_ranking(ranking: Sequence[TrialRecord], plan: StudyPlan, console: Console) -> None:
    """Every run of a plan, or the best of a search; trial 0's and the paper's configuration in any case."""
    always = [trial for trial in ranking if is_base(trial, plan) or is_papers(trial, plan)]
    best = ranking if plan.experiments is not None else ranking[:_BEST]
    console.print(f"configurations by {describe_objective(plan.objective)}:", soft_wrap=True)
    told = _scores(ranking) if by_score(ranking, plan) else _retrieval(ranking)
    table = _table("trial", *told)
    for trial in (*best, *(trial for trial in always if trial not in best)):
        diverged = " (diverged)" if trial.state == "diverged" else ""
        cells = (tell(trial) for tell in told.values())
        table.add_row(_number(trial, plan), *cells, parameters(trial, plan) + diverged)
    console.print(table)
    if any(map(is_bound, ranking)):
        console.print(BOUND_NOTE, soft_wrap=True)
    if any(is_base(trial, plan) for trial in ranking):
        console.print(f"* {whose(plan)} configuration{changed_by_options(plan)}")
    if any(is_papers(trial, plan) and not is_base(trial, plan) for trial in ranking):
        console.print("† the paper's configuration")


def _retrieval(ranking: Sequence[TrialRecord]) -> Columns:
    """At the last step, the best one and the selected one."""

    def at_last(name: str) -> Callable[[TrialRecord], str]:
        def tell(trial: TrialRecord) -> str:
            return percent(DIVERGED_VALUE if trial.state == "diverged" else last_value(trial, name))

        return tell

    found: Columns = {heading: at_last(name) for name, heading in _LAST.items()}
    found["best"] = lambda trial: percent(max(trial.curve().values(), default=None))
    found["step"] = lambda trial: str(trial.highest_step("mAP") or MISSING)
    if any(trial.selected for trial in ranking):
        found["selected"] = lambda trial: selected_text(trial, "mAP")
    return found | {heading: at_last(name) for name, heading in normalised_columns(ranking).items()}


def _scores(ranking: Sequence[TrialRecord]) -> Columns:
    """At the selected step."""

    def at_selected(name: str) -> Callable[[TrialRecord], str]:
        return lambda trial: cell(trial.selected, name)

    found: Columns = {"selected": lambda trial: selected_text(trial, "unlabelled")}
    of_selected = measured_at_selected(ranking)
    return found | {heading: at_selected(name) for name, heading in of_selected.items()}


def _print_chosen(trial: TrialRecord, console: Console) -> None:
    """The trial and step to use, and what it has come to since the network was untrained."""
    row, step = trial.selected, trial.selected_step
    lines = [
        f"chosen: trial {trial.number} at merge step {step}: {scores_in_words(row)}",
        f"its network before training: {scores_in_words(trial.steps.get(0, {}))}",
        f"its classes: {row.get('classes_after', MISSING)}, the largest of "
        f"{row.get('class_size_max', MISSING)} tracklets",
    ]
    for line in lines:
        console.print(line, soft_wrap=True)


def _print_measures(session: Session, trials: Sequence[TrialRecord], console: Console) -> None:
    """The untrained network, to compare with, and what the numbers mean."""
    for shown in (_UNTRAINED, NORMALISED):
        untrained = next(
            (t.steps[0] for t in trials if t.steps.get(0, {}).get(next(iter(shown))) is not None), None
        )
        if untrained is not None:
            values = ", ".join(f"{heading} {percent(untrained[name])}" for name, heading in shown.items())
            console.print(f"untrained network: {values}")
    if session.data.test is not None:
        console.print(f"measured on: {session.data.protocol}")
        console.print("mAP in percent, by the rectangle rule; the trapezoid rule is MARS's own")
        if normalised_columns(trials):
            console.print(NORMALISED_MEANS)
    elif any(trial.selected for trial in trials):
        console.print(f"untrained network: {scores_in_words(trials[0].steps.get(0, {}))}", soft_wrap=True)
        console.print(
            "percent; same camera: of the pairs in one class; camera excess: the lower the better",
            soft_wrap=True,
        )
    elif any(trial.last_step > 0 for trial in trials):
        console.print(
            "no score could be taken and no trial is chosen; a score needs eight tracklets, and two of one "
            "camera with two frames or more",
            soft_wrap=True,
        )
    if any(trial.selected for trial in trials):
        console.print(SELECTED_MEANS)


def _print_confirmed(trials: Sequence[TrialRecord], plan: StudyPlan, console: Console) -> None:
    """The configurations that were run again on fresh seeds, beside the one run that each was chosen by."""
    objective = describe_objective(plan.objective)
    console.print(f"on fresh seeds, {objective}, mean ± 95 % interval, of two runs both:", soft_wrap=True)
    table = _table("trial", "when chosen", "fresh seeds", "runs")
    for one in confirmed(plan, trials):
        table.add_row(
            _number(one.trial, plan),
            percent(one.trial.value),
            one.fresh.text(),
            str(one.fresh.n),
            parameters(one.trial, plan),
        )
    console.print(table)


def _print_saved(view: StudyView, gpus_per_trial: float, console: Console) -> None:
    sharing, saved = view.saved
    if sharing:
        gpu_hours = f", {saved * gpus_per_trial / 3600:.1f} GPU-hours" if gpus_per_trial else ""
        console.print(
            f"shared stages: {sharing} trials took over {clock(saved)} of trial time from others{gpu_hours}",
            soft_wrap=True,
        )


def _table(*numbers: str) -> Table:
    """Columns of numbers, and one for the configuration."""
    table = Table(box=None, pad_edge=False)
    for name in numbers:
        # Two words on two lines leave room for the configuration in 80 columns. Of a string, Terminal would
        # escape the line break.
        table.add_column(Text(name.replace(" ", "\n")), justify="right", no_wrap=True)
    table.add_column("configuration", overflow="fold")
    return table


def _number(trial: TrialRecord, plan: StudyPlan) -> str:
    mark = "*" if is_base(trial, plan) else "†" if is_papers(trial, plan) else ""
    return f"{trial.number}{mark}"

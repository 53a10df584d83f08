"""The end of a session: the best configurations, trial 0's, the untrained network, what to type next."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from search_spaces.paper import BOUND_NOTE
from study.decide.confirmation import confirmed
from study.decide.session import Session
from study.plan import StudyPlan
from study.record.intervals import interval_text
from study.record.ledger import DIVERGED_VALUE, TrialRecord
from study.show.next_command import confirm_command, next_command, retry_command
from study.show.view import StudyView, failures, is_base, is_papers, of_session
from study.show.wording import (
    NORMALISED,
    NORMALISED_MEANS,
    changed_by_options,
    clock,
    describe_objective,
    is_bound,
    normalised_columns,
    parameters,
    percent,
    trial_numbers,
    whose,
)

_BEST = 5
_UNTRAINED = {"mAP": "mAP", "mAP_trapezoid": "trapezoid", "rank1": "rank-1"}


def summary(session: Session, console: Console) -> None:
    """Prints it; 80 columns are enough."""
    view, plan = of_session(session), session.plan
    ranking = view.ranking()
    if ranking:
        _print_ranking(ranking, plan, console)
    _print_measures(session, view.trials, console)
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
    if view.any_failed:
        console.print(f"failed trials again, from their checkpoints: {retry_command(plan)}", soft_wrap=True)
    console.print(next_command(plan, view.queue.complete), soft_wrap=True)


def _print_ranking(ranking: Sequence[TrialRecord], plan: StudyPlan, console: Console) -> None:
    """Every run of a plan, or the best of a search; trial 0's and the paper's configuration in any case."""
    always = [trial for trial in ranking if is_base(trial, plan) or is_papers(trial, plan)]
    best = ranking if plan.experiments is not None else ranking[:_BEST]
    console.print(f"configurations by {describe_objective(plan.objective)}:")
    normalised = normalised_columns(ranking)
    table = _table("trial", "mAP", "trapez.", "rank-1", "best", "step", *normalised.values())
    for trial in (*best, *(trial for trial in always if trial not in best)):
        curve = trial.curve()
        best_step = max(curve, key=lambda step: (curve[step], -step))
        last = trial.steps[max(curve)]
        table.add_row(
            _number(trial, plan),
            *(
                percent(DIVERGED_VALUE if trial.state == "diverged" else last[name])
                for name in ("mAP", "mAP_trapezoid", "rank1")
            ),
            percent(curve[best_step]),
            str(best_step),
            *(
                percent(DIVERGED_VALUE if trial.state == "diverged" else last.get(name))
                for name in normalised
            ),
            parameters(trial, plan) + (" (diverged)" if trial.state == "diverged" else ""),
        )
    console.print(table)
    if any(map(is_bound, ranking)):
        console.print(BOUND_NOTE, soft_wrap=True)
    if any(is_base(trial, plan) for trial in ranking):
        console.print(f"* {whose(plan)} configuration{changed_by_options(plan)}")
    if any(is_papers(trial, plan) and not is_base(trial, plan) for trial in ranking):
        console.print("† the paper's configuration")


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
    elif trials:
        console.print("the data has no labelled test split: nothing was measured but the classes")


def _print_confirmed(trials: Sequence[TrialRecord], plan: StudyPlan, console: Console) -> None:
    """The configurations that were run again on fresh seeds, beside the one run that each was chosen by."""
    console.print(f"on fresh seeds, {describe_objective(plan.objective)}, mean ± 95 % interval:")
    table = _table("trial", "when chosen", "fresh seeds", "runs")
    for one in confirmed(plan, trials):
        table.add_row(
            _number(one.trial, plan),
            percent(one.trial.value),
            interval_text(100 * one.fresh.mean, 100 * one.fresh.half),
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

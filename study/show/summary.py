"""The closing words of a session: the best configurations, the paper's, the untrained network, what next."""

from __future__ import annotations

import shlex
from pathlib import Path

from rich.console import Console
from rich.table import Table

from study.decide.confirmation import confirmed
from study.decide.session import Session
from study.plan import StudyPlan
from study.record.ledger import DIVERGED_VALUE, TrialRecord
from study.show.wording import clock, interval, objective_words, parameters, percent
from study.worker.shared_stages import saved_seconds

_BEST = 5


def summary(session: Session, console: Console) -> None:
    """Prints it; 80 columns are enough."""
    plan, trials = session.plan, list(session.ledger.trials.values())
    # Of a plan every run is told; the best of a search have not diverged.
    states = ("complete",) if plan.experiments is None else ("complete", "diverged")
    ended = sorted(
        (t for t in trials if t.state in states and t.curve() and t.origin != "confirm"),
        key=lambda t: (-(t.value or 0.0), t.number),
    )
    if ended:
        _print_ranking(ended, plan, console)
    untrained = next((t.steps[0] for t in trials if t.steps.get(0, {}).get("mAP") is not None), None)
    if untrained is not None:
        console.print(
            f"untrained network: mAP {percent(untrained['mAP'])}, "
            f"trapezoid {percent(untrained['mAP_trapezoid'])}, rank-1 {percent(untrained['rank1'])}"
        )
    if session.data.test is not None:
        console.print(f"measured on: {session.data.protocol}")
        console.print("mAP in percent, by the rectangle rule; the trapezoid rule is MARS's own")
    elif trials:
        console.print("the data has no labelled test split: nothing was measured but the classes")
    if plan.confirm:
        _print_confirmed(trials, plan, console)
    elif plan.space is not None and ended:
        told = f"the best of a search is optimistic; to confirm it on fresh seeds: {confirm_command(plan)}"
        console.print(told, soft_wrap=True)
    sharing, saved = saved_seconds(trials)
    if sharing:
        told = f"shared stages: {sharing} trials took over {clock(saved)} of trial time from others"
        gpus = session.gpus_per_trial
        console.print(told + (f", {saved * gpus / 3600:.1f} GPU-hours" if gpus else ""), soft_wrap=True)
    for (state, reason), numbers in _ended_badly(trials).items():
        told = f"trial{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))} {state}: {reason}"
        console.print(told, style="red", soft_wrap=True)
    console.print(f"results: {plan.folder}/results.parquet, one row per trial and merge step", soft_wrap=True)
    console.print(next_command(plan, session.queue.complete), soft_wrap=True)


def _print_ranking(ended: list[TrialRecord], plan: StudyPlan, console: Console) -> None:
    papers = [trial for trial in ended if _is_papers(trial)]
    many = ended if plan.experiments is not None else ended[:_BEST]
    shown = [*many, *(trial for trial in papers if trial not in many)]
    console.print(f"configurations by the mAP of {objective_words(plan.objective)}:")
    table = Table(box=None, pad_edge=False)
    for name in ("trial", "mAP", "trapez.", "rank-1", "best", "step"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("configuration", overflow="fold")
    for trial in shown:
        curve = trial.curve()
        best = max(curve, key=lambda step: (curve[step], -step))
        last = trial.steps[max(curve)]
        table.add_row(
            f"{trial.number}{'*' if _is_papers(trial) else ''}",
            *(
                percent(DIVERGED_VALUE if trial.state == "diverged" else last[name])
                for name in ("mAP", "mAP_trapezoid", "rank1")
            ),
            percent(curve[best]),
            str(best),
            parameters(trial, plan) + (" (diverged)" if trial.state == "diverged" else ""),
        )
    console.print(table)
    if papers:
        console.print("* the paper's configuration")


def _print_confirmed(trials: list[TrialRecord], plan: StudyPlan, console: Console) -> None:
    """The configurations that were run again on fresh seeds, beside the one run that each was chosen by."""
    console.print(f"on fresh seeds, mAP of {objective_words(plan.objective)}, mean ± 95 % interval:")
    table = Table(box=None, pad_edge=False)
    for name in ("trial", "when chosen", "fresh seeds", "runs"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("configuration", overflow="fold")
    for one in confirmed(plan, trials):
        table.add_row(
            f"{one.trial.number}{'*' if _is_papers(one.trial) else ''}",
            percent(one.trial.value),
            interval(one.fresh),
            str(one.fresh.n),
            parameters(one.trial, plan),
        )
    console.print(table)


def _ended_badly(trials: list[TrialRecord]) -> dict[tuple[str, str], list[int]]:
    """(state, reason) to the trials that failed or diverged so."""
    found: dict[tuple[str, str], list[int]] = {}
    for trial in trials:
        if trial.state in ("failed", "diverged"):
            found.setdefault((trial.state, trial.reason or "unknown"), []).append(trial.number)
    return found


def _is_papers(trial: TrialRecord) -> bool:
    return trial.origin == "paper" or "fig3/final" in trial.labels


def confirm_command(plan: StudyPlan) -> str:
    """What to type to run the best configurations of a search again on seeds that it never saw."""
    return f"{_again(plan)} --confirm 3 --seeds 5"


def next_command(plan: StudyPlan, complete: bool) -> str:
    """What to type to go on, or for more of the same."""
    again = _again(plan)
    if not complete:
        return f"to go on: {again}"
    if plan.experiments is not None:
        return f"more seeds: {again} --seeds {plan.seeds + 2}"
    return f"more of the same search: {again} --samples {2 * plan.samples}"


def _again(plan: StudyPlan) -> str:
    default = Path("studies").resolve()
    name = plan.name if Path(plan.studies) == default else shlex.quote(str(plan.folder))
    return f"python study/run.py --resume {name}"

"""The closing words of a session: the best configurations, the paper's, the untrained network, what next."""

from __future__ import annotations

import shlex
from pathlib import Path

from rich.console import Console
from rich.table import Table

from study.ledger import TrialRecord
from study.plan import StudyPlan
from study.session import Session
from study.words import objective_words, parameters, percent

_BEST = 5


def summary(session: Session, console: Console) -> None:
    """Prints it; 80 columns are enough."""
    plan, trials = session.plan, list(session.ledger.trials.values())
    ended = sorted(
        (t for t in trials if t.state == "complete" and t.curve()),
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
    if plan.space is not None and ended:
        console.print(
            "the best configurations of a search are optimistic: confirm them on new seeds", soft_wrap=True
        )
    for (state, reason), numbers in _ended_badly(trials).items():
        told = f"trial{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))} {state}: {reason}"
        console.print(told, style="red", soft_wrap=True)
    console.print(f"results: {plan.folder}/results.parquet, one row per trial and merge step", soft_wrap=True)
    console.print(next_command(session), soft_wrap=True)


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
            *(percent(last[name]) for name in ("mAP", "mAP_trapezoid", "rank1")),
            percent(curve[best]),
            str(best),
            parameters(trial, plan),
        )
    console.print(table)
    if papers:
        console.print("* the paper's configuration")


def _ended_badly(trials: list[TrialRecord]) -> dict[tuple[str, str], list[int]]:
    """(state, reason) to the trials that failed or diverged so."""
    found: dict[tuple[str, str], list[int]] = {}
    for trial in trials:
        if trial.state in ("failed", "diverged"):
            found.setdefault((trial.state, trial.reason or "unknown"), []).append(trial.number)
    return found


def _is_papers(trial: TrialRecord) -> bool:
    return trial.origin == "paper" or "fig3/final" in trial.labels


def next_command(session: Session) -> str:
    """What to type to go on, or for more of the same."""
    plan, default = session.plan, Path("studies").resolve()
    name = plan.name if Path(plan.studies) == default else shlex.quote(str(plan.folder))
    again = f"python study/run.py --resume {name}"
    if not session.work.complete:
        return f"to go on: {again}"
    if plan.experiments is not None:
        return f"more seeds: {again} --seeds {plan.seeds + 2}"
    return f"more of the same search: {again} --samples {2 * plan.samples}"

"""A study's status for people: a table of all trials with their curves, or one trial in full."""

from __future__ import annotations

import time
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from study.record.ledger import TrialRecord, row_seconds
from study.show.curves import picture, sparkline
from study.show.status import Status
from study.show.wording import clock, objective_words, parameters, percent

_COLOURS = {"failed": "red", "diverged": "yellow", "interrupted": "yellow", "running": "green"}
_CURVE = 20  # columns of a curve, half of it on narrow screens
_WIDE = 110
_LINES = 12  # of the picture of one trial
_NAMED = 10  # trials that are named one by one


def print_status(status: Status, console: Console) -> None:
    """Prints everything about the study; 80 columns are enough."""
    for line in _heading(status):
        console.print(line, soft_wrap=True)
    if status.trials:
        _print_trials(status, console)
    for line in _taken_over(status.trials):
        console.print(line, soft_wrap=True)
    for line, style in _troubles(status.trials):
        console.print(line, style=style, soft_wrap=True)
    for line in _cost(status):
        console.print(line, soft_wrap=True)
    logs = status.plan.folder / "ray"
    console.print(
        f"TensorBoard logs: {logs} (pip install tensorboard; tensorboard --logdir …)", soft_wrap=True
    )
    console.print(status.next_command(), soft_wrap=True)


def _heading(status: Status) -> Iterator[str]:
    data, work = status.description["dataset"], status.queue
    states = [status.state(trial) for trial in status.trials]
    order = ("running", "waiting", "interrupted", "reused", "pruned", "diverged", "failed")
    counts = [f"{states.count(name)} {name}" for name in order if name in states]
    told = ", ".join([f"{work.done()}/{work.target} done", *counts])
    yield f"study {status.plan.name} in {status.plan.folder}: {told}"
    yield f"data: {data['name']}, {data['train_tracklets']:,} training tracklets, {data['protocol']}"
    if status.driver is not None:
        yield f"driver: {status.driver}"
    else:
        yield f"driver: none is running; the study is {'complete' if work.complete else 'not complete'}"


def _print_trials(status: Status, console: Console) -> None:
    wide = console.width >= _WIDE
    values = [value for trial in status.trials for value in trial.curve().values()]
    low, high = min(values, default=0.0), max(values, default=1.0)
    table = Table(box=None, pad_edge=False)
    for name in ("trial", "state", "step", "mAP", "best", "curve", "time"):
        left = name in ("state", "curve")
        table.add_column(name, justify="left" if left else "right", no_wrap=True)
    table.add_column("configuration", overflow="fold")
    for trial in status.trials:
        curve, state = trial.curve(), status.state(trial)
        epoch = status.epoch(trial)
        table.add_row(
            f"{trial.number}{'' if trial.origin == 'search' else '*'}",
            state,
            _position(trial) + (f" {epoch}" if epoch else ""),
            percent(curve[max(curve)]) if curve else "–",
            percent(max(curve.values())) if curve else "–",
            sparkline(curve, low, high, _CURVE if wide else _CURVE // 2),
            clock(trial.seconds),
            parameters(trial, status.plan),
            style=_COLOURS.get(state, ""),
        )
    console.print(table)
    if any(trial.origin != "search" for trial in status.trials):
        console.print("* given, not drawn")
    if values:
        console.print(
            f"mAP in percent, last and best step; curves by merge step, {percent(low)} to {percent(high)}; "
            f"the study maximises {objective_words(status.plan.objective)}",
            soft_wrap=True,
        )


def _taken_over(trials: list[TrialRecord]) -> Iterator[str]:
    """The trials whose results are another study's, by study."""
    found: dict[str, list[int]] = {}
    for trial in trials:
        if trial.reused:
            found.setdefault(trial.reused.rpartition(", trial")[0] or "this study", []).append(trial.number)
    for source, numbers in found.items():
        yield f"taken over from {source}: {_numbered(numbers)}"


def _numbered(numbers: list[int]) -> str:
    told = ", ".join(map(str, numbers[:_NAMED])) + (" …" if len(numbers) > _NAMED else "")
    return f"trial{'s' if len(numbers) > 1 else ''} {told}"


def _position(trial: TrialRecord) -> str:
    return "–" if trial.total_steps is None else f"{max(trial.last_step, 0)}/{trial.total_steps}"


def _troubles(trials: list[TrialRecord]) -> Iterator[tuple[str, str]]:
    """Failures, crashes survived and warnings, each reason once with the trials that it befell."""
    found: dict[tuple[str, str], list[int]] = {}
    for trial in trials:
        if trial.state in ("failed", "diverged"):
            found.setdefault((trial.state, trial.reason or "unknown"), []).append(trial.number)
        for reason in trial.retries:
            found.setdefault(("tried again", reason), []).append(trial.number)
        for text in trial.notes:
            found.setdefault(("warned", text), []).append(trial.number)
    for (what, why), numbers in found.items():
        yield f"{_numbered(list(dict.fromkeys(numbers)))} {what}: {why}", _COLOURS.get(what, "yellow")


def _cost(status: Status) -> Iterator[str]:
    spent = f"spent: {clock(status.seconds)} of trial time"
    if status.gpu_hours:
        spent += f", {status.gpu_hours:.2f} GPU hours"
    if status.plan.gpu_hours is not None:
        spent += f" of {status.plan.gpu_hours:g}"
    if status.saved_seconds:
        spent += f"; {clock(status.saved_seconds)} saved by shared stages"
    yield spent
    for number, session in enumerate(status.ledger.sessions, start=1):
        began = time.strftime("%Y-%m-%d %H:%M", time.localtime(session["time"]))
        ended = session.get("ended")
        if ended is not None:
            why = f", {session['why']}" if session.get("why") else ""
            yield f"session {number}: {began}, took {clock(ended - session['time'])}{why}"
        elif number == len(status.ledger.sessions) and status.driver is not None:
            yield f"session {number}: {began}, running for {clock(status.now - session['time'])}"
        else:
            yield f"session {number}: {began}, cut off"
    left = status.seconds_left()
    if left is not None and not status.queue.complete:
        seconds, running = left
        told = f"left: about {clock(seconds)} of trial time"
        if running:
            told += f"; {running} at a time, ready in about {clock(seconds / running)}"
        yield told


def print_trial(status: Status, number: int, console: Console) -> None:
    """Prints one trial: what it is, its curve, its steps, and what befell it."""
    trial = status.ledger.trials[number]
    plan = status.plan
    told = ", ".join([trial.origin, *trial.labels])
    console.print(f"trial {number} of {plan.name} ({told}): {parameters(trial, plan)}", soft_wrap=True)
    reason = f": {trial.reason}" if trial.reason else ""
    epoch = status.epoch(trial)
    console.print(
        f"{status.state(trial)}{reason}; step {_position(trial)}{f', epoch {epoch}' if epoch else ''}; "
        f"{clock(trial.seconds)} of trial time, started {trial.attempts} time(s)",
        style=_COLOURS.get(status.state(trial), ""),
        soft_wrap=True,
    )
    if trial.reused:
        console.print(f"taken over from {trial.reused}", soft_wrap=True)
    for line in picture(trial.curve(), min(console.width, 80), _LINES):
        console.print(line, soft_wrap=True)
    if trial.steps:
        _print_steps(trial, console)
    for line, style in _troubles([trial]):
        console.print(line, style=style, soft_wrap=True)
    console.print(f"checkpoints: {plan.trial_storage(number)}", soft_wrap=True)
    logs = sorted(str(path) for path in (plan.folder / "ray").glob(f"session-*/{number:04d}-*"))
    for path in logs:
        console.print(f"TensorBoard logs: {path}", soft_wrap=True)


def _print_steps(trial: TrialRecord, console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("step", "classes", "mAP", "trapez.", "rank-1", "purity", "loss", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    for step, row in sorted(trial.steps.items()):
        loss = row.get("loss")
        table.add_row(
            str(step),
            str(row.get("classes_after", "")),
            *(percent(row.get(name)) for name in ("mAP", "mAP_trapezoid", "rank1", "purity")),
            "–" if loss is None else f"{loss:.3f}",
            f"{row_seconds(row):.1f}",
        )
    console.print(table)

"""A study's status for people: a table of all trials with their curves, or one trial in full."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from search_spaces.paper import BOUND_NOTE
from study.record.ledger import ENQUEUED, TrialRecord, row_seconds
from study.show.curves import picture, sparkline
from study.show.next_command import models_of, retry_command
from study.show.scores import OF_SELECTED, SCORES, SELECTED_MEANS, cell, main_metric, measured_at_selected
from study.show.status import Status
from study.show.view import StudyView, position, problems
from study.show.wording import (
    NORMALISED_MEANS,
    clock,
    come_to,
    describe_objective,
    is_bound,
    last_value,
    normalised_columns,
    parameters,
    percent,
    selected_text,
    trial_numbers,
)

_COLOURS = {"failed": "red", "diverged": "yellow", "interrupted": "yellow", "running": "green"}
_STATES = ("running", "waiting", "interrupted", "reused", "pruned", "diverged", "failed")  # in the heading
_MARKS = {"search": "", ENQUEUED: "+"}  # beside a trial's number, by its origin; of all others *
_CURVE = 20  # columns of a curve, half of it on narrow screens
_WIDE = 110
_LINES = 12  # of the picture of one trial
_NAMED = 10  # trials that are named one by one


def print_status(status: Status, console: Console) -> None:
    """Prints everything about the study; 80 columns are enough."""
    view = status.view
    for line in _heading(status):
        console.print(line, soft_wrap=True)
    if view.trials:
        _print_trials(view, console)
    for line in _taken_over(view.trials):
        console.print(line, soft_wrap=True)
    _print_problems(view.trials, console)
    for line in (*_cost(view), *_sessions(status), *_left(view)):
        console.print(line, soft_wrap=True)
    logs = status.plan.folder / "ray"
    console.print(
        f"TensorBoard logs: {logs} (pip install tensorboard; tensorboard --logdir …)", soft_wrap=True
    )
    for line in models_of(status.plan):
        console.print(line, soft_wrap=True)
    if status.driver is None and view.any_failed:
        retry = retry_command(status.plan)
        console.print(f"failed trials again, from their checkpoints: {retry}", soft_wrap=True)
    console.print(status.next_command(), soft_wrap=True)


def _heading(status: Status) -> Iterator[str]:
    data, view = status.description["dataset"], status.view
    yield f"study {status.plan.name} in {status.plan.folder}: {view.progress(*_STATES)}"
    yield f"data: {data['name']}, {data['train_tracklets']:,} training tracklets, {data['protocol']}"
    if status.driver is not None:
        yield f"driver: {status.driver}"
        yield from (f"{place} is set aside: {problem}" for place, problem in status.ledger.set_aside.items())
    else:
        yield f"driver: none is running; the study is {'complete' if view.queue.complete else 'not complete'}"
    yield from status.ledger.problems()
    for item in view.queue.waiting:
        yield f"enqueued, to run next: {item.label}, seed {item.config.seed}"


def _print_trials(view: StudyView, console: Console) -> None:
    metric, wide = main_metric(view.trials, view.plan), console.width >= _WIDE
    values = [value for trial in view.trials for value in trial.curve(metric).values()]
    low, high = min(values, default=0.0), max(values, default=1.0)
    width = _CURVE if wide else _CURVE // 2
    table = Table(box=None, pad_edge=False)
    normalised = normalised_columns(view.trials, "mAP_camera_normalised")
    best = ["best"] * (metric == "mAP")
    selected = ["selected"] * any(trial.selected for trial in view.trials)
    of_selected = measured_at_selected(view.trials) if wide and metric != "mAP" else {}
    heading = SCORES.get(metric, metric)
    columns = (heading, *best, *selected, *of_selected.values(), *normalised.values())
    for name in ("trial", "state", "step", *columns, "curve", "time"):
        table.add_column(Text(name), justify="left" if name in ("state", "curve") else "right", no_wrap=True)
    table.add_column("configuration", overflow="fold")
    for trial in view.trials:
        curve, state, epoch = trial.curve(metric), view.state(trial), view.epoch(trial)
        table.add_row(
            f"{trial.number}{_MARKS.get(trial.origin, '*')}",
            state,
            (position(trial) or "–") + (f" {epoch}" if epoch else ""),
            percent(last_value(trial, metric)),
            *(percent(max(curve.values(), default=None)) for _ in best),
            *(selected_text(trial, metric) for _ in selected),
            *(cell(trial.selected, name) for name in of_selected),
            *(percent(last_value(trial, name)) for name in normalised),
            sparkline(curve, low, high, width),
            clock(trial.seconds),
            parameters(trial, view.plan),
            style=_COLOURS.get(state, ""),
        )
    console.print(table)
    origins = {trial.origin for trial in view.trials}
    if origins - _MARKS.keys():
        console.print("* given, not drawn")
    if ENQUEUED in origins:
        console.print("+ enqueued, not drawn")
    if values:
        steps = "last and best step" if best else "last step"
        console.print(
            f"{heading} in percent, {steps}; curves by merge step, {percent(low)} to {percent(high)}; "
            f"the study maximises {describe_objective(view.plan.objective)}",
            soft_wrap=True,
        )
    if selected:
        console.print(SELECTED_MEANS, soft_wrap=True)
    if normalised:
        console.print(NORMALISED_MEANS, soft_wrap=True)
    if any(map(is_bound, view.trials)):
        console.print(BOUND_NOTE, soft_wrap=True)


def _taken_over(trials: Sequence[TrialRecord]) -> Iterator[str]:
    """The trials whose results are another study's, by study."""
    found: dict[str, list[int]] = {}
    for trial in trials:
        if trial.reused:
            found.setdefault(trial.reused.rpartition(", trial")[0] or "this study", []).append(trial.number)
    for source, numbers in found.items():
        yield f"taken over from {source}: {trial_numbers(numbers, _NAMED)}"


def _print_problems(trials: Sequence[TrialRecord], console: Console) -> None:
    for (what, why), numbers in problems(trials).items():
        line = f"{trial_numbers(numbers, _NAMED)} {what}: {why}"
        console.print(line, style=_COLOURS.get(what, "yellow"), soft_wrap=True)


def _cost(view: StudyView) -> Iterator[str]:
    spent = f"spent: {clock(view.seconds)} of trial time"
    if view.gpu_hours:
        spent += f", {view.gpu_hours:.2f} GPU hours"
    if view.plan.gpu_hours is not None:
        spent += f" of {view.plan.gpu_hours:g}"
    _, saved = view.saved
    yield spent + (f"; {clock(saved)} saved by shared stages" if saved else "")


def _sessions(status: Status) -> Iterator[str]:
    sessions = status.ledger.sessions
    for number, session in enumerate(sessions, start=1):
        began = time.strftime("%Y-%m-%d %H:%M", time.localtime(session["time"]))
        ended = session.get("ended")
        if ended is not None:
            why = f", {session['why']}" if session.get("why") else ""
            yield f"session {number}: {began}, took {clock(ended - session['time'])}{why}"
        elif number == len(sessions) and status.driver is not None:
            yield f"session {number}: {began}, running for {clock(status.view.now - session['time'])}"
        else:
            yield f"session {number}: {began}, cut off"


def _left(view: StudyView) -> Iterator[str]:
    left = view.seconds_left()
    if left is not None and not view.queue.complete:
        seconds, running = left
        ready = f"; {running} at a time, ready in about {clock(seconds / running)}" if running else ""
        yield f"left: about {clock(seconds)} of trial time{ready}"


def print_trial(status: Status, number: int, console: Console) -> None:
    """Prints one trial: what it is, its curve, its steps, and what went wrong."""
    trial, plan, view = status.ledger.trials[number], status.plan, status.view
    state, epoch = view.state(trial), view.epoch(trial)
    origin = ", ".join([trial.origin, *trial.labels])
    console.print(f"trial {number} of {plan.name} ({origin}): {parameters(trial, plan)}", soft_wrap=True)
    reason = f": {trial.reason}" if trial.reason else ""
    console.print(
        f"{state}{reason}; step {position(trial) or '–'}{f', epoch {epoch}' if epoch else ''}; "
        f"{clock(trial.seconds)} of trial time, started {trial.attempts} time(s)",
        style=_COLOURS.get(state, ""),
        soft_wrap=True,
    )
    if trial.reused:
        console.print(f"taken over from {trial.reused}", soft_wrap=True)
    if result := come_to(trial):
        console.print(result, soft_wrap=True)
    metric = main_metric([trial], plan)
    for line in picture(trial.curve(metric), min(console.width, 80), _LINES):
        console.print(line, soft_wrap=True)
    if trial.steps:
        _print_steps(trial, console)
    _print_problems([trial], console)
    console.print(f"checkpoints: {plan.trial_storage(number)}", soft_wrap=True)
    console.print(f"what its workers printed: {plan.trial_output(number)}", soft_wrap=True)
    for path in sorted((plan.folder / "ray").glob(f"session-*/{number:04d}-*")):
        console.print(f"TensorBoard logs: {path}", soft_wrap=True)


def _print_steps(trial: TrialRecord, console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    columns = _step_columns(trial)
    for name in ("step", "classes", *columns.values(), "loss", "seconds"):
        table.add_column(Text(name), justify="right", no_wrap=True)
    for step, row in sorted(trial.steps.items()):
        loss = row.get("loss")
        table.add_row(
            str(step),
            str(row.get("classes_after", "")),
            *(cell(row, name) for name in columns),
            "–" if loss is None else f"{loss:.3f}",
            f"{row_seconds(row):.1f}",
        )
    console.print(table)


def _step_columns(trial: TrialRecord) -> dict[str, str]:
    """Name in a row to heading, of what is told of each merge step."""
    if trial.measured:
        retrieval = {"mAP": "mAP", "mAP_trapezoid": "trapez.", "rank1": "rank-1"}
        score = {"unlabelled": "score"} if trial.selected else {}
        return {**retrieval, **normalised_columns([trial]), **score, "purity": "purity"}
    wanted = {**SCORES, "class_size_max": OF_SELECTED["class_size_max"]}
    rows = trial.steps.values()
    return {name: text for name, text in wanted.items() if any(row.get(name) is not None for row in rows)}

"""What the user sees while a study runs: one table that is redrawn, or plain lines without a terminal."""

from __future__ import annotations

import time

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from study.decide.session import Session
from study.plan import OBJECTIVES
from study.record.ledger import TrialRecord
from study.show.scores import SCORES, main_metric
from study.show.view import StudyView, of_session, position
from study.show.wording import (
    clock,
    come_to,
    last_value,
    normalised_columns,
    parameters,
    percent,
    selected_text,
    taken_over,
    trial_name,
)

_REDRAW = 1.0  # seconds
_LINE_EVERY = 30.0  # seconds between lines without a terminal
_STATES = ("pruned", "diverged", "failed", "running")  # in the heading
_ENDS = ("complete", "pruned", "diverged", "failed")


class Display:
    """Shows a session. Use as a context manager; `poll` is called often and draws rarely.

    A terminal that is gone gets no table any more: lines are written instead, to what stands in its place.
    """

    def __init__(self, session: Session, console: Console):
        self.session, self.console = session, console
        self._live: Live | None = None
        self._drawn = time.time()
        session.on_change = self._event

    def __enter__(self) -> Display:
        if self.console.is_terminal:
            self._live = Live(
                Text("starting Ray …"),
                console=self.console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self.session.aside("the display", self._live.start, True)
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self.session.aside("the display", self._live.stop)

    def poll(self) -> None:
        """Redraws the table if it is time; without a terminal, writes a line now and then."""
        if self._live is not None and not self.console.is_terminal:
            self._live.stop()
            self._live, self.console.no_color = None, True
        now = time.time()
        if now - self._drawn < (_REDRAW if self._live is not None else _LINE_EVERY):
            return
        self._drawn = now
        view = of_session(self.session)
        if self._live is not None:
            self._live.update(self._table(view), refresh=True)
        else:
            running = [trial for trial in view.trials_under_way if view.state(trial) == "running"]
            lines = "; ".join(_line(view, trial) for trial in running) or "starting"
            counts = ", ".join(filter(None, (view.progress(*_STATES), _set_aside(view))))
            self.console.print(f"{self._elapsed()} {counts}: {lines}", soft_wrap=True)

    def _event(self, event: str, trial: TrialRecord | None) -> None:
        if event == "stopping":
            self._print(f"stopping: {self.session.stopping}", "yellow")
        elif event == "retried" and trial is not None:
            where = f"merge step {trial.last_step}" if trial.last_step > 0 else "the start"
            self._print(f"trial {trial.number} goes on from {where}: {trial.retries[-1]}", "yellow")
        elif event == "moved" and trial is not None:
            self._print(f"trial {trial.number} goes on elsewhere: {trial.moves[-1]}", "yellow")
        elif event == "taken over" and trial is not None:
            self._print(taken_over(trial), "")
        elif event in _ENDS and trial is not None:
            self._print(self._end_of(trial), {"failed": "red", "diverged": "yellow"}.get(event, ""))

    def _print(self, text: str, style: str) -> None:
        self.console.print(f"{self._elapsed()} {text}", style=style, soft_wrap=True)

    def _elapsed(self) -> str:
        return clock(time.time() - self.session.began)

    def _end_of(self, trial: TrialRecord) -> str:
        result = come_to(trial) or "no result"
        for name, heading in normalised_columns([trial], "mAP_camera_normalised").items():
            result += f", {heading} {percent(last_value(trial, name))}"
        reason = f" {trial.reason}" if trial.state == "pruned" else ""
        if trial.state in ("failed", "diverged"):
            result = str(trial.reason)
        plan = self.session.plan
        line = f"{trial_name(trial)} {trial.state}{reason}: {result} · {parameters(trial, plan)}"
        if trial.state == "failed":
            line += f" · what its workers printed: {plan.trial_output(trial.number)}"
        return line

    def _table(self, view: StudyView) -> Group:
        table = Table(box=None, pad_edge=False)
        normalised = normalised_columns(view.trials_under_way, "mAP_camera_normalised")
        metric = main_metric(view.trials, view.plan)
        selected = ["selected"] * any(trial.selected for trial in view.trials_under_way)
        heading = SCORES.get(metric, metric)
        for name in ("trial", "step", "epoch", heading, *selected, *normalised.values(), "left"):
            table.add_column(name, justify="left" if name == "trial" else "right", no_wrap=True)
        table.add_column("configuration", no_wrap=True, overflow="ellipsis")
        for trial in view.trials_under_way:
            left = view.seconds_left_of(trial)
            table.add_row(
                f"{trial.number}{'' if trial.origin == 'search' else ' ' + trial.origin}",
                _position(view, trial),
                view.epoch(trial) or "",
                percent(last_value(trial, metric)),
                *(selected_text(trial, metric) for _ in selected),
                *(percent(last_value(trial, name)) for name in normalised),
                clock(left) if left is not None else "–",
                parameters(trial, view.plan),
            )
        line = "  ".join(
            filter(
                None, (self._elapsed(), view.progress(*_STATES), _left(view), _best(view), _set_aside(view))
            )
        )
        return Group(Text(line, no_wrap=True, overflow="ellipsis"), table)


def _position(view: StudyView, trial: TrialRecord) -> str:
    return "waiting" if view.state(trial) == "waiting" else position(trial) or "starting"


def _left(view: StudyView) -> str:
    estimate = view.seconds_left()
    if estimate is None:
        return ""
    seconds, running = estimate
    return f"about {clock(seconds / running)} left" if running else ""


def _best(view: StudyView) -> str:
    best = view.best()
    name = SCORES.get(OBJECTIVES[view.plan.objective], "mAP")
    return "" if best is None else f"best {name} {percent(best.value)} (trial {best.number})"


def _set_aside(view: StudyView) -> str:
    places = view.ledger.set_aside
    return f"set aside: {', '.join(places)}" if places else ""


def _line(view: StudyView, trial: TrialRecord) -> str:
    left, epoch, result = view.seconds_left_of(trial), view.epoch(trial), come_to(trial)
    return (
        f"trial {trial.number} step {_position(view, trial)}"
        + (f" epoch {epoch}" if epoch else "")
        + (f", {result}" if result else "")
        + (f", {clock(left)} left" if left is not None else "")
    )

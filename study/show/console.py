"""What the user sees while a study runs: one table that is redrawn, or plain lines without a terminal."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from study.decide.session import RunningTrial, Session
from study.record.ledger import TrialRecord
from study.record.storage import Storage
from study.show.wording import best_trial, clock, parameters, percent, taken_over

_REDRAW = 1.0  # seconds
_LINE_EVERY = 30.0  # seconds between lines without a terminal
_ENDS = ("complete", "pruned", "diverged", "failed")


class Board:
    """Draws a session. Use as a context manager; `poll` is called often and draws rarely."""

    def __init__(self, session: Session, console: Console):
        self.session, self.console = session, console
        self._live: Live | None = None
        self._drawn = time.time()
        session.on_change = self._event

    def __enter__(self) -> Board:
        if self.console.is_terminal:
            self._live = Live(
                Text("starting Ray …"),
                console=self.console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start(refresh=True)
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()

    def poll(self) -> None:
        """Redraws the table if it is time; without a terminal, writes a line now and then."""
        now = time.time()
        if now - self._drawn < (_REDRAW if self._live is not None else _LINE_EVERY):
            return
        self._drawn = now
        if self._live is not None:
            self._live.update(self._picture(), refresh=True)
        else:
            running = [job for job in self._jobs() if job.started]
            told = "; ".join(self._line(job) for job in running) or "starting"
            self.console.print(f"{self._elapsed()} {self._counts()}: {told}", soft_wrap=True)

    def _event(self, event: str, trial: TrialRecord | None) -> None:
        if event == "stopping":
            self._say(f"stopping: {self.session.stopping}", "yellow")
        elif event == "retried" and trial is not None:
            where = f"merge step {trial.last_step}" if trial.last_step > 0 else "the start"
            self._say(f"trial {trial.number} goes on from {where}: {trial.retries[-1]}", "yellow")
        elif event == "taken over" and trial is not None:
            self._say(taken_over(trial), "")
        elif event in _ENDS and trial is not None:
            self._say(self._ended(trial), {"failed": "red", "diverged": "yellow"}.get(event, ""))

    def _say(self, text: str, style: str) -> None:
        self.console.print(f"{self._elapsed()} {text}", style=style, soft_wrap=True)

    def _elapsed(self) -> str:
        return clock(time.time() - self.session.began)

    def _ended(self, trial: TrialRecord) -> str:
        curve = trial.curve()
        last = f"mAP {percent(curve[max(curve)])}" if curve else "no result"
        origin = "" if trial.origin == "search" else f" [{trial.labels[0] if trial.labels else trial.origin}]"
        told = f"trial {trial.number}{origin} {trial.state}"
        told += f" {trial.reason}: " if trial.state == "pruned" else ": "
        if trial.state in ("failed", "diverged"):
            return f"{told}{trial.reason} · {self._parameters(trial)}"
        return f"{told}{last} · {self._parameters(trial)}"

    def _jobs(self) -> list[RunningTrial]:
        return sorted(self.session.running.values(), key=lambda job: job.number)

    def _parameters(self, trial: TrialRecord) -> str:
        return parameters(trial, self.session.plan)

    def _picture(self) -> Group:
        table = Table(box=None, pad_edge=False)
        for name in ("trial", "step", "epoch", "mAP", "left"):
            table.add_column(name, justify="left" if name == "trial" else "right", no_wrap=True)
        table.add_column("configuration", no_wrap=True, overflow="ellipsis")
        for job in self._jobs():
            trial = self.session.ledger.trials[job.number]
            curve = trial.curve()
            left = _time_left(trial, job)
            table.add_row(
                f"{trial.number}{'' if trial.origin == 'search' else ' ' + trial.origin}",
                _position(trial, job),
                self._epoch(trial, job) or "",
                percent(curve[max(curve)]) if curve else "–",
                clock(left) if left is not None else "–",
                self._parameters(trial),
            )
        heading = "  ".join(filter(None, (self._elapsed(), self._counts(), self._left(), self._best())))
        return Group(Text(heading, no_wrap=True, overflow="ellipsis"), table)

    def _counts(self) -> str:
        session = self.session
        states = [t.state for t in session.ledger.trials.values()]
        running = sum(1 for job in session.running.values() if job.started)
        counts = [(name, states.count(name)) for name in ("pruned", "diverged", "failed")]
        told = [f"{count} {name}" for name, count in [*counts, ("running", running)] if count]
        return ", ".join([f"{session.queue.done()}/{session.queue.target} done", *told])

    def _left(self) -> str:
        """What is left of the study, from the trials that this session has finished from start to end."""
        session, spent = self.session, self.session.durations
        running = sum(1 for job in session.running.values() if job.started)
        if not spent or not running:
            return ""
        mean, now = sum(spent) / len(spent), time.time()
        begun = sum(min(mean, now - job.started) for job in session.running.values() if job.started)
        left = mean * (session.queue.target - session.queue.done()) - begun
        return f"about {clock(left / running)} left"

    def _best(self) -> str:
        best = best_trial(list(self.session.ledger.trials.values()))
        return "" if best is None else f"best mAP {percent(best.value)} (trial {best.number})"

    def _line(self, job: RunningTrial) -> str:
        trial = self.session.ledger.trials[job.number]
        curve, left, epoch = trial.curve(), _time_left(trial, job), self._epoch(trial, job)
        return (
            f"trial {trial.number} step {_position(trial, job)}"
            + (f" epoch {epoch}" if epoch else "")
            + (f", mAP {percent(curve[max(curve)])}" if curve else "")
            + (f", {clock(left)} left" if left is not None else "")
        )

    def _epoch(self, trial: TrialRecord, job: RunningTrial) -> str | None:
        """The epoch of the stage under way, as the trial notes it on disks that are quick to ask."""
        storage = self.session.job(trial)["storage"]
        if job.started is None or "://" in storage or not Path(storage).is_dir():
            return None
        try:
            content = Storage(storage).read("progress.json")
        except OSError:  # a disk that fails is told by the trial
            return None
        note: dict[str, Any] = {} if content is None else json.loads(content)
        if note.get("time", 0) < job.started or note["stage"] != max(trial.last_step, 0) + 1:
            return None
        return f"{note['epoch']}/{note['epochs']}"


def _position(trial: TrialRecord, job: RunningTrial) -> str:
    if job.started is None:
        return "waiting"
    return "starting" if trial.total_steps is None else f"{max(trial.last_step, 0)}/{trial.total_steps}"


def _time_left(trial: TrialRecord, job: RunningTrial) -> float | None:
    """Seconds, from the pace of the later stages (the first is longer)."""
    total = trial.total_steps
    times = job.times[2:] if job.resumed_from < 0 else job.times  # not the untrained row, nor the first stage
    if total is None or len(times) < 2:
        return None
    pace = (times[-1] - times[0]) / (len(times) - 1)
    return max(0.0, pace * (total - trial.last_step) - (time.time() - times[-1]))

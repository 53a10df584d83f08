"""What the user sees while a study runs: one table that is redrawn, or plain lines without a terminal.

The same rows serve both, and the closing summary.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dcreid.config import Config
from study.ledger import TrialRecord
from study.session import Job, Session
from study.storage import Storage

_REDRAW = 1.0  # seconds
_LINE_EVERY = 30.0  # seconds between lines without a terminal
_SHOWN = ("merge.lambda1", "merge.lambda2", "train.temperature", "train.alpha_schedule", "train.alpha")
_SYMBOLS = {
    "merge.lambda1": "λ1",
    "merge.lambda2": "λ2",
    "train.temperature": "τ",
    "train.alpha": "α",
    "train.alpha_schedule": "α schedule",
}


class Board:
    """Draws a session. Use as a context manager; `poll` is called often and draws rarely."""

    def __init__(self, session: Session, console: Console):
        self.session, self.console = session, console
        self._live: Live | None = None
        self._drawn = 0.0
        session.on_change = self._event

    def __enter__(self) -> Board:
        if self.console.is_terminal:
            self._live = Live(console=self.console, auto_refresh=False, transient=True)
            self._live.start()
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
        elif any(job.started for job in self.session.jobs.values()):
            running = ", ".join(self._where(job) for job in self.session.jobs.values() if job.started)
            self.console.print(
                f"{_clock(now - self.session.began)} {self._counts()} · {running}", soft_wrap=True
            )

    def _event(self, event: str, trial: TrialRecord | None) -> None:
        elapsed = _clock(time.time() - self.session.began)
        if event == "stopping":
            self.console.print(f"{elapsed} stopping: {self.session.stopping}", style="yellow", soft_wrap=True)
        elif event == "retried" and trial is not None:
            self.console.print(f"{elapsed} trial {trial.number} crashed and is tried again", style="yellow")
        elif event in ("complete", "pruned", "failed") and trial is not None:
            style = "red" if event == "failed" else ""
            self.console.print(f"{elapsed} {self._ended(trial)}", style=style, soft_wrap=True)

    def _ended(self, trial: TrialRecord) -> str:
        curve = trial.curve()
        last = f"mAP {percent(curve[max(curve)])}" if curve else "no result"
        reason = f" ({trial.reason})" if trial.reason else ""
        origin = "" if trial.origin == "search" else f" [{trial.origin}]"
        return f"trial {trial.number}{origin} {trial.state}{reason}: {last} · {parameters(trial)}"

    def _picture(self) -> Group:
        table = Table(box=None, pad_edge=False)
        for name in ("trial", "step", "mAP", "time left", *[_SYMBOLS[n] for n in _SHOWN]):
            table.add_column(
                name, justify="left" if name in ("trial", "α schedule") else "right", no_wrap=True
            )
        for job in sorted(self.session.jobs.values(), key=lambda job: job.number):
            trial = self.session.ledger.trials[job.number]
            flat = Config.from_dict(trial.config).flat()
            curve = trial.curve()
            table.add_row(
                f"{trial.number}{'' if trial.origin == 'search' else ' ' + trial.origin}",
                self._position(trial, job),
                percent(curve[max(curve)]) if curve else "–",
                _clock(left) if (left := _time_left(trial, job)) is not None else "–",
                *(_short(flat[name]) for name in _SHOWN),
            )
        heading = Text(f"{_clock(time.time() - self.session.began)}  {self._counts()}  {self._best()}")
        return Group(heading, table)

    def _counts(self) -> str:
        states = [t.state for t in self.session.ledger.trials.values()]
        running = sum(1 for job in self.session.jobs.values() if job.started)
        told = [f"{states.count('complete')}/{self.session.target} done"] + [
            f"{count} {name}"
            for name, count in (
                ("pruned", states.count("pruned")),
                ("failed", states.count("failed")),
                ("running", running),
            )
            if count
        ]
        return ", ".join(told)

    def _best(self) -> str:
        best = best_trial(self.session)
        return "" if best is None else f"best so far: mAP {percent(best.value)} (trial {best.number})"

    def _where(self, job: Job) -> str:
        trial = self.session.ledger.trials[job.number]
        curve = trial.curve()
        left = _time_left(trial, job)
        return (
            f"trial {trial.number}: step {self._position(trial, job)}"
            + (f", mAP {percent(curve[max(curve)])}" if curve else "")
            + (f", {_clock(left)} left" if left is not None else "")
        )

    def _position(self, trial: TrialRecord, job: Job) -> str:
        if job.started is None:
            return "waiting"
        done = max(trial.last_step, 0)
        text = f"{done}/{trial.total_steps}" if trial.total_steps is not None else "starting"
        note = _epoch(self.session.job(trial)["storage"], job.started)
        if note is not None and note["stage"] == done + 1 and note["epochs"] > 1:
            text += f" (epoch {note['epoch']}/{note['epochs']})"
        return text


def _epoch(storage: str, since: float) -> dict[str, Any] | None:
    """The trial's note on its epoch, if it is of this session and on a disk that is quick to ask."""
    if "://" in storage or not Path(storage).is_dir():
        return None
    content = Storage(storage).read("progress.json")
    if content is None:
        return None
    note: dict[str, Any] = json.loads(content)
    return note if note["time"] >= since else None


def _time_left(trial: TrialRecord, job: Job) -> float | None:
    """Seconds, from the pace of the later stages (the first is longer)."""
    total = trial.total_steps
    times = job.times[2:] if job.resumed_from < 0 else job.times  # not the untrained row, nor the first stage
    if total is None or len(times) < 2:
        return None
    pace = (times[-1] - times[0]) / (len(times) - 1)
    return max(0.0, pace * (total - trial.last_step) - (time.time() - times[-1]))


def best_trial(session: Session) -> TrialRecord | None:
    """The complete trial with the highest value of the objective."""
    ended = [t for t in session.ledger.trials.values() if t.state == "complete" and t.value is not None]
    return max(ended, key=lambda t: (t.value or 0.0, -t.number), default=None)


def parameters(trial: TrialRecord) -> str:
    """λ1 0.06 λ2 0.003 τ 0.1 α linear to 0.5"""
    flat = Config.from_dict(trial.config).flat()
    schedule = flat["train.alpha_schedule"]
    return (
        f"λ1 {_short(flat['merge.lambda1'])} λ2 {_short(flat['merge.lambda2'])} "
        f"τ {_short(flat['train.temperature'])} α {schedule} {'' if schedule == 'fixed' else 'to '}"
        f"{_short(flat['train.alpha'])} seed {trial.seed}"
    )


def percent(value: float | None) -> str:
    """A fraction as percent with one decimal."""
    return "–" if value is None else f"{100 * value:.1f}"


def summary(session: Session, console: Console, command: str, folder: Path) -> None:
    """The closing words: best configurations, the paper's, the untrained network, files, what to do next."""
    trials = list(session.ledger.trials.values())
    ended = [t for t in trials if t.state == "complete" and t.curve()]
    objective = session.plan.objective
    if ended:
        ended.sort(key=lambda t: -(t.value or 0.0))
        console.print(_ranking(ended, objective))
    untrained = next((t.steps[0] for t in trials if t.steps.get(0, {}).get("mAP") is not None), None)
    if untrained is not None:
        console.print(
            f"untrained network: mAP {percent(untrained['mAP'])} "
            f"(trapezoid {percent(untrained['mAP_trapezoid'])}), rank-1 {percent(untrained['rank1'])}"
        )
    elif trials and not session.data.test:
        console.print("the data has no labelled test split: nothing was measured but the classes")
    console.print(
        f"measured on: {session.data.protocol}; mAP is the rectangle rule, the trapezoid is MARS's own\n"
        f"the search maximised the mAP of {_objective(objective)}; best configurations of a search are "
        "optimistic: confirm them on new seeds",
        soft_wrap=True,
    )
    for trial in trials:
        if trial.state == "failed":
            console.print(f"trial {trial.number} failed: {trial.reason}", style="red", soft_wrap=True)
    console.print(
        f"everything lies in {folder} (results.parquet: one row per trial and merge step)", soft_wrap=True
    )
    console.print(_next(session, command, folder), soft_wrap=True)


def _objective(objective: str) -> str:
    return "the last merge step" if objective == "last" else "the best merge step (chosen with test labels)"


def _ranking(ended: list[TrialRecord], objective: str) -> Table:
    table = Table(box=None, pad_edge=False, title=f"configurations by the mAP of {_objective(objective)}")
    for name in ("trial", "mAP last", "trapezoid", "rank-1", "mAP best", "at step"):
        table.add_column(name, justify="right")
    table.add_column("configuration", justify="left", overflow="fold")
    papers = [t for t in ended if t.origin == "paper" and t not in ended[:5]]
    for trial in [*ended[:5], *papers]:
        curve = trial.curve()
        best = max(curve, key=lambda step: (curve[step], -step))
        last = trial.steps[max(curve)]
        origin = " = the paper's" if "paper" in trial.labels or trial.origin == "paper" else ""
        labels = f" ({', '.join(trial.labels)})" if trial.labels and not origin else ""
        table.add_row(
            str(trial.number),
            *(percent(last[name]) for name in ("mAP", "mAP_trapezoid", "rank1")),
            percent(curve[best]),
            str(best),
            parameters(trial) + origin + labels,
        )
    return table


def _next(session: Session, command: str, folder: Path) -> str:
    open_trials = [t for t in session.ledger.trials.values() if t.state == "running"]
    if session.stopping or open_trials:
        return f"to go on: python study/run.py --resume {folder}"
    again = f"next: python study/run.py --resume {folder}"
    if session.plan.experiments is not None:
        return f"{again} --seeds {session.plan.seeds + 2}   # more seeds"
    return f"{again} --samples {2 * session.plan.samples}   # more of the same search"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"

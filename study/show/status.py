"""`python -m study status`: what a study has done, is doing and has left, from its folder alone.

Nothing is written and no Ray is needed, so it works beside a running driver, after it, and on a copy
of the folder.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dcreid.config import Config
from study.decide.queue import Queue
from study.plan import StudyPlan
from study.record.folder import driver_of, read_description
from study.record.ledger import FINISHED, Ledger, TrialRecord, row_seconds
from study.record.storage import Storage
from study.show.summary import next_command
from study.show.wording import parameters


@dataclass
class Status:
    """A study as its folder tells it; `refresh` reads on."""

    plan: StudyPlan
    description: dict[str, Any]  # study.json
    ledger: Ledger
    driver: str | None  # that is working on it now
    now: float  # when it was read

    @classmethod
    def read(cls, name: str, studies: str) -> Status:
        """The study of that name or path. Raises StudyError."""
        plan, description = read_description(name, studies, "STUDY")
        ledger = Ledger(plan.folder / "ledger.jsonl", read_only=True)
        return cls(plan, description, ledger, driver_of(plan.folder), time.time())

    def refresh(self) -> None:
        """Reads what has been added since."""
        self.plan, self.description = read_description(str(self.plan.folder), self.plan.studies, "STUDY")
        self.ledger.refresh()
        self.driver, self.now = driver_of(self.plan.folder), time.time()
        self.__dict__.pop("queue", None)

    @cached_property
    def queue(self) -> Queue:
        """What there is to do and how much of it is done."""
        return Queue(self.plan, self.description["dataset"]["fingerprint"], self.ledger, None)

    @property
    def trials(self) -> list[TrialRecord]:
        """All trials, in the order of their numbers."""
        return [self.ledger.trials[number] for number in sorted(self.ledger.trials)]

    def state(self, trial: TrialRecord) -> str:
        """running only where a driver is at it; waiting or interrupted where none is."""
        if trial.state != "running":
            return "reused" if trial.reused else trial.state
        if self.driver is not None and trial.session == len(self.ledger.sessions):
            return "running"
        return "interrupted" if trial.attempts else "waiting"

    # --- time and cost

    @property
    def seconds(self) -> float:
        """Trial-seconds spent on merge steps that are recorded."""
        return sum(trial.seconds for trial in self.trials)

    @property
    def gpu_hours(self) -> float:
        """The same times the GPUs of each trial."""
        return sum(trial.gpu_seconds for trial in self.trials) / 3600

    @property
    def saved_seconds(self) -> float:
        """Trial-seconds not spent, because stages were shared between trials."""
        return sum(row.get("saved_seconds") or 0.0 for t in self.trials for row in t.steps.values())

    def seconds_left(self) -> tuple[float, int] | None:
        """(trial-seconds left, trials at a time now); None before there is anything to tell it from.

        Trials cost what finished ones have cost on average, ended early or not.
        """
        finished = [t.seconds for t in self.trials if t.state in FINISHED and t.seconds]
        running = [t for t in self.trials if t.state == "running"]
        begun = [estimate for t in running if (estimate := _whole_seconds(t)) is not None]
        if not finished and not begun:
            return None
        mean = sum(finished) / len(finished) if finished else sum(begun) / len(begun)
        new = max(0, self.queue.target - self.queue.done() - len(running))
        left = sum(max(0.0, (_whole_seconds(t) or mean) - t.seconds) for t in running) + new * mean
        return left, sum(1 for t in running if self.state(t) == "running")

    def epoch(self, trial: TrialRecord) -> str | None:
        """The epoch under way, as the trial notes it on disks that are quick to ask."""
        place = self.plan.trial_storage(trial.number)
        if self.state(trial) != "running" or "://" in place or not Path(place).is_dir():
            return None
        content = Storage(place).read("progress.json")
        note = {} if content is None else json.loads(content)
        if note.get("stage") != max(trial.last_step, 0) + 1:
            return None
        return f"{note['epoch']}/{note['epochs']}"

    def next_command(self) -> str:
        """What to type next."""
        if self.driver is not None:
            return f"python -m study status {self.plan.folder} --watch 10"
        return next_command(self.plan, self.queue.complete)


def _whole_seconds(trial: TrialRecord) -> float | None:
    """What a trial is going to take, from the pace of its later stages; None before two merge steps."""
    later = [step for step in trial.steps if step > 1]
    if trial.total_steps is None or not later:
        return None
    pace = sum(row_seconds(trial.steps[step]) for step in later) / len(later)
    return trial.seconds + pace * (trial.total_steps - trial.last_step)


def as_dict(status: Status) -> dict[str, Any]:
    """The status for machines: plain values, fractions and seconds."""
    left = status.seconds_left()
    return {
        "study": status.plan.name,
        "folder": str(status.plan.folder),
        "dataset": status.description["dataset"]["name"],
        "protocol": status.description["dataset"]["protocol"],
        "objective": status.plan.objective,
        "driver": status.driver,
        "complete": status.queue.complete,
        "done": status.queue.done(),
        "target": status.queue.target,
        "trial_seconds": status.seconds,
        "gpu_hours": status.gpu_hours,
        "saved_seconds": status.saved_seconds,
        "trial_seconds_left": None if left is None else left[0],
        "running_now": 0 if left is None else left[1],
        "sessions": status.ledger.sessions,
        "trials": [_trial_dict(status, trial) for trial in status.trials],
        "next": status.next_command(),
    }


def _trial_dict(status: Status, trial: TrialRecord) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "state": status.state(trial),
        "reason": trial.reason,
        "origin": trial.origin,
        "labels": list(trial.labels),
        "reused": trial.reused,
        "step": max(trial.last_step, 0),
        "total_steps": trial.total_steps,
        "epoch": status.epoch(trial),
        "mAP": trial.curve(),
        "value": trial.value,
        "told": parameters(trial, status.plan),
        "config": Config.from_dict(trial.config).flat(),
        "attempts": trial.attempts,
        "retries": trial.retries,
        "notes": trial.notes,
        "seconds": trial.seconds,
        "gpu_seconds": trial.gpu_seconds,
    }

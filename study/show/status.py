"""`python -m study status`: what a study has done, is doing and has left, from its folder alone.

Nothing is written and no Ray is needed, so it works beside a running driver, after it, and on a copy
of the folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dcreid.config import Config
from study.decide.queue import Queue
from study.plan import StudyPlan
from study.record.folder import driver_of, read_description
from study.record.ledger import Ledger, TrialRecord
from study.show.next_command import next_command
from study.show.view import Attempt, StudyView
from study.show.wording import normalised_columns, parameters


@dataclass
class Status:
    """A study as its folder has it; `refresh` reads on."""

    plan: StudyPlan
    description: dict[str, Any]  # study.json
    ledger: Ledger
    driver: str | None  # that is working on it now

    def __post_init__(self) -> None:
        self.view = self._view()

    @classmethod
    def read(cls, name: str, studies: str) -> Status:
        """The study of that name or path. Raises StudyError."""
        plan, description = read_description(name, studies, "STUDY")
        ledger = Ledger(plan.folder / "ledger.jsonl", read_only=True)
        return cls(plan, description, ledger, driver_of(plan.folder))

    def refresh(self) -> None:
        """Reads what has been added since."""
        self.plan, self.description = read_description(str(self.plan.folder), self.plan.studies, "STUDY")
        self.ledger.refresh()
        self.driver = driver_of(self.plan.folder)
        self.view = self._view()

    def _view(self) -> StudyView:
        queue = Queue(self.plan, self.description["dataset"]["fingerprint"], self.ledger, None)
        return StudyView(self.plan, self.ledger, queue, self._under_way())

    def _under_way(self) -> dict[int, Attempt | None]:
        """The trials that the driver has started in its session, and not before."""
        if self.driver is None or not self.ledger.sessions:
            return {}
        began, count = self.ledger.sessions[-1]["time"], len(self.ledger.sessions)
        unfinished = (trial for trial in self.ledger.trials.values() if trial.state == "running")
        return {trial.number: Attempt(began) for trial in unfinished if trial.session == count}

    def next_command(self) -> str:
        """What to type next."""
        if self.driver is not None:
            return f"python -m study status {self.plan.folder} --watch 10"
        return next_command(self.plan, self.view.queue.complete)


def as_dict(status: Status) -> dict[str, Any]:
    """The status for machines: plain values, fractions and seconds."""
    view, data = status.view, status.description["dataset"]
    left = view.seconds_left()
    return {
        "study": status.plan.name,
        "folder": str(status.plan.folder),
        "dataset": data["name"],
        "protocol": data["protocol"],
        "objective": status.plan.objective,
        "driver": status.driver,
        "set_aside": status.ledger.set_aside if status.driver is not None else {},
        "problems": status.ledger.problems(),
        "complete": view.queue.complete,
        "done": view.queue.done(),
        "target": view.queue.target,
        "trial_seconds": view.seconds,
        "gpu_hours": view.gpu_hours,
        "saved_seconds": view.saved[1],
        "trial_seconds_left": None if left is None else left[0],
        "running_now": 0 if left is None else left[1],
        "enqueued": [_changes(status, item.config) for item in view.queue.waiting],
        "sessions": status.ledger.sessions,
        "trials": [_trial_dict(view, trial) for trial in view.trials],
        "next": status.next_command(),
    }


def _changes(status: Status, config: Config) -> dict[str, Any]:
    """The fields that a configuration has otherwise than trial 0."""
    held = status.plan.config.flat()
    return {name: value for name, value in config.flat().items() if value != held[name]}


def _trial_dict(view: StudyView, trial: TrialRecord) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "state": view.state(trial),
        "reason": trial.reason,
        "origin": trial.origin,
        "labels": list(trial.labels),
        "reused": trial.reused,
        "step": max(trial.last_step, 0),
        "total_steps": trial.total_steps,
        "epoch": view.epoch(trial),
        "mAP": trial.curve(),
        "unlabelled": trial.curve("unlabelled"),
        "selected_step": trial.selected_step,
        **{name: trial.curve(name) for name in normalised_columns([trial])},
        "value": trial.value,
        "told": parameters(trial, view.plan),
        "config": Config.from_dict(trial.config).flat(),
        "attempts": trial.attempts,
        "retries": trial.retries,
        "moves": trial.moves,
        "notes": trial.warnings,
        "seconds": trial.seconds,
        "gpu_seconds": trial.gpu_seconds,
    }

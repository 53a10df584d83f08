"""The ledger: the truth about a study, one append-only file of JSON lines written by the driver.

Optuna's study, the results table and what the console shows are made from it. Four events make a trial:
`trial` (what it is), `start`, `step` (one row of results) and `end`; `retry` and `note` record
crashes and warnings on the way, and `again` takes a trial up that had ended. A line that was cut by a
crash is passed over; all others count.
Every `session` carries the schema's version (`study/record/schema.py`). Configurations are completed as they
are read: fields that they did not have yet get their defaults.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO

from dcreid.config import completed
from study.record.schema import SCHEMA, check_schema

# A training that diverges is a result of its configuration; a failure is one of the machine or the code.
FINISHED = ("complete", "pruned", "diverged")
# What a training that diverged is worth: there is no network left to rank anybody with.
DIVERGED_VALUE = 0.0


@dataclass
class TrialRecord:
    """A trial as the ledger has it. `state` is running until it ends, whoever is working on it."""

    number: int
    config: dict[str, Any]  # of dcreid.config.Config, nested
    digest: str  # of configuration, data and code
    origin: str  # paper, given, search, plan or confirm
    labels: tuple[str, ...]  # experiments of a plan it belongs to
    params: dict[str, Any]  # what the sampler drew
    distributions: dict[str, str]  # Optuna's JSON for each of them
    created: float
    state: str = "running"
    reason: str | None = None
    value: float | None = None  # of the objective
    reused: str | None = None  # the study and trial whose rows these are; nothing was computed here
    attempts: int = 0
    session: int = 0  # 1, 2, …: in which it was last started
    gpus: float = 0.0  # that it was last started with
    gpu_seconds: float = 0.0  # of the merge steps recorded
    retries: list[str] = field(default_factory=list)  # why it was started again within a session
    notes: list[str] = field(default_factory=list)  # warnings of its worker
    steps: dict[int, dict[str, Any]] = field(default_factory=dict)
    ended: float | None = None

    @property
    def seed(self) -> int:
        """Seed of the run."""
        return int(self.config["seed"])

    @property
    def last_step(self) -> int:
        """Newest merge step recorded; 0 = the untrained network; -1 = nothing yet."""
        return max(self.steps, default=-1)

    @property
    def total_steps(self) -> int | None:
        """Merge steps the trial has when it is complete; None before its first report."""
        return next((row["total_steps"] for row in self.steps.values()), None)

    @property
    def measured(self) -> bool:
        """Whether retrieval was measured at all: not where the data have no labels."""
        return any(row.get("mAP") is not None for row in self.steps.values())

    @property
    def diverged_at(self) -> int | None:
        """The merge step whose training diverged; None where none did."""
        return max(self.last_step, 0) + 1 if self.state == "diverged" else None

    def curve(self, metric: str = "mAP") -> dict[int, float]:
        """Merge step to value, where it was measured; the untrained network's is left out."""
        rows = ((step, row.get(metric)) for step, row in sorted(self.steps.items()) if step > 0)
        return {step: value for step, value in rows if value is not None and math.isfinite(value)}

    def objective_curve(self, objective: str) -> dict[int, float]:
        """What the study maximises, by merge step: mAP, or for `best` the best mAP so far.

        A training that diverged has DIVERGED_VALUE at the step where it did.
        """
        curve = self.curve()
        if self.diverged_at is not None and self.measured:
            curve[self.diverged_at] = DIVERGED_VALUE
        if objective == "last":
            return curve
        return dict(zip(curve, accumulate(curve.values(), max), strict=True))

    def objective_value(self, objective: str) -> float | None:
        """The objective at the newest step that has one."""
        curve = self.objective_curve(objective)
        return curve[max(curve)] if curve else None

    @property
    def seconds(self) -> float:
        """Seconds that this study spent on the merge steps recorded (work lost to a crash is not counted)."""
        return 0.0 if self.reused else sum(map(row_seconds, self.steps.values()))


def row_seconds(row: dict[str, Any]) -> float:
    """Seconds that a merge step took."""
    return sum(value or 0.0 for name, value in row.items() if name.startswith("seconds_"))


class Ledger:
    """Events in memory and on disk; `append` returns when they are on disk.

    read_only: for looking at a study, also while its driver writes. Raises StudyError for a ledger of a
    newer schema.
    """

    def __init__(self, path: Path, *, read_only: bool = False):
        self.path = path
        self.trials: dict[int, TrialRecord] = {}
        self.sessions: list[dict[str, Any]] = []
        self.damaged_lines = 0
        self._size = 0  # bytes of the whole lines read
        cut = self.refresh()
        self._file: BinaryIO | None = None
        if not read_only:
            self._file = path.open("ab", buffering=0)
            if cut:  # the driver died in the middle of it
                self.damaged_lines += 1
                self._file.write(b"\n")

    def refresh(self) -> bool:
        """Reads the lines that a driver has added since; returns whether the last is not whole (yet)."""
        if not self.path.is_file():
            return False
        with self.path.open("rb") as file:
            file.seek(self._size)
            lines = file.read().split(b"\n")
        cut = lines.pop()
        for line in lines:
            self._read(line)
            self._size += len(line) + 1
        return bool(cut)

    def append(self, event: str, **content: Any) -> None:
        """Writes one event and applies it. Raises OSError where the disk refuses."""
        self.append_all((event, content))

    def append_all(self, *events: tuple[str, dict[str, Any]]) -> None:
        """Writes events that belong together in one go: after a crash all of them are there, or none."""
        if self._file is None:
            raise ValueError(f"{self.path} was opened for reading")
        entries = [_plain(_stamped(event) | content) for event, content in events]
        text = "".join(json.dumps(entry) + "\n" for entry in entries).encode()
        written = 0
        try:
            while written < len(text):
                written += self._file.write(text[written:])
            os.fsync(self._file.fileno())
        except OSError:
            if written:  # cut by a full disk: keep it apart from the next
                with contextlib.suppress(OSError):
                    os.ftruncate(self._file.fileno(), os.fstat(self._file.fileno()).st_size - written)
            raise
        for entry in entries:
            self._apply(entry)

    def close(self) -> None:
        """Closes the file; the trials stay readable."""
        if self._file is not None:
            self._file.close()

    def next_number(self) -> int:
        """The number of the next new trial."""
        return max(self.trials, default=-1) + 1

    def _read(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            self._apply(json.loads(line))
        # Not JSON, or of a trial whose first line is damaged.
        except (ValueError, KeyError, TypeError, AttributeError):
            self.damaged_lines += 1

    def _apply(self, entry: dict[str, Any]) -> None:
        event = entry["event"]
        if event == "session":
            check_schema(entry.get("schema", 1), self.path)
            self.sessions.append(entry)
        elif event == "session_end" and self.sessions:
            self.sessions[-1] |= {
                "ended": entry["time"],
                "why": entry.get("why"),
                "complete": entry.get("complete", False),
            }
        elif event == "trial":
            names = ("number", "config", "digest", "origin", "params", "distributions")
            self.trials[entry["number"]] = TrialRecord(
                **{name: entry[name] for name in names} | {"config": completed(entry["config"])},
                labels=tuple(entry["labels"]),
                created=entry["time"],
                reused=entry.get("reused"),
            )
        elif event in ("start", "step", "end", "retry", "note", "again"):
            self._apply_to_trial(self.trials[entry["trial"]], event, entry)
        if self.sessions:
            self.sessions[-1]["last"] = entry["time"]  # a session that was killed has no end

    def _apply_to_trial(self, trial: TrialRecord, event: str, entry: dict[str, Any]) -> None:
        if event == "start":
            trial.attempts += 1
            trial.session, trial.gpus = len(self.sessions), entry.get("gpus", 0.0)
        elif event == "step":
            if entry["row"]["step"] not in trial.steps:  # a repeated step changes nothing
                trial.steps[entry["row"]["step"]] = entry["row"]
                trial.gpu_seconds += trial.gpus * row_seconds(entry["row"])
        elif event == "retry":
            trial.retries.append(entry["reason"])
        elif event == "note":
            trial.notes.append(entry["text"])
        elif event == "again":
            trial.state, trial.reason, trial.value, trial.ended = "running", None, None, None
            trial.notes.append(entry["reason"])
        else:
            trial.state, trial.reason = entry["state"], entry.get("reason")
            trial.value, trial.ended = entry.get("value"), entry["time"]


def _stamped(event: str) -> dict[str, Any]:
    stamp = {"event": event, "time": time.time()}
    return stamp | {"schema": SCHEMA} if event == "session" else stamp


def _plain(value: Any) -> Any:
    """JSON has no NaN: it becomes null, as in the results table."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

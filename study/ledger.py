"""The ledger: the truth about a study, one append-only file of JSON lines written by the driver.

Optuna's study, the results table and the console are projections of it. Four events make a trial:
`trial` (what it is), `start`, `step` (one row of results) and `end`. A line that was cut by a crash
is passed over; everything before it counts.
"""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FINISHED = ("complete", "pruned")


@dataclass
class TrialRecord:
    """A trial as the ledger tells it. `state` is running until it ends, whoever is working on it."""

    number: int
    config: dict[str, Any]  # of dcreid.config.Config, nested
    digest: str  # of configuration, data and code
    origin: str  # paper, search, plan or confirm
    labels: tuple[str, ...]  # experiments of a plan it belongs to
    params: dict[str, Any]  # what the sampler drew
    distributions: dict[str, str]  # Optuna's JSON for each of them
    created: float
    state: str = "running"
    reason: str | None = None
    value: float | None = None
    attempts: int = 0
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

    def curve(self, metric: str = "mAP") -> dict[int, float]:
        """Merge step to value, where it was measured; the untrained network's is left out."""
        rows = sorted(self.steps.items())
        return {step: row[metric] for step, row in rows if step > 0 and row.get(metric) is not None}

    @property
    def seconds(self) -> float:
        """Trial-seconds computed so far, over all attempts."""
        return sum(
            value or 0.0
            for row in self.steps.values()
            for name, value in row.items()
            if name.startswith("seconds_")
        )


class Ledger:
    """Events in memory and on disk; `append` returns when the line is on disk.

    read_only: for looking at a study, also while its driver writes.
    """

    def __init__(self, path: Path, *, read_only: bool = False):
        self.path = path
        self.trials: dict[int, TrialRecord] = {}
        self.sessions: list[dict[str, Any]] = []
        self.damaged_lines = 0
        whole = b""
        if path.is_file():
            whole = path.read_bytes()
            for line in whole.splitlines():
                self._read(line)
        self._file = None if read_only else path.open("ab")
        if (
            self._file is not None and whole and not whole.endswith(b"\n")
        ):  # the last line was cut: keep it apart from the next
            self._file.write(b"\n")

    def append(self, event: str, **content: Any) -> None:
        """Writes one event and applies it. Raises OSError where the disk refuses."""
        entry = {"event": event, "time": time.time(), **content}
        if self._file is None:
            raise ValueError(f"{self.path} was opened for reading")
        self._file.write(json.dumps(_plain(entry)).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
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
            entry = json.loads(line)
        except ValueError:
            self.damaged_lines += 1
            return
        self._apply(entry)

    def _apply(self, entry: dict[str, Any]) -> None:
        event = entry["event"]
        if event == "session":
            self.sessions.append(entry)
        elif event == "session_end" and self.sessions:
            self.sessions[-1]["ended"] = entry["time"]
        elif event == "trial":
            names = ("number", "config", "digest", "origin", "params", "distributions")
            self.trials[entry["number"]] = TrialRecord(
                **{name: entry[name] for name in names},
                labels=tuple(entry["labels"]),
                created=entry["time"],
            )
        elif event in ("start", "step", "end"):
            self._apply_to_trial(self.trials[entry["trial"]], event, entry)

    def _apply_to_trial(self, trial: TrialRecord, event: str, entry: dict[str, Any]) -> None:
        if event == "start":
            trial.attempts += 1
        elif event == "step":
            trial.steps.setdefault(entry["row"]["step"], entry["row"])  # a repeated step changes nothing
        else:
            trial.state, trial.reason = entry["state"], entry.get("reason")
            trial.value, trial.ended = entry.get("value"), entry["time"]


def _plain(value: Any) -> Any:
    """JSON has no NaN: it becomes null, as in the results table."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

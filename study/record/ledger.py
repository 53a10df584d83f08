"""The ledger: the truth about a study, one append-only file of JSON lines written by the driver.

Optuna's study, the results table and what the console shows are made from it. Four events make a trial:
`trial` (what it is), `start`, `step` (one row of results) and `end`; `retry` and `note` record
crashes and warnings on the way, and `again` takes a trial up that had ended. `enqueue` is a configuration
that somebody wants run next. `place` records that a node or GPU is set aside, or given back.

Every line has a checksum and the number of its session. A line that a crash has cut, or a disk has
damaged, is passed over, and so is one of a driver that went on after another had taken its place; all
others count, and what is missing is computed again. There is one writer: it holds a lock on the file,
and looks before each line whether the file is as it has left it.
Every `session` carries the schema's version (`study/record/schema.py`). Configurations are completed as they
are read: fields that they did not have yet get their defaults.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import secrets
import socket
import time
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO

from dcreid.config import completed
from dcreid.disk import located
from study.errors import StudyError
from study.plan import OBJECTIVES
from study.record.lines import DamagedLine, read_line, sealed
from study.record.schema import SCHEMA, check_schema

try:
    import fcntl
except ImportError:  # Windows: a lock beside the ledger has to do
    fcntl = None  # type: ignore[assignment]

# A training that diverges is a result of its configuration; a failure is one of the machine or the code.
FINISHED = ("complete", "pruned", "diverged")
# What a training that diverged is worth, by any objective: there is no network left to rank anybody with.
DIVERGED_VALUE = 0.0
_OF_TRIALS = ("start", "step", "end", "retry", "note", "again")
ENQUEUED = "enqueued"  # the origin of trials that `enqueue` has made
_DEFINITION = ("number", "config", "digest", "origin", "params", "distributions")


@dataclass
class TrialRecord:
    """A trial as the ledger has it. `state` is running until it ends, whoever is working on it."""

    number: int
    config: dict[str, Any]  # of dcreid.config.Config, nested
    digest: str  # of configuration, data and code
    origin: str  # given, search, plan, confirm, enqueued, or of trial 0 its preset
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
    computed_in: list[int] = field(default_factory=list)  # the sessions that its rows are of
    gpus: float = 0.0  # that it was last started with
    gpu_seconds: float = 0.0  # of the merge steps recorded
    retries: list[str] = field(default_factory=list)  # why it was started again within a session
    moves: list[str] = field(default_factory=list)  # the same, where a node or GPU was to blame
    frugal: bool = False  # it has run out of GPU memory, and saves it since
    notes: list[str] = field(default_factory=list)  # warnings of its worker
    steps: dict[int, dict[str, Any]] = field(default_factory=dict)
    ended: float | None = None
    ended_after: int | None = None  # the merge step that was its last
    # State and reason of an end whose line is missing, or that waits for rows that are.
    ends_as: dict[str, Any] | None = None

    @property
    def seed(self) -> int:
        """Seed of the run."""
        return int(self.config["seed"])

    @property
    def last_step(self) -> int:
        """Newest merge step recorded; 0 = the untrained network; -1 = nothing yet."""
        return max(self.steps, default=-1)

    @property
    def recorded(self) -> int:
        """Newest merge step up to which no row is missing; -1 = not even the untrained network's."""
        return next(step for step in itertools.count() if step not in self.steps) - 1

    @property
    def gaps(self) -> bool:
        """Whether rows are missing of a trial that has finished: their lines are damaged."""
        last = self.total_steps or 0 if self.state == "complete" else self.last_step
        return self.state in FINISHED and self.recorded < max(last, self.ended_after or -1)

    @property
    def total_steps(self) -> int | None:
        """Merge steps the trial has when it is complete; None before its first report."""
        return next((row["total_steps"] for row in self.steps.values()), None)

    @property
    def warnings(self) -> list[str]:
        """What its worker warned of, and what the run found wrong with the data; each once."""
        found = self.steps.get(0, {}).get("problems", ())
        return list(dict.fromkeys([*self.notes, *found]))

    def definition(self) -> dict[str, Any]:
        """What makes it this trial; repeated where it starts, for when its own line is damaged."""
        return {name: getattr(self, name) for name in (*_DEFINITION, "labels", "created")}

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

    def highest_step(self, metric: str) -> int | None:
        """The merge step at which a metric is highest, the first of equals; None where none was measured."""
        curve = self.curve(metric)
        return max(curve, key=lambda step: (curve[step], -step)) if curve else None

    @property
    def selected_step(self) -> int | None:
        """The merge step that is chosen without labels: that of the highest score."""
        return self.highest_step("unlabelled")

    @property
    def selected(self) -> dict[str, Any]:
        """The row of the selected step; empty where there is none."""
        step = self.selected_step
        return {} if step is None else self.steps[step]

    def objective_curve(self, objective: str) -> dict[int, float]:
        """What the study maximises, by merge step: mAP, or the best so far of mAP or of `unlabelled`.

        A training that diverged has DIVERGED_VALUE at the step where it did; only by `best` a better step
        before it counts.
        """
        metric, end = OBJECTIVES[objective], {}
        if self.diverged_at is not None and any(row.get(metric) is not None for row in self.steps.values()):
            end[self.diverged_at] = DIVERGED_VALUE
        curve = self.curve(metric) | end
        if objective == "last":
            return curve
        so_far = dict(zip(curve, accumulate(curve.values(), max), strict=True))
        return so_far | end if objective == "unlabelled" else so_far

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
    newer schema, one that another driver holds, or what is no file.
    """

    def __init__(self, path: Path, *, read_only: bool = False):
        self.path = path
        self.trials: dict[int, TrialRecord] = {}
        self.sessions: list[dict[str, Any]] = []
        self.enqueued: list[dict[str, Any]] = []  # configurations to be run, run or not, each once
        self.set_aside: dict[str, str] = {}  # nodes and GPUs that get no trials in this session, and why
        self.damage: list[str] = []  # lines that are passed over: which, and why
        self._size = 0  # bytes that count as read
        self._lines = 0
        self._sealed = False  # whether lines of the session that is read have checksums
        self._numbers: set[int] = set()  # of trials that any line speaks of
        if path.exists() and not path.is_file():
            raise StudyError(f"{path}: not a file; put the study's ledger there")
        self._file: BinaryIO | None = None if read_only else _opened(path)
        cut = self.refresh()
        if cut and self._file is not None:  # the driver died in the middle of it
            self._file.write(b"\n")
            self.refresh()

    def refresh(self) -> bool:
        """Reads the lines that a driver has added since; returns whether the last is not whole (yet)."""
        if not self.path.is_file():
            return False
        with self.path.open("rb") as file:
            file.seek(self._size)
            lines = file.read().split(b"\n")
        cut = lines.pop()
        for line in lines:
            self._size += len(line) + 1
            self._lines += 1
            self._read(line)
        return bool(cut)

    def append(self, event: str, **content: Any) -> None:
        """Writes one event and applies it. Raises OSError where the disk refuses.

        Raises StudyError where this driver is not the only one (any more).
        """
        self.append_all((event, content))

    def append_all(self, *events: tuple[str, dict[str, Any]]) -> None:
        """Writes events that belong together in one go: after a crash all of them are there, or none."""
        if self._file is None:
            raise ValueError(f"{self.path} was opened for reading")
        self.check_alone()
        entries = [self._stamped(event) | content for event, content in events]
        text = b"".join(map(sealed, entries))
        written = 0
        try:
            while written < len(text):
                written += self._file.write(text[written:])
            os.fsync(self._file.fileno())
        except OSError as error:
            if written:  # cut by a full disk: keep it apart from the next
                with contextlib.suppress(OSError):
                    os.ftruncate(self._file.fileno(), self._size)
            raise located(error, self.path, len(text)) from None
        self.refresh()

    def check_alone(self) -> None:
        """Raises StudyError where somebody else has written to the ledger, or put another in its place.

        Locks do not hold everywhere (other machines, network file systems): before anything is written
        the file must be as this driver has left it.
        """
        if self._file is None:
            return
        try:
            with self.path.open("rb") as there:  # opened anew: network file systems then look at the server
                now, mine = os.fstat(there.fileno()), os.fstat(self._file.fileno())
        except FileNotFoundError:
            raise StudyError(
                f"{self.path} is gone: moved or removed under this driver, which stops"
            ) from None
        if (now.st_dev, now.st_ino) != (mine.st_dev, mine.st_ino):
            raise StudyError(f"{self.path} is another file than before: this driver stops")
        if now.st_size != self._size:
            raise StudyError(
                f"{self.path}: another driver has written to it{self._by_whom()}; this one stops, and leaves "
                "the study to that"
            )

    def _by_whom(self) -> str:
        other = Ledger(self.path, read_only=True)
        last = other.sessions[-1] if len(other.sessions) > len(self.sessions) else {}
        return f" (process {last['pid']} on {last['host']})" if {"pid", "host"} <= last.keys() else ""

    @property
    def study_id(self) -> str:
        """Names the study, wherever its folder is moved: every session repeats it."""
        for session in self.sessions:
            if "study" in session:
                return str(session["study"])
        first = self.sessions[0] if self.sessions else {}
        if "pid" in first:  # of code that did not give ids
            return f"{first['time']:.6f}-{first['pid']}"
        return secrets.token_hex(8)

    def problems(self) -> list[str]:
        """What is wrong with the file, in words."""
        if not self.damage:
            return []
        more = f" and {len(self.damage) - 3} more" if len(self.damage) > 3 else ""
        text = f"{self.path}: passed over {', '.join(self.damage[:3])}{more}"
        gaps = [str(trial.number) for trial in self.trials.values() if trial.gaps]
        if gaps:
            trials = ", ".join(gaps[:5]) + " …" * (len(gaps) > 5)
            text += f"; rows of trial {trials} are missing, and are computed again when the study goes on"
        return [text]

    def close(self) -> None:
        """Closes the file; the trials stay readable."""
        if self._file is not None:
            self._file.close()

    def next_number(self) -> int:
        """The number of the next new trial; one whose lines are damaged keeps its own."""
        return max(self._numbers, default=-1) + 1

    # --- reading

    def _read(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            entry, self._sealed = read_line(line, sealed_ones=self._sealed and not _begins_old_session(line))
            self._apply(entry)
        except DamagedLine as reason:
            self.damage.append(f"line {self._lines} ({reason})")

    def _apply(self, entry: dict[str, Any]) -> None:
        event = entry["event"]
        if event == "session":
            self._begin(entry)
        else:
            self._check_session(entry)
        if event == "enqueue":
            self._enqueue(completed(entry["config"]))
            return  # it is no part of the session before it
        if event == "session_end" and self.sessions:
            self.sessions[-1] |= {
                "ended": entry["time"],
                "why": entry.get("why"),
                "complete": entry.get("complete", False),
            }
        elif event == "trial":
            self._define(entry, entry["time"])
        elif event == "place":
            self._set_aside(entry["place"], entry["problem"])
        elif event in _OF_TRIALS:
            self._numbers.add(entry["trial"])
            if entry["trial"] not in self.trials and "definition" in entry:  # its own line is damaged
                self._define(entry["definition"], entry["definition"]["created"])
            if entry["trial"] not in self.trials:
                raise DamagedLine(f"of trial {entry['trial']}, whose own line is damaged")
            self._apply_to_trial(self.trials[entry["trial"]], event, entry)
        if self.sessions:
            self.sessions[-1]["last"] = entry["time"]  # a session that was killed has no end

    def _begin(self, entry: dict[str, Any]) -> None:
        check_schema(entry.get("schema", 1), self.path)
        number = entry.get("session", len(self.sessions) + 1)
        if number <= len(self.sessions):
            raise DamagedLine(f"of a driver that had been replaced by that of session {len(self.sessions)}")
        self._catch_up(number - 1, entry["time"])
        self.sessions.append(entry)
        self.set_aside = {}

    def _check_session(self, entry: dict[str, Any]) -> None:
        number = entry.get("session", len(self.sessions))
        if number < len(self.sessions):
            raise DamagedLine(f"of a driver that had been replaced by that of session {len(self.sessions)}")
        self._catch_up(number, entry["time"])

    def _catch_up(self, number: int, when: float) -> None:
        """Sessions whose own lines are damaged."""
        while len(self.sessions) < number:
            self.sessions.append({"time": when, "last": when})

    def _define(self, entry: dict[str, Any], created: float) -> None:
        self._numbers.add(entry["number"])
        self.trials[entry["number"]] = TrialRecord(
            **{name: entry[name] for name in _DEFINITION} | {"config": completed(entry["config"])},
            labels=tuple(entry["labels"]),
            created=created,
            reused=entry.get("reused"),
        )

    def _set_aside(self, place: str, problem: str | None) -> None:
        if problem is None:
            self.set_aside.pop(place, None)
        else:
            self.set_aside[place] = problem

    def _enqueue(self, config: dict[str, Any]) -> None:
        if config not in self.enqueued:
            self.enqueued.append(config)

    def _apply_to_trial(self, trial: TrialRecord, event: str, entry: dict[str, Any]) -> None:
        if event == "start":
            trial.attempts += 1
            trial.session, trial.gpus = len(self.sessions), entry.get("gpus", 0.0)
        elif event == "step":
            if entry["row"]["step"] not in trial.steps:  # a repeated step changes nothing
                trial.steps[entry["row"]["step"]] = entry["row"]
                trial.computed_in = sorted({*trial.computed_in, len(self.sessions)})
                trial.gpu_seconds += trial.gpus * row_seconds(entry["row"])
            trial.ends_as = entry.get("ends_as", trial.ends_as)
        elif event == "retry":
            (trial.moves if entry.get("kind") == "node" else trial.retries).append(entry["reason"])
            trial.frugal = trial.frugal or entry.get("kind") == "memory"
        elif event == "note":
            trial.notes.append(entry["text"])
        elif event == "again":
            trial.state, trial.reason, trial.value, trial.ended = "running", None, None, None
            trial.reused, trial.ends_as = None, entry.get("ends_as")
            trial.notes.append(entry["reason"])
        else:
            trial.state, trial.reason = entry["state"], entry.get("reason")
            trial.value, trial.ended = entry.get("value"), entry["time"]
            trial.ended_after, trial.ends_as = entry.get("after"), None

    # --- writing

    def _stamped(self, event: str) -> dict[str, Any]:
        stamp = {"event": event, "time": time.time()}
        if event != "session":
            return stamp | {"session": len(self.sessions)}
        mine = {"study": self.study_id, "token": secrets.token_hex(8), "host": socket.gethostname()}
        return stamp | {"session": len(self.sessions) + 1, "schema": SCHEMA} | mine


def _opened(path: Path) -> BinaryIO:
    """The file, for its one writer. Raises StudyError where another process of this machine has it."""
    file = path.open("ab", buffering=0)
    if fcntl is None:
        return file
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise StudyError(f"{path} is being written by another driver; wait for it, or stop it") from None
    except OSError:  # a file system without locks: `check_alone` has to do
        pass
    return file


def _begins_old_session(line: bytes) -> bool:
    return line.startswith(b'{"event": "session", ')

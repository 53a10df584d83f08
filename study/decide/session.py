"""One session of a study. The loop is Tune's, which calls in here at each of its turns:

    ask         a trial may start: which one?                        a job, or none
    started     its worker has been started
    hear        it has reported: record it and decide                goes on, or has ended
    waits       it waits for its files, or does so no longer         goes on, or not
    crashed     its worker has crashed: is it tried again?           a job, or none: it has ended
    failed      Tune has given it up
    left        Tune has put it down

Every decision is taken here, on the ledger. A trial has ended when its last merge step is recorded, when
the pruner says so, or when it failed for good; what Tune thinks of its own trials does not count, so a
session that is cut off anywhere loses at most the merge steps under way.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, TypeVar

from dcreid.config import Config
from dcreid.data.tracklets import TrackletDataset
from study.aside import DRIVER_LOG, Aside
from study.decide.queue import NothingLeft, Queue
from study.failures import Failure
from study.job import Job
from study.plan import OBJECTIVES, StudyPlan
from study.record.ledger import FINISHED, Ledger, TrialRecord
from study.search.optuna_study import OptunaStudy

# The answer to `ask` when no trial is going to start any more in this session.
NO_MORE: Final = "no more"
# A trial that meets failing GPUs or nodes moves on, until so many places have failed it, or it has moved so
# often; a merge step that is recorded wipes the slate.
_PLACES, _MOVES = 5, 20
Row: TypeAlias = dict[str, Any]
Result = TypeVar("Result")
_log = logging.getLogger("dcreid.study")


@dataclass
class RunningTrial:
    """A trial under way in this session."""

    number: int
    tune_id: str
    started: float | None = None
    heard: float = 0.0  # when its worker last reported, by the monotonic clock
    hung: str | None = None  # why its worker was killed by us
    reported: float | None = None  # when its newest merge step came in; None = not in this session
    crashes: int = 0  # since the newest merge step recorded
    places: list[tuple[str, ...]] = field(default_factory=list)  # that have failed it since; () = unknown
    waiting: float | None = None  # since when it waits for its files


@dataclass(frozen=True)
class Ending:
    """How a trial ends: its state, the reason, and the merge step that was its last, if that is new."""

    state: str
    reason: str | None = None
    row: Row | None = None


class Session:
    """Decides for one driver; everything is called from Tune's loop, in one thread.

    `on_change(event, trial)` is called with everything that happens: started, step, retried, moved,
    stopping, taken over, or the state in which a trial ended.
    """

    def __init__(
        self, plan: StudyPlan, data: TrackletDataset, ledger: Ledger, optuna_study: OptunaStudy | None
    ):
        self.plan, self.data, self.ledger, self.optuna = plan, data, ledger, optuna_study
        self.running: dict[str, RunningTrial] = {}  # by Tune's name of the trial
        self.gpus_per_trial, self.processes_per_trial = 0.0, 1
        self.stopping: str | None = None  # why no more trials are started
        self.interrupted = False  # by a signal
        self.error: BaseException | None = None  # of the driver itself, which stopped the session
        self.began = time.time()
        self.on_change: Callable[[str, TrialRecord | None], None] = lambda event, trial: None
        self.aside = Aside(plan.folder / DRIVER_LOG)
        self._settle()
        self._take_up_failed()
        self.queue = Queue(plan, data.fingerprint(), ledger, optuna_study)
        self.queue.on_taken_over = lambda trial: self._tell("taken over", trial)

    def _settle(self) -> None:
        """Ends what is over, a crash having come before its end, and takes up what has lost rows."""
        for trial in list(self.ledger.trials.values()):
            if trial.gaps:
                self.ledger.append(
                    "again",
                    trial=trial.number,
                    reason=f"a row after merge step {trial.recorded} is damaged in the ledger",
                    ends_as={"state": trial.state, "reason": trial.reason},
                )
            elif trial.state == "running" and trial.recorded == trial.last_step >= 0:
                over = trial.last_step >= (trial.total_steps or 1)
                end = trial.ends_as or ({"state": "complete"} if over else None)
                if end is not None:
                    value = self._value(trial, Ending(**end))
                    self.ledger.append("end", trial=trial.number, value=value, after=trial.last_step, **end)

    def _take_up_failed(self) -> None:
        """With --retry-failed trials that failed go on, unless another run has taken over."""
        trials = self.ledger.trials.values()
        replaced = [(t.origin, t.config) for t in trials if t.state != "failed"]
        for trial in trials if self.plan.retry_failed else ():
            if trial.state == "failed" and (trial.origin, trial.config) not in replaced:
                reason = f"taken up again, having failed: {trial.reason}"
                self.ledger.append("again", trial=trial.number, reason=reason)

    # --- a turn of the loop: ask, start, hear, record, decide

    def ask(self, tune_id: str) -> Job | Literal["no more"] | None:
        """The job of the next trial, which Tune names `tune_id`; None = ask again later."""
        self._check_budget()
        if self.stopping is not None:
            return NO_MORE
        if self.plan.concurrency is not None and len(self.running) >= self.plan.concurrency:
            return None
        try:
            number = self.queue.next_number([running.number for running in self.running.values()])
        except NothingLeft as reason:
            self.stop(str(reason))
            return NO_MORE
        if number is None:
            return None if self.running else NO_MORE
        trial = self.ledger.trials[number]
        self.running[tune_id] = RunningTrial(number, tune_id)
        return self.job(trial)

    def started(self, tune_id: str) -> None:
        """Tune has started, or started again, a trial."""
        running = self.running.get(tune_id)
        if running is not None:
            running.started, running.heard = time.time(), time.monotonic()
            trial = self.ledger.trials[running.number]
            self.ledger.append(
                "start", trial=trial.number, gpus=self.gpus_per_trial, definition=trial.definition()
            )
            self._tell("started", trial)

    def hear(self, tune_id: str, row: Row) -> bool:
        """Records a report and decides on it; returns whether the trial goes on."""
        running = self.running.get(tune_id)
        if running is None:
            return False
        running.heard = time.monotonic()
        trial = self.ledger.trials[running.number]
        self._record_notes(trial, row.pop("notes", ()))
        if "superseded" in row:  # by a worker of another driver: its next look at the ledger tells
            self.stop(f"trial {trial.number}: {row['superseded']}; another driver is at work on this study")
            return False
        if row.get("step") in trial.steps:  # an attempt after a crash comes by it again
            self._check_budget()
            return self.stopping is None
        ending = self._decide(trial, row)
        if "step" in row:
            running.reported = time.time()
        if ending is not None:
            self._record_end(tune_id, ending)
            return False
        self._record_step(trial, row)
        running.crashes, running.places = 0, []
        self._check_budget()
        return self.stopping is None

    def waits(self, tune_id: str, error: str) -> bool:
        """Notes that a trial waits for its files, once, and that the wait is over ("").

        Returns whether the trial goes on.
        """
        running = self.running.get(tune_id)
        if running is None:
            return False
        trial, running.heard = self.ledger.trials[running.number], time.monotonic()
        if error and running.waiting is None:
            running.waiting = time.monotonic()
            self._record_notes(trial, [f"waits for its files: {error}"])
        elif not error and running.waiting is not None:
            minutes, seconds = divmod(int(time.monotonic() - running.waiting), 60)
            running.waiting = None
            self._record_notes(trial, [f"goes on, having waited {minutes}:{seconds:02d} for its files"])
        return self.stopping is None

    def crashed(self, tune_id: str, failure: Failure) -> Job | None:
        """The job with which a crashed trial is tried again; None = not any more in this session.

        What fails while the session is stopping is resumed by the next.
        """
        running = self.running.get(tune_id)
        if running is None or self.stopping is not None:
            self.running.pop(tune_id, None)
            return None
        if running.hung is not None:
            failure = Failure("trial", running.hung)
        running.hung = running.started = running.waiting = None
        trial = self.ledger.trials[running.number]
        why = self._gives_up(running, trial, failure)
        if why is not None:
            self._record_end(tune_id, Ending("failed", why))
            return None
        reason = failure.reason
        if failure.kind == "memory":
            reason = f"GPU out of memory: again with --checkpoint-activations ({reason})"
        self.ledger.append("retry", trial=trial.number, reason=reason, kind=failure.kind)
        self._tell("moved" if failure.kind == "node" else "retried", trial)
        return self.job(trial)

    def failed(self, tune_id: str, reason: str) -> None:
        """Tune has given a trial up, whatever was decided."""
        running = self.running.get(tune_id)
        if running is not None and self.stopping is None:
            self._record_end(tune_id, Ending("failed", running.hung or reason))
        self.running.pop(tune_id, None)

    def set_aside(self, place: str, problem: str | None) -> None:
        """A node or GPU gets no trials any more, for this reason; or it does again (None)."""
        self.ledger.append("place", place=place, problem=problem)
        if problem is None:
            _log.warning("%s can run trials again", place)
        else:
            _log.warning("%s is set aside: %s; no trial starts there until that is mended", place, problem)

    def left(self, tune_id: str) -> None:
        """Tune has put a trial down; one that has not ended is resumed by the next session."""
        self.running.pop(tune_id, None)

    def stop(self, why: str) -> None:
        """No new trials; those under way stop at their next merge step."""
        if self.stopping is None:
            self.stopping = why
            self._tell("stopping", None)

    @property
    def idle(self) -> bool:
        """Whether a session that is stopping has nothing under way any more."""
        return self.stopping is not None and not any(trial.started for trial in self.running.values())

    def _tell(self, event: str, trial: TrialRecord | None) -> None:
        self.aside("the display", self.on_change, event, trial)

    # --- decide

    def _gives_up(self, running: RunningTrial, trial: TrialRecord, failure: Failure) -> str | None:
        """Why a trial that has crashed is not tried again; None where it is."""
        if failure.kind == "node":
            running.places.append((failure.node, *failure.gpus) if failure.node else ())
            places = len({place for place in running.places if place})
            if places < _PLACES and len(running.places) < _MOVES:
                return None
            moves = len(running.places)
            return f"moved {moves} times in a row, to {max(places, 1)} GPU(s) or node(s): {failure.reason}"
        if failure.kind == "memory":
            if self._saves_memory(trial):
                return f"{failure.reason} (with --checkpoint-activations)"
            return failure.reason if Config.from_dict(trial.config).train.compile else None
        running.crashes += 1
        return failure.reason if running.crashes > self.plan.max_failures else None

    def _saves_memory(self, trial: TrialRecord) -> bool:
        return self.plan.checkpoint_activations or trial.frugal

    def _decide(self, trial: TrialRecord, row: Row) -> Ending | None:
        """How the trial ends with this report; None where it goes on."""
        for state in ("failed", "diverged"):
            if state in row:
                return Ending(state, str(row[state]))
        step, value = int(row["step"]), _measured(row, OBJECTIVES[self.plan.objective])
        prune = value is not None and self._with_optuna(lambda study: study.report(trial, step, value))
        known = trial.steps.keys() | {step}
        missing = len(known) <= max(known)  # rows that a damaged ledger has lost, and that are reported next
        if not missing and trial.ends_as is not None:
            return Ending(**trial.ends_as, row=row)
        if not missing and max(known) >= row["total_steps"]:
            return Ending("complete", row=row)
        # The paper's own configuration always runs to its end.
        if prune and step == max(known) and trial.origin == "search":
            return Ending("pruned", f"by {self.plan.pruner} after merge step {step}", row)
        return None

    def _check_budget(self) -> None:
        budget, hours = self.plan.time_budget, self.plan.gpu_hours
        if budget is not None and time.time() - self.began > budget:
            self.stop("the time budget is spent")
        if hours is not None and sum(t.gpu_seconds for t in self.ledger.trials.values()) >= 3600 * hours:
            self.stop(f"the {hours:g} GPU hours are spent; a larger --gpu-hours goes on")

    def job(self, trial: TrialRecord) -> Job:
        """What the worker of a trial needs to know."""
        return Job(
            trial=trial.number,
            config=trial.config,
            root=self.plan.root,
            fingerprint=self.queue.fingerprint,
            cache=self.plan.cache,
            study=self.ledger.study_id,
            digest=trial.digest,
            storage=self.plan.trial_storage(trial.number),
            recorded=trial.recorded,
            stages=self.plan.stage_storage,
            shared_stages=self.queue.sharing.stages(Config.from_dict(trial.config)),
            hang_timeout=self.plan.hang_timeout,
            patience=self.plan.patience,
            cpus=self.plan.cpus_per_trial,
            gpus=self.gpus_per_trial,
            processes=self.processes_per_trial,
            checkpoint_activations=self._saves_memory(trial),
        )

    # --- record

    def _record_notes(self, trial: TrialRecord, notes: list[str] | tuple[str, ...]) -> None:
        for text in notes:
            self.ledger.append("note", trial=trial.number, text=text)
            _log.warning("trial %d: %s", trial.number, text)

    def _record_step(self, trial: TrialRecord, row: Row) -> None:
        self.ledger.append("step", trial=trial.number, row=row)
        self.queue.sharing.note(trial)
        self._tell("step", trial)

    def _record_end(self, tune_id: str, ending: Ending) -> None:
        running = self.running.pop(tune_id)
        trial = self.ledger.trials[running.number]
        end = {"trial": trial.number, "state": ending.state, "reason": ending.reason}
        if ending.state in FINISHED:
            end |= {"value": self._value(trial, ending), "after": _last_step(trial, ending)}
        events = [("end", end)]
        if ending.row is not None:  # which says how it ends as well: one of the two lines may be damaged
            ends_as = {"state": ending.state, "reason": ending.reason}
            events.insert(0, ("step", {"trial": trial.number, "row": ending.row, "ends_as": ends_as}))
        self.ledger.append_all(*events)
        self.queue.sharing.note(trial)
        self.queue.latest.append(trial)
        self._with_optuna(lambda study: study.tell(trial))
        self._tell(ending.state, trial)

    def _value(self, trial: TrialRecord, ending: Ending) -> float | None:
        """The objective with which a trial ends."""
        new = {} if ending.row is None else {int(ending.row["step"]): ending.row}
        ended = dataclasses.replace(trial, state=ending.state, steps=trial.steps | new)
        return ended.objective_value(self.plan.objective)

    def _with_optuna(self, call: Callable[[OptunaStudy], Result]) -> Result | None:
        """Optuna's storage may fail where the ledger did not: the next session fills it in."""
        if self.optuna is None:
            return None
        try:
            return call(self.optuna)
        except Exception as error:
            _log.warning("Optuna's storage: %s: %s; the ledger has it", type(error).__name__, error)
            return None


def _last_step(trial: TrialRecord, ending: Ending) -> int:
    return max(trial.last_step, -1 if ending.row is None else int(ending.row["step"]))


def _measured(row: Row, metric: str) -> float | None:
    """A metric of a merge step, where it was measured; the untrained network's does not count."""
    value = row.get(metric)
    return float(value) if row["step"] > 0 and value is not None and math.isfinite(value) else None

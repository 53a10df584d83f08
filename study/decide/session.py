"""One session of a study: hands out trials, records what comes in, and decides what goes on.

Tune asks for configurations and passes results in (`study/on_ray/hooks.py`); every decision is taken
here, on the ledger. A trial has ended when its last merge step is recorded, when the pruner says
so, or when it failed for good; what Tune thinks of its own trials does not count, so a session that
is cut off anywhere loses at most the merge steps under way.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dcreid.config import Config
from dcreid.data.tracklets import TrackletDataset
from study.decide.queue import NothingLeft, Queue
from study.plan import StudyPlan
from study.record.ledger import FINISHED, Ledger, TrialRecord
from study.search.optuna_study import OptunaStudy

_log = logging.getLogger("dcreid.study")


@dataclass
class RunningTrial:
    """A trial under way in this session."""

    number: int
    tune_id: str
    started: float | None = None
    resumed_from: int = -1
    heard: float = 0.0  # when its worker last reported, by the monotonic clock
    hung: str | None = None  # why its worker was killed by us
    times: list[float] = field(default_factory=list)  # arrival of each step of this session


class Session:
    """Decides for one driver; everything is called from Tune's loop, in one thread.

    `on_change(event, trial)` hears of everything: started, step, retried, stopping, taken over, or the
    state in which a trial ended.
    """

    def __init__(
        self, plan: StudyPlan, data: TrackletDataset, ledger: Ledger, optuna_study: OptunaStudy | None
    ):
        self.plan, self.data, self.ledger, self.optuna = plan, data, ledger, optuna_study
        self.running: dict[str, RunningTrial] = {}
        self.gpus_per_trial, self.processes_per_trial = 0.0, 1
        self.stopping: str | None = None  # why no more trials are started
        self.interrupted = False  # by a signal
        self.error: BaseException | None = None  # of the driver itself, which stopped the session
        self.began = time.time()
        self.durations: list[float] = []  # seconds of the trials run from start to end here
        self.on_change: Callable[[str, TrialRecord | None], None] = lambda event, trial: None
        self._end_what_is_over()
        self.queue = Queue(plan, data.fingerprint(), ledger, optuna_study)
        self.queue.on_taken_over = lambda trial: self.on_change("taken over", trial)

    def _end_what_is_over(self) -> None:
        """A crash may have come between the last step of a trial and its end."""
        for trial in self.ledger.trials.values():
            if trial.state == "running" and trial.last_step >= (trial.total_steps or 1):
                value = trial.objective_value(self.plan.objective)
                self.ledger.append("end", trial=trial.number, state="complete", value=value)

    # --- what goes out

    def suggest(self, tune_id: str) -> dict[str, Any] | str | None:
        """The next job for Tune; None = ask again later; "FINISHED" when all is done."""
        self._check_budget()
        if self.stopping is not None:
            return "FINISHED"
        if self.plan.concurrency is not None and len(self.running) >= self.plan.concurrency:
            return None
        try:
            number = self.queue.next_number([job.number for job in self.running.values()])
        except NothingLeft as reason:
            self.stop(str(reason))
            return "FINISHED"
        if number is None:
            return None if self.running else "FINISHED"
        record = self.ledger.trials[number]
        self.running[tune_id] = RunningTrial(number, tune_id, resumed_from=record.last_step)
        return self.job(record)

    def job(self, trial: TrialRecord) -> dict[str, Any]:
        """What the trainable needs to know."""
        return {
            "trial": trial.number,
            "config": trial.config,
            "root": self.plan.root,
            "fingerprint": self.queue.fingerprint,
            "cache": self.plan.cache,
            "storage": self.plan.trial_storage(trial.number),
            "recorded": trial.last_step,
            "stages": self.plan.stage_storage,
            "shared_stages": self.queue.sharing.stages(Config.from_dict(trial.config)),
            "hang_timeout": self.plan.hang_timeout,
            "cpus": self.plan.cpus_per_trial,
            "gpus": self.gpus_per_trial,
            "processes": self.processes_per_trial,
            "checkpoint_activations": self.plan.checkpoint_activations,
        }

    # --- what comes in

    def started(self, tune_id: str) -> None:
        """Tune has started, or started again, a trial."""
        job = self.running.get(tune_id)
        if job is not None:
            job.started, job.heard = time.time(), time.monotonic()
            self.ledger.append("start", trial=job.number, gpus=self.gpus_per_trial)
            self.on_change("started", self.ledger.trials[job.number])

    def result(self, tune_id: str, row: dict[str, Any]) -> bool:
        """Records a report; returns whether the trial goes on."""
        job = self.running.get(tune_id)
        if job is None:
            return False
        job.heard = time.monotonic()
        trial = self.ledger.trials[job.number]
        for text in row.pop("notes", ()):
            self.ledger.append("note", trial=trial.number, text=text)
            _log.warning("trial %d: %s", trial.number, text)
        for state in ("failed", "diverged"):
            if state in row:
                self._end(tune_id, state, str(row[state]))
                return False
        if row["step"] not in trial.steps:
            job.times.append(time.time())
            verdict = self._verdict(trial, row)
            if verdict is not None:
                self._end(tune_id, *verdict, row=row)
                return False
            self.ledger.append("step", trial=trial.number, row=row)
            self.on_change("step", trial)
        self._check_budget()
        return self.stopping is None

    def _verdict(self, trial: TrialRecord, row: dict[str, Any]) -> tuple[str, str | None] | None:
        """(state, reason) in which the trial ends with this row; None where it goes on."""
        step, value = int(row["step"]), _measured(row)
        prune = False
        if self.optuna is not None and value is not None:
            told = self.optuna
            prune = bool(self._guard(lambda: told.report(trial, step, value)))
        if step >= row["total_steps"]:
            return "complete", None
        if prune and trial.origin == "search":  # the paper's own configuration always runs to its end
            return "pruned", f"by {self.plan.pruner} after merge step {step}"
        return None

    def retried(self, tune_id: str, reason: str) -> None:
        """Tune starts a trial again after a failure."""
        job = self.running.get(tune_id)
        if job is not None:
            self.ledger.append("retry", trial=job.number, reason=job.hung or reason)
            job.hung = None
            self.on_change("retried", self.ledger.trials[job.number])

    def failed(self, tune_id: str, reason: str) -> None:
        """Tune has given a trial up. What fails while the session is stopping is resumed by the next."""
        job = self.running.get(tune_id)
        if job is not None and self.stopping is None:
            self._end(tune_id, "failed", job.hung or reason)
        self.running.pop(tune_id, None)

    def left(self, tune_id: str) -> None:
        """Tune has put a trial down; one that has not ended is resumed by the next session."""
        self.running.pop(tune_id, None)

    def stop(self, why: str) -> None:
        """No new trials; those under way stop at their next merge step."""
        if self.stopping is None:
            self.stopping = why
            self.on_change("stopping", None)

    @property
    def idle(self) -> bool:
        """Whether a session that is stopping has nothing under way any more."""
        return self.stopping is not None and not any(job.started for job in self.running.values())

    def _end(
        self, tune_id: str, state: str, reason: str | None = None, row: dict[str, Any] | None = None
    ) -> None:
        job = self.running.pop(tune_id)
        if job.started and job.resumed_from < 0 and state in ("complete", "pruned"):
            self.durations.append(time.time() - job.started)
        trial = self.ledger.trials[job.number]
        end = {"trial": trial.number, "state": state, "reason": reason}
        if state in FINISHED:
            end["value"] = self._value(trial, state, row)
        step = [] if row is None else [("step", {"trial": trial.number, "row": row})]
        self.ledger.append_all(*step, ("end", end))
        self.queue.latest.append(trial)
        if self.optuna is not None:
            told = self.optuna
            self._guard(lambda: told.tell(trial))
        self.on_change(state, trial)

    def _value(self, trial: TrialRecord, state: str, row: dict[str, Any] | None) -> float | None:
        """The objective with which a trial ends in `state`, its last merge step being `row`."""
        steps = trial.steps if row is None else trial.steps | {int(row["step"]): row}
        return dataclasses.replace(trial, state=state, steps=steps).objective_value(self.plan.objective)

    def _guard(self, call: Callable[[], Any]) -> Any:
        """Optuna's storage may fail where the ledger did not: the next session fills it in."""
        try:
            return call()
        except Exception as error:
            _log.warning("Optuna's storage: %s: %s; the ledger has it", type(error).__name__, error)
            return None

    def _check_budget(self) -> None:
        budget, hours = self.plan.time_budget, self.plan.gpu_hours
        if budget is not None and time.time() - self.began > budget:
            self.stop("the time budget is spent")
        if hours is not None and sum(t.gpu_seconds for t in self.ledger.trials.values()) >= 3600 * hours:
            self.stop(f"the {hours:g} GPU hours are spent; a larger --gpu-hours goes on")


def _measured(row: dict[str, Any]) -> float | None:
    """mAP of a merge step, where it was measured; the untrained network's does not count."""
    value = row.get("mAP")
    return float(value) if row["step"] > 0 and value is not None and math.isfinite(value) else None

"""One session of a study: what is done, what to resume, what is new, and when to stop.

Tune asks for configurations and passes results in (`study/searcher.py`); every decision is taken
here, on the ledger. A trial has ended when its last merge step is recorded, when the pruner says
so, or when it failed for good; what Tune thinks of its own trials does not count, so a session that
is cut off anywhere loses at most the merge steps under way.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from dcreid.config import Config, ConfigError
from dcreid.data.tracklets import TrackletDataset
from search_spaces.grid import grid_points
from search_spaces.paper import PlanItem
from study.ledger import FINISHED, Ledger, TrialRecord
from study.plan import StudyPlan, code_version, trial_digest
from study.projection import Projection, distributions_of, objective_curve

_FAILURES_IN_A_ROW = 5  # then the study stops drawing: something is wrong with all of it
_DRAWS = 50  # attempts to draw a configuration that has not been computed yet
_log = logging.getLogger("dcreid.study")


@dataclass
class Job:
    """A trial under way in this session."""

    number: int
    tune_id: str
    started: float | None = None
    resumed_from: int = -1
    times: list[float] = field(default_factory=list)  # arrival of each step of this session


class Session:
    """Decides for one driver. Raises nothing into Tune: what goes wrong here stops the session."""

    def __init__(self, plan: StudyPlan, data: TrackletDataset, ledger: Ledger, projection: Projection | None):
        self.plan, self.data, self.ledger, self.projection = plan, data, ledger, projection
        self.config, self.space = plan.config, plan.search_space
        self.code, self.fingerprint = code_version(), data.fingerprint()
        self.jobs: dict[str, Job] = {}
        self.gpus_per_trial = 0.0
        self.stopping: str | None = None  # why no more trials are started
        self.error: BaseException | None = None
        self.began = time.time()
        self.on_change: Callable[[str, TrialRecord | None], None] = lambda event, trial: None
        self.resumable = [t.number for t in self._trials("running")]
        self.done_before = self._done()
        self._fixed = list(self._missing_fixed())
        self._grid = list(self._missing_grid()) if plan.sampler == "grid" and self.space else None
        if projection is not None:
            projection.sync([t for t in ledger.trials.values() if self._is_search(t)])

    # --- what there is to do

    @property
    def target(self) -> int:
        """Finished trials that make the study complete."""
        fixed = len(self.plan.fixed_items())
        return fixed if self.space is None else self._search_target() + fixed - 1

    def outlook(self) -> str:
        """`32 done, 2 resumed, 16 new`"""
        resumed = len(self.resumable)
        new = max(0, self.target - self.done_before - resumed)
        return f"{self.done_before} done, {resumed} resumed, {new} new"

    def outlook_open(self) -> bool:
        """Whether anything is left to do."""
        return bool(self.resumable or self._fixed) or self.done_before < self.target

    @property
    def complete(self) -> bool:
        """Whether every trial that was asked for is finished."""
        return self._done() >= self.target

    def suggest(self, tune_id: str) -> dict[str, Any] | str | None:
        """The next job for Tune; None = ask again later; "FINISHED" when all is done."""
        if self.stopping is None:
            self._check_budget()
        if self.stopping is not None:
            return "FINISHED" if not self.jobs else None
        if self.plan.concurrency is not None and len(self.jobs) >= self.plan.concurrency:
            return None
        number = self._next_number()
        if number is None:
            return "FINISHED" if not self.jobs else None
        record = self.ledger.trials[number]
        self.jobs[tune_id] = Job(number, tune_id, resumed_from=record.last_step)
        return self.job(record)

    def job(self, trial: TrialRecord) -> dict[str, Any]:
        """What the trainable needs to know."""
        storage = self.plan.storage or str(self.plan.folder / "trials")
        return {
            "trial": trial.number,
            "config": trial.config,
            "root": self.plan.root,
            "cache": self.plan.cache,
            "storage": f"{storage.rstrip('/')}/{trial.number:04d}",
            "recorded": trial.last_step,
            "cpus": self.plan.cpus_per_trial,
            "gpus": self.gpus_per_trial,
        }

    def _next_number(self) -> int | None:
        if self.resumable:
            return self.resumable.pop(0)
        if self._fixed:
            return self._add_fixed(*self._fixed.pop(0))
        if self.space is None:
            return None
        under_way = len(self._counted(("running",)))
        if len(self._counted(FINISHED)) + under_way >= self._search_target():
            return None
        ended = [t for t in self.ledger.trials.values() if t.ended is not None and t.ended > self.began]
        recent = sorted(ended, key=lambda t: t.ended or 0.0)[-_FAILURES_IN_A_ROW:]
        if [t.state for t in recent] == ["failed"] * _FAILURES_IN_A_ROW:
            self.stop(f"the last {_FAILURES_IN_A_ROW} trials all failed ({recent[-1].reason})")
            return None
        return self._draw()

    def _search_target(self) -> int:
        if self.plan.sampler == "grid" and self.space is not None:
            return min(self.plan.samples, len(grid_points(self.space)) + 1)
        return self.plan.samples

    def _draw(self) -> int | None:
        """A new configuration from the sampler; one that was computed before is told again, not run."""
        assert self.space is not None and self.projection is not None
        if self._grid is not None:
            if not self._grid:
                return None
            config = self.config.replace(**self._grid.pop(0))
            return self._add_search(config, self.space.params_of(config))
        for _ in range(_DRAWS):
            trial = self.projection.ask()
            config = self.config.replace(**self.space.draw(trial))
            twin = self._twin(config)
            if twin is None:
                number = self._add(config, "search", (), trial.params, distributions_of(trial))
                self.projection.adopt(number, trial)
                return number
            _log.info("drawn again: the configuration of trial %d, not run twice", twin.number)
            self.projection.discard(trial)
        self.stop(f"{_DRAWS} draws in a row gave configurations already computed: the space is exhausted")
        return None

    def _twin(self, config: Config) -> TrialRecord | None:
        digest = trial_digest(config, self.fingerprint, self.code)
        return next(
            (t for t in self.ledger.trials.values() if t.digest == digest and t.state != "failed"), None
        )

    def _add_search(self, config: Config, params: dict[str, Any], origin: str = "search") -> int:
        """A given configuration as a trial of the search."""
        assert self.space is not None and self.projection is not None
        trial = self.projection.ask(params)
        self.space.draw(trial)
        labels = ("paper",) if origin == "paper" else ()
        number = self._add(config, origin, labels, trial.params, distributions_of(trial))
        self.projection.adopt(number, trial)
        return number

    def _add_fixed(self, origin: str, item: PlanItem) -> int:
        if origin == "paper" and item.config.seed == self.config.seed and self.space is not None:
            try:
                return self._add_search(item.config, self.space.params_of(item.config), "paper")
            except ConfigError as error:
                _log.warning(
                    "the sampler does not learn from trial 0, which lies outside its space: %s", error
                )
        return self._add(item.config, origin, item.experiments, {}, {})

    def _add(
        self,
        config: Config,
        origin: str,
        labels: tuple[str, ...],
        params: dict[str, Any],
        distributions: dict[str, str],
    ) -> int:
        number = self.ledger.next_number()
        self.ledger.append(
            "trial",
            number=number,
            config=config.to_dict(),
            digest=trial_digest(config, self.fingerprint, self.code),
            origin=origin,
            labels=list(labels),
            params=params,
            distributions=distributions,
        )
        return number

    def _missing_fixed(self) -> Iterator[tuple[str, PlanItem]]:
        have = [(t.config, t.origin) for t in self.ledger.trials.values() if t.state != "failed"]
        for origin, item in self.plan.fixed_items():
            if (item.config.to_dict(), origin) not in have:
                yield origin, item

    def _missing_grid(self) -> Iterator[dict[str, Any]]:
        assert self.space is not None
        have = [t.config for t in self.ledger.trials.values() if t.state != "failed"]
        for point in grid_points(self.space):
            config = self.config.replace(**point)
            if config.to_dict() not in have and config != self.config:
                yield point

    # --- what comes in

    def started(self, tune_id: str) -> None:
        """Tune has started, or started again, a trial."""
        job = self.jobs.get(tune_id)
        if job is not None:
            job.started = job.started or time.time()
            self.ledger.append("start", trial=job.number)
            self.on_change("started", self.ledger.trials[job.number])

    def result(self, tune_id: str, row: dict[str, Any]) -> bool:
        """Records a report; returns whether the trial goes on."""
        job = self.jobs.get(tune_id)
        if job is None:
            return False
        trial = self.ledger.trials[job.number]
        if "failed" in row:
            self._end(tune_id, "failed", str(row["failed"]))
            return False
        step = int(row["step"])
        if step not in trial.steps:
            self.ledger.append("step", trial=trial.number, row=row)
            job.times.append(time.time())
        prune = self._report(trial, step)
        self.on_change("step", trial)
        if step >= row["total_steps"]:
            self._end(tune_id, "complete")
            return False
        if prune and trial.origin == "search":  # the paper's own configuration always runs to its end
            self._end(tune_id, "pruned", f"by {self.plan.pruner} after merge step {step}")
            return False
        self._check_budget()
        return self.stopping is None

    def retried(self, tune_id: str, reason: str) -> None:
        """Tune starts a trial again after a failure."""
        job = self.jobs.get(tune_id)
        if job is not None:
            self.ledger.append("retry", trial=job.number, reason=reason)
            self.on_change("retried", self.ledger.trials[job.number])

    def failed(self, tune_id: str, reason: str) -> None:
        """Tune has given a trial up."""
        if tune_id in self.jobs and self.stopping is None:
            self._end(tune_id, "failed", reason)

    def left(self, tune_id: str) -> None:
        """Tune has put a trial down that has not ended: it is resumed by the next session."""
        self.jobs.pop(tune_id, None)

    def stop(self, why: str) -> None:
        """No new trials; those under way stop at their next merge step."""
        if self.stopping is None:
            self.stopping = why
            self.on_change("stopping", None)

    def _end(self, tune_id: str, state: str, reason: str | None = None) -> None:
        trial = self.ledger.trials[self.jobs.pop(tune_id).number]
        curve = objective_curve(trial, self.plan.objective)
        value = curve[max(curve)] if curve and state in FINISHED else None
        self.ledger.append("end", trial=trial.number, state=state, reason=reason, value=value)
        if self.projection is not None and self._is_search(trial):
            self._guard(lambda: self.projection.tell(trial))  # type: ignore[union-attr]
        self.on_change(state, trial)

    def _report(self, trial: TrialRecord, step: int) -> bool:
        if self.projection is None or not self._is_search(trial) or step == 0:
            return False
        return bool(self._guard(lambda: self.projection.report(trial, step)))  # type: ignore[union-attr]

    def _guard(self, call: Callable[[], Any]) -> Any:
        """Optuna's storage may fail where the ledger did not: the next session fills it in."""
        try:
            return call()
        except Exception as error:
            _log.warning("Optuna's storage: %s: %s; the ledger has it", type(error).__name__, error)
            return None

    def _check_budget(self) -> None:
        budget = self.plan.time_budget
        if budget is not None and time.time() - self.began > budget:
            self.stop("the time budget is spent")

    # --- counting

    def _done(self) -> int:
        return sum(1 for t in self.ledger.trials.values() if t.state in FINISHED)

    def _is_search(self, trial: TrialRecord) -> bool:
        return self.space is not None and (trial.origin == "search" or bool(trial.params))

    def _counts(self, trial: TrialRecord) -> bool:
        """Whether a trial is one of the `samples`: drawn, or the paper's configuration on its first seed."""
        return trial.origin == "search" or (trial.origin == "paper" and trial.seed == self.config.seed)

    def _counted(self, states: tuple[str, ...]) -> list[TrialRecord]:
        return [t for t in self.ledger.trials.values() if t.state in states and self._counts(t)]

    def _trials(self, state: str) -> list[TrialRecord]:
        return [t for t in self.ledger.trials.values() if t.state == state]

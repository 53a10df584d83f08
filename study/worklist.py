"""What a study still has to run: trials to resume, runs that are given, and draws from the sampler.

A configuration that was computed before, on the same data by the same code, is never run twice.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import Any

from optuna.trial import FixedTrial

from dcreid.config import Config, ConfigError
from dcreid.data.tracklets import TrackletDataset
from search_spaces.grid import grid_points
from search_spaces.paper import PlanItem
from study.ledger import FINISHED, Ledger, TrialRecord
from study.plan import StudyPlan, code_version, trial_digest
from study.projection import Projection, distributions_of

_IN_A_ROW = 5  # failures after which a session stops: something is wrong with all of it
_DRAWS = 50  # attempts to draw a configuration that has not been computed yet
_log = logging.getLogger("dcreid.study")


class NothingToDo(Exception):
    """No trial can be started any more in this session; the message is the reason."""


class WorkList:
    """Hands out the numbers of trials to run, adding new ones to the ledger (and to Optuna's study)."""

    def __init__(self, plan: StudyPlan, data: TrackletDataset, ledger: Ledger, projection: Projection | None):
        self.plan, self.ledger, self.projection = plan, ledger, projection
        self.config, self.space = plan.config, plan.search_space
        self.code, self.fingerprint = code_version(), data.fingerprint()
        self.latest: deque[TrialRecord] = deque(maxlen=_IN_A_ROW)  # that ended in this session
        self._given = [(origin, item, item.config.to_dict()) for origin, item in plan.fixed_items()]
        self.resumable = [t.number for t in ledger.trials.values() if t.state == "running"]
        self._fixed = self._missing_given()
        self._points: list[dict[str, Any]] | None = None  # of a grid, the paper's own left out
        if plan.sampler == "grid" and self.space is not None:
            held = self.config.flat()
            points = grid_points(self.space)
            self._points = [p for p in points if any(held[name] != value for name, value in p.items())]
        self._grid = self._missing_points()
        if projection is not None:
            projection.sync([t for t in ledger.trials.values() if self.is_searched(t)])

    # --- how much there is

    @property
    def target(self) -> int:
        """Finished trials that make the study complete."""
        given = len(self._given)
        return given if self.space is None else self._samples() + given - 1

    def done(self) -> int:
        """Finished trials that count towards the target."""
        return len(self._counted(FINISHED))

    @property
    def complete(self) -> bool:
        """Whether every trial that was asked for is finished."""
        return self.done() >= self.target and not self.resumable

    def outlook(self) -> str:
        """`32 done, 2 resumed, 16 new`"""
        resumed, done = len(self.resumable), self.done()
        awaited = len([t for t in self._counted(("running",)) if t.number in self.resumable])
        return f"{done} done, {resumed} resumed, {max(0, self.target - done - awaited)} new"

    # --- what comes next

    def next_number(self) -> int | None:
        """The trial to start now; None when all that is missing is under way. Raises NothingToDo."""
        self._stop_if_all_fail(("failed",))
        if self.resumable:
            return self.resumable.pop(0)
        if self._fixed:
            return self._add_given(*self._fixed.pop(0))
        if self.space is None:
            return None
        wanted = [t for t in self._counted((*FINISHED, "running")) if self._is_sample(t)]
        if len(wanted) >= self._samples():
            return None
        self._stop_if_all_fail(("failed", "diverged"))
        return self._draw()

    def is_searched(self, trial: TrialRecord) -> bool:
        """Whether Optuna's study holds the trial."""
        return self.space is not None and (trial.origin == "search" or bool(trial.params))

    def _stop_if_all_fail(self, states: tuple[str, ...]) -> None:
        if len(self.latest) == _IN_A_ROW and all(trial.state in states for trial in self.latest):
            raise NothingToDo(f"the last {_IN_A_ROW} trials all {states[-1]}: {self.latest[-1].reason}")

    def _samples(self) -> int:
        return self.plan.samples if self._points is None else min(self.plan.samples, len(self._points) + 1)

    def _draw(self) -> int | None:
        """A new configuration from the sampler; one that was computed before is told again, not run."""
        assert self.space is not None and self.projection is not None
        if self._points is not None:
            return self._add_point(self._grid.pop(0)) if self._grid else None
        number = self.ledger.next_number()
        for attempt in range(_DRAWS):
            trial = self.projection.ask(number * _DRAWS + attempt)
            config = self.config.replace(**self.space.draw(trial))
            twin = self._twin(config)
            if twin is None:
                self._add(config, "search", (), trial.params, distributions_of(trial))
                self.projection.adopt(number, trial)
                return number
            _log.info("drawn again: the configuration of trial %d, not run twice", twin.number)
            self.projection.discard(trial)
        raise NothingToDo(
            f"{_DRAWS} draws in a row gave configurations already computed: the space is exhausted"
        )

    def _twin(self, config: Config) -> TrialRecord | None:
        digest = trial_digest(config, self.fingerprint, self.code)
        same = (t for t in self.ledger.trials.values() if t.digest == digest and t.state != "failed")
        return next(same, None)

    # --- new trials

    def _add_point(self, point: dict[str, Any]) -> int:
        config = self.config.replace(**point)
        assert self.space is not None
        return self._add_to_search(config, "search", (), self.space.params_of(config))

    def _add_given(self, origin: str, item: PlanItem) -> int:
        if origin == "paper" and item.config.seed == self.config.seed and self.space is not None:
            try:
                params = self.space.params_of(item.config)
                return self._add_to_search(item.config, origin, item.experiments, params)
            except ConfigError as error:
                _log.warning("the sampler does not learn from trial 0, outside its space: %s", error)
        return self._add(item.config, origin, item.experiments, {}, {})

    def _add_to_search(
        self, config: Config, origin: str, labels: tuple[str, ...], params: dict[str, Any]
    ) -> int:
        """A given configuration, told to Optuna as if it had been drawn."""
        assert self.space is not None and self.projection is not None
        fixed = FixedTrial(params)
        self.space.draw(fixed)
        number = self._add(config, origin, labels, fixed.params, distributions_of(fixed))
        self.projection.add(self.ledger.trials[number])
        return number

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

    def _missing_given(self) -> list[tuple[str, PlanItem]]:
        have = [(t.origin, t.config) for t in self.ledger.trials.values() if t.state != "failed"]
        return [(origin, item) for origin, item, config in self._given if (origin, config) not in have]

    def _missing_points(self) -> list[dict[str, Any]]:
        if self._points is None:
            return []
        kept = [t for t in self.ledger.trials.values() if t.state != "failed"]
        have = {tuple(Config.from_dict(trial.config).flat().values()) for trial in kept}
        held = self.config.flat()  # a grid may have thousands of points: no Config is made of each
        return [point for point in self._points if tuple((held | point).values()) not in have]

    # --- counting

    def _is_sample(self, trial: TrialRecord) -> bool:
        """Whether a trial is one of the `samples`: drawn, or the paper's configuration on its first seed."""
        return trial.origin == "search" or (trial.origin == "paper" and trial.seed == self.config.seed)

    def _counted(self, states: tuple[str, ...]) -> list[TrialRecord]:
        given = [(origin, config) for origin, _, config in self._given]
        return [
            trial
            for trial in self.ledger.trials.values()
            if trial.state in states and (trial.origin == "search" or (trial.origin, trial.config) in given)
        ]

"""What a study still has to run: trials to resume, runs that are given or enqueued, draws from the sampler.

A configuration that was computed before, on the same data by the same code, in this study or in one
that --reuse names, is not run again: its results are taken over. --force computes all the same.
What is enqueued runs in any case, first after trial 0. It is one of the samples of a search, so that one less
is drawn; where there were enough, there is one more.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection
from typing import Any

from optuna.trial import FixedTrial

from dcreid.config import Config, ConfigError
from search_spaces import paper
from search_spaces.grid import grid_points
from search_spaces.paper import PlanItem
from study.decide.confirmation import SEARCHED, confirmation, runs_to_confirm
from study.decide.sharing import Sharing
from study.plan import StudyPlan
from study.record.ledger import ENQUEUED, FINISHED, Ledger, TrialRecord
from study.record.reuse import KnownResults, forced_since
from study.search.optuna_study import OptunaStudy, distributions_of

_IN_A_ROW = 5  # failures after which a session stops: something is wrong with all of it
_DRAWS = 50  # attempts to draw a configuration that has not been computed yet
_BY_MODEL = 10  # of them, by the sampler: a GP that is sure of a point proposes it again and again
_log = logging.getLogger("dcreid.study")


class NothingLeft(Exception):
    """No trial can be started any more in this session; the message is the reason."""


class Queue:
    """Hands out the numbers of trials to run, adding new ones to the ledger (and to Optuna's study)."""

    def __init__(self, plan: StudyPlan, fingerprint: str, ledger: Ledger, optuna_study: OptunaStudy | None):
        self.plan, self.ledger, self.optuna = plan, ledger, optuna_study
        self.config, self.space = plan.config, plan.search_space
        self.known, self.fingerprint = KnownResults(plan, ledger, fingerprint), fingerprint
        self.latest: deque[TrialRecord] = deque(maxlen=_IN_A_ROW)  # that ended in this session
        self.on_taken_over: Callable[[TrialRecord], None] = lambda trial: None
        self._since = forced_since(ledger) if plan.force else 0.0  # see `_is_of_round`
        first, *others = plan.fixed_items()
        runs = (first, *((ENQUEUED, self._enqueued(config)) for config in ledger.enqueued), *others)
        self._given = [(origin, run, run.config.to_dict()) for origin, run in runs]
        self.resumable = [t.number for t in ledger.trials.values() if t.state == "running"]
        self._fixed = self._missing_given()
        self._points: list[dict[str, Any]] | None = None  # of a grid, the paper's own left out
        if plan.sampler == "grid" and self.space is not None:
            held = [item.config.flat() for _, item, _ in self._given if self.plan.in_space(item.config)]
            points = grid_points(self.space)
            self._points = [p for p in points if not any(p.items() <= flat.items() for flat in held)]
        self._grid = self._missing_points()
        self._confirming = False
        self.sharing = Sharing(plan, [item.config for _, item, _ in self._given])
        self._confirm()
        if optuna_study is not None:
            optuna_study.sync([t for t in ledger.trials.values() if self.is_searched(t)])

    # --- how much there is

    @property
    def target(self) -> int:
        """Finished trials that make the study complete."""
        if self.space is None:
            return len(self._given)
        bases = sum(origin == self.plan.preset for origin, _, _ in self._given)  # its first seed is a sample
        return self._wanted() + bases - 1 + self._to_confirm

    def _wanted(self) -> int:
        """Samples of a search: as many as asked for, or more where enqueued ones have come on top."""
        if not self.ledger.enqueued:
            return self._samples()
        return max(self._samples(), len(self._begun()) + len(self.waiting))

    @property
    def waiting(self) -> list[PlanItem]:
        """What is enqueued and has not begun, or has failed."""
        if not self.ledger.enqueued:
            return []
        begun = [trial.config for trial in self._counted((*FINISHED, "running")) if trial.origin == ENQUEUED]
        return [run for origin, run, config in self._given if origin == ENQUEUED and config not in begun]

    @property
    def _to_confirm(self) -> int:
        """Runs that confirm the search; the most there can be until it is complete."""
        if self._confirming:
            return sum(origin == "confirm" for origin, _, _ in self._given)
        return runs_to_confirm(self.plan)

    def done(self) -> int:
        """Finished trials that count towards the target."""
        return len(self._counted(FINISHED))

    @property
    def complete(self) -> bool:
        """Whether every trial that was asked for is finished."""
        lost = any(trial.gaps for trial in self.ledger.trials.values())  # rows, to be computed again
        return self.done() >= self.target and not self.resumable and not lost

    def outlook(self) -> str:
        """`32 done, 2 resumed, 16 new`"""
        resumed, done = len(self.resumable), self.done()
        awaited = len([t for t in self._counted(("running",)) if t.number in self.resumable])
        text = f"{done} done, {resumed} resumed, {max(0, self.target - done - awaited)} new"
        if self.waiting:
            text += f", {len(self.waiting)} of them enqueued"
        return f"{text} ({self._to_confirm} in all to confirm the search)" if self.plan.confirm else text

    # --- what comes next

    def next_number(self, under_way: Collection[int] = ()) -> int | None:
        """The trial to start now; None when all that is missing is under way, or waits for what is.

        `on_taken_over` is called with trials whose results are taken over on the way. Raises NothingLeft.
        """
        while (number := self._next(under_way)) is not None:
            trial = self.ledger.trials[number]
            if trial.state == "running":
                break
            self.on_taken_over(trial)
        return number

    def take_over(self) -> list[TrialRecord]:
        """Adds the given runs whose results are known already; returns them."""
        known = [(origin, item) for origin, item in self._fixed if self.known.find(item.config) is not None]
        self._fixed = [given for given in self._fixed if given not in known]
        return [self.ledger.trials[self._add_given(origin, item)] for origin, item in known]

    def _next(self, under_way: Collection[int]) -> int | None:
        """Trials to resume first, then given runs, then draws, and when these are enough the confirmation."""
        self._stop_if_all_fail(("failed",))
        running = [self.ledger.trials[number] for number in under_way]
        for i, number in enumerate(self.resumable):
            if not self._waits(self.ledger.trials[number], running):
                return self.resumable.pop(i)
        for i, (origin, item) in enumerate(self._fixed):
            if origin == "given" and self._enough_samples():  # of a study that was created with more
                continue
            if not self.sharing.blocked(item.config, running):
                return self._add_given(*self._fixed.pop(i))
        if self.space is None:
            return None
        if self._enough_samples():
            return self._next(under_way) if self._confirm() else None
        self._stop_if_all_fail(("failed", "diverged"))
        return self._draw(running)

    def _enough_samples(self) -> bool:
        """Whether none is to be drawn, if those under way finish and the enqueued ones are run."""
        return self.space is not None and len(self._begun()) + len(self.waiting) >= self._samples()

    def _begun(self) -> list[TrialRecord]:
        """Samples that are finished or under way."""
        return [trial for trial in self._counted((*FINISHED, "running")) if self._is_sample(trial)]

    def _confirm(self) -> bool:
        """Once the search is complete, adds the runs that confirm it to those given; whether it just did."""
        finished = [t for t in self._counted(FINISHED) if self._is_sample(t)]
        if self._confirming or not self.plan.confirm or len(finished) < self._wanted():
            return False
        self._confirming = True
        items = confirmation(self.plan, self.ledger.trials.values())
        self._given += [("confirm", item, item.config.to_dict()) for item in items]
        self._fixed = self._missing_given()
        self.sharing = Sharing(self.plan, [item.config for _, item, _ in self._given], self.sharing.ready)
        return True

    def _waits(self, trial: TrialRecord, running: list[TrialRecord]) -> bool:
        config = Config.from_dict(trial.config)
        return trial.last_step < self.sharing.stages(config) and self.sharing.blocked(config, running)

    def is_searched(self, trial: TrialRecord) -> bool:
        """Whether Optuna's study holds the trial."""
        return self.space is not None and (trial.origin == "search" or bool(trial.params))

    def _stop_if_all_fail(self, states: tuple[str, ...]) -> None:
        if len(self.latest) == _IN_A_ROW and all(trial.state in states for trial in self.latest):
            raise NothingLeft(f"the last {_IN_A_ROW} trials all {states[-1]}: {self.latest[-1].reason}")

    def _samples(self) -> int:
        if self._points is None:
            return self.plan.samples
        given = len(self.plan.given) + len(self.ledger.enqueued)
        return min(self.plan.samples, len(self._points) + 1 + given)

    def _draw(self, running: list[TrialRecord]) -> int | None:
        """A new configuration from the sampler; one that was computed before is not run again."""
        assert self.space is not None and self.optuna is not None
        if self._points is not None:
            return self._next_point(running)
        if self.sharing.blocked(self.config, running):  # then every draw is
            return None
        number = self.ledger.next_number()
        for attempt in range(_DRAWS):
            trial = self.optuna.ask(number * _DRAWS + attempt, at_random=attempt >= _BY_MODEL)
            config = self.config.replace(**self.space.draw(trial))
            twin = self.known.twin(config)
            if twin is None:
                self._add(config, "search", (), trial.params, distributions_of(trial))
                self.optuna.adopt(number, trial)
                if self.ledger.trials[number].state != "running":
                    self.optuna.catch_up(self.ledger.trials[number])
                return number
            _log.info("drawn again: the configuration of trial %d, not run twice", twin.number)
            self.optuna.discard(trial)
        raise NothingLeft(
            f"{_DRAWS} draws in a row gave configurations already computed: the space is exhausted"
        )

    # --- new trials

    def _enqueued(self, stored: dict[str, Any]) -> PlanItem:
        held, own = self.config.flat(), Config.from_dict(stored).flat()
        return paper.item(
            self.config, {name: value for name, value in own.items() if value != held[name]}, ()
        )

    def _next_point(self, running: list[TrialRecord]) -> int | None:
        for i, point in enumerate(self._grid):
            if not self.sharing.blocked(self.config.replace(**point), running):
                return self._add_point(self._grid.pop(i))
        return None

    def _add_point(self, point: dict[str, Any]) -> int:
        config = self.config.replace(**point)
        assert self.space is not None
        return self._add_to_search(config, "search", (), self.space.params_of(config))

    def _add_given(self, origin: str, item: PlanItem) -> int:
        if self._counts_as_sample(origin, item.config.seed) and self.plan.in_space(item.config):
            assert self.space is not None
            try:
                params = self.space.params_of(item.config)
                return self._add_to_search(item.config, origin, item.experiments, params)
            except ConfigError as error:
                name = "trial 0" if origin == self.plan.preset else item.label
                _log.warning("the sampler does not learn from %s, outside its space: %s", name, error)
        return self._add(item.config, origin, item.experiments, {}, {})

    def _add_to_search(
        self, config: Config, origin: str, labels: tuple[str, ...], params: dict[str, Any]
    ) -> int:
        """A given configuration, recorded with Optuna as if it had been drawn."""
        assert self.space is not None and self.optuna is not None
        fixed = FixedTrial(params)
        self.space.draw(fixed)
        number = self._add(config, origin, labels, fixed.params, distributions_of(fixed))
        self.optuna.add(self.ledger.trials[number])
        return number

    def _add(
        self,
        config: Config,
        origin: str,
        labels: tuple[str, ...],
        params: dict[str, Any],
        distributions: dict[str, str],
    ) -> int:
        number, known = self.ledger.next_number(), self.known.find(config)
        trial = {
            "number": number,
            "config": config.to_dict(),
            "digest": self.known.digest(config),
            "origin": origin,
            "labels": list(labels),
            "params": params,
            "distributions": distributions,
        }
        if known is None:
            self.ledger.append("trial", **trial)
        else:
            trial["reused"] = known.source
            self.ledger.append_all(("trial", trial), *known.events(number, self.plan.objective))
        return number

    def _missing_given(self) -> list[tuple[str, PlanItem]]:
        kept = [t for t in self.ledger.trials.values() if t.state != "failed" and self._is_of_round(t)]
        have = [(t.origin, t.config) for t in kept]
        return [(origin, item) for origin, item, config in self._given if (origin, config) not in have]

    def _missing_points(self) -> list[dict[str, Any]]:
        if self._points is None:
            return []
        kept = [t for t in self.ledger.trials.values() if t.state != "failed"]
        have = {tuple(Config.from_dict(trial.config).flat().values()) for trial in kept}
        held = self.config.flat()  # a grid may have thousands of points: no Config is made of each
        return [point for point in self._points if tuple((held | point).values()) not in have]

    # --- counting

    def _is_of_round(self, trial: TrialRecord) -> bool:
        """Whether a given run counts, or is to be computed again because --force was given since."""
        return trial.ended is None or trial.ended >= self._since

    def _is_sample(self, trial: TrialRecord) -> bool:
        return self._counts_as_sample(trial.origin, trial.seed)

    def _counts_as_sample(self, origin: str, seed: int) -> bool:
        """Whether such a trial is one of the `samples`: of the base the first seed is."""
        return origin in SEARCHED or (origin == self.plan.preset and seed == self.config.seed)

    def _counted(self, states: tuple[str, ...]) -> list[TrialRecord]:
        """Trials in these states that count towards the target: all drawn, one for each given run."""
        given = [(origin, config) for origin, _, config in self._given]
        drawn, newest = [], {}
        for trial in self.ledger.trials.values():
            if trial.state in states and trial.origin == "search":
                drawn.append(trial)
            elif trial.state in states and self._is_of_round(trial) and (trial.origin, trial.config) in given:
                newest[given.index((trial.origin, trial.config))] = trial
        return [*newest.values(), *drawn]

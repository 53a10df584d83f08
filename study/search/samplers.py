"""Optuna samplers by name, set up for spaces with conditions and for trials that are stopped early.

* `tpe`: multivariate, `group=True`: parameters that occur together are modelled together, so that
  conditional ones are modelled too; ranks pruned trials by step and value; running trials count as bad
  (`constant_liar`), which keeps parallel trials apart.
* `gp`, `cmaes`: model the parameters that every complete trial has, so they get the flattened space
  (`adapt_space`). On a branching space the common parameters shrink with the first trial that takes
  another branch, and CMA-ES, whose state keeps its dimension, draws at random from then on.
  CMA-ES has no notion of a choice; choices are drawn by TPE beside it.
* `random`: the baseline that a search has to beat.

Optuna's GP does not see pruned trials: it learns nothing from one and proposes the same point again.
CMA-ES takes them by their last value, which may be above the final value of a trial that went on
(mAP can fall after its peak). Here both count a pruned trial by its last value, but never as better
than the worst complete trial (`_PrunedCount`).

A grid needs no sampler: see `search_spaces.grid`.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Container
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from dcreid.config import ConfigError
from search_spaces.space import Space

# Trials drawn at random before a model is trusted.
STARTUP_TRIALS = 10


class _PrunedCount:
    """A study as a sampler sees it, with pruned trials as complete ones of a value that is no better
    than the worst complete trial's."""

    def __init__(self, study: Study) -> None:
        self._study = study

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        trials = self._study._get_trials(deepcopy=deepcopy, use_cache=use_cache)
        complete = [t.value for t in trials if t.state == TrialState.COMPLETE and t.value is not None]
        if complete:
            worse = max if self._study.direction == StudyDirection.MINIMIZE else min
            trials = [_counted(trial, worse, worse(complete)) for trial in trials]
        return [trial for trial in trials if states is None or trial.state in states]


def _counted(trial: FrozenTrial, worse: Callable[[float, float], float], worst: float) -> FrozenTrial:
    if trial.state != TrialState.PRUNED or not trial.intermediate_values:
        return trial
    last = trial.intermediate_values[max(trial.intermediate_values)]
    if not math.isfinite(last):
        return trial
    counted = copy.copy(trial)  # the trial itself belongs to the storage
    counted.state, counted.value = TrialState.COMPLETE, worse(last, worst)
    return counted


class _GP(GPSampler):
    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        view: Any = _PrunedCount(study)
        return super().sample_relative(view, trial, search_space)


class _CmaEs(CmaEsSampler):
    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        view: Any = _PrunedCount(study)
        return super().sample_relative(view, trial, search_space)


def _tpe(seed: int) -> BaseSampler:
    return TPESampler(
        seed=seed, multivariate=True, group=True, constant_liar=True, n_startup_trials=STARTUP_TRIALS
    )


def _gp(seed: int) -> BaseSampler:
    return _GP(
        seed=seed,
        n_startup_trials=STARTUP_TRIALS,
        independent_sampler=RandomSampler(seed=seed),
        warn_independent_sampling=False,
    )


def _cmaes(seed: int) -> BaseSampler:
    return _CmaEs(
        seed=seed,
        independent_sampler=TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS),
        warn_independent_sampling=False,
    )


_FACTORIES: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": _tpe,
    "random": lambda seed: RandomSampler(seed=seed),
    "gp": _gp,
    "cmaes": _cmaes,
}
SAMPLERS = tuple(_FACTORIES)
_FIXED_SHAPE = ("gp", "cmaes")


def adapt_space(space: Space, sampler: str) -> Space:
    """The space in the form that a sampler can model: flattened for `gp` and `cmaes`, else as it is."""
    return space.flattened() if sampler in _FIXED_SHAPE else space


def make_sampler(name: str, space: Space, seed: int, n_existing: int = 0) -> BaseSampler:
    """A sampler for an adapted space; `n_existing` is the number of trials that the study already has.

    It goes into the seed: a study continued with its first seed would draw its first points again.

    Raises:
        ConfigError: an unknown name, or a space that the sampler cannot model (see `adapt_space`).
    """
    if name not in _FACTORIES:
        raise ConfigError(f"sampler = {name!r}: must be one of {', '.join(SAMPLERS)}")
    if space != adapt_space(space, name):
        raise ConfigError(f"sampler {name!r} needs a space of fixed shape: pass adapt_space(space, {name!r})")
    if name == "cmaes" and not any(prior.numeric for prior in space.priors):
        raise ConfigError(
            f"sampler 'cmaes': search space {space.name!r} has no numbers, only choices; use tpe or gp"
        )
    mixed = int(np.random.SeedSequence([seed, n_existing]).generate_state(1)[0])
    with warnings.catch_warnings():
        # TPE's group has been "experimental" since Optuna 2.8.
        warnings.simplefilter("ignore", ExperimentalWarning)
        return _FACTORIES[name](mixed)

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
than the worst complete trial (`pruned_as_complete`).

A grid needs no sampler: see `search_spaces.grid`.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from dcreid.config import ConfigError
from search_spaces.space import Space, adapt_space
from study.private import StudyForSamplers

# Trials drawn at random before a model is trusted.
STARTUP_TRIALS = 10


def pruned_as_complete(study: Study) -> Any:
    """The study with pruned trials as complete ones, of a value no better than the worst complete trial's."""
    worse = max if study.direction == StudyDirection.MINIMIZE else min

    def change(trials: list[FrozenTrial]) -> list[FrozenTrial]:
        complete = [t.value for t in trials if t.state == TrialState.COMPLETE and t.value is not None]
        return [_as_complete(trial, worse, worse(complete)) for trial in trials] if complete else trials

    return StudyForSamplers(study, change)


def _as_complete(trial: FrozenTrial, worse: Callable[[float, float], float], worst: float) -> FrozenTrial:
    if trial.state != TrialState.PRUNED or not trial.intermediate_values:
        return trial
    last = trial.intermediate_values[max(trial.intermediate_values)]
    if not math.isfinite(last):
        return trial
    complete = copy.copy(trial)  # the trial itself belongs to the storage
    complete.state, complete.value = TrialState.COMPLETE, worse(last, worst)
    return complete


class _GP(GPSampler):
    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return super().sample_relative(pruned_as_complete(study), trial, search_space)


class _CmaEs(CmaEsSampler):
    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return super().sample_relative(pruned_as_complete(study), trial, search_space)


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

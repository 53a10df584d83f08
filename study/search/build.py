"""Optuna's study of a plan: its storage, sampler and pruner."""

from __future__ import annotations

import functools

import optuna
from optuna.trial import FrozenTrial

from study.plan import StudyPlan
from study.record.ledger import Ledger
from study.search.database import OptunaStudyInDatabase
from study.search.optuna_study import OptunaStudy, journal
from study.search.pruners import SuccessiveHalving, median
from study.search.rungs import rung_steps, rungs
from study.search.samplers import make_sampler


def open_optuna_study(plan: StudyPlan, tracklets: int, ledger: Ledger) -> OptunaStudy | None:
    """Optuna's study of a search on so many tracklets; None for a plan, which draws nothing."""
    space = plan.search_space
    if space is None:
        return None
    # Grid points are given, not drawn.
    name = "random" if plan.sampler == "grid" else plan.sampler

    def sampler(draw: int) -> optuna.samplers.BaseSampler:
        return make_sampler(name, space, plan.config.seed, draw)

    rest = sampler, make_pruner(plan, tracklets, ledger), plan.objective, space.distributions()
    if plan.optuna_storage is None:
        return OptunaStudy(plan.name, journal(plan.folder), *rest)
    return OptunaStudyInDatabase(plan.optuna_storage, ledger.study_id, plan.name, *rest)


def make_pruner(plan: StudyPlan, tracklets: int, ledger: Ledger) -> optuna.pruners.BasePruner:
    """The pruner of a search: asha, median or none."""
    if plan.pruner == "median":
        return median(plan.grace or max(1, plan.config.merge.merge_steps(tracklets) // 3))
    if plan.pruner == "none":
        return optuna.pruners.NopPruner()
    at = rungs(plan.config, tracklets, plan.asha_eta, plan.asha_rungs)

    @functools.cache
    def steps_of(number: int) -> tuple[float, ...]:
        return rung_steps(ledger.trials[number].config["train"], at, plan.grace)

    def steps(trial: FrozenTrial) -> tuple[float, ...]:
        return steps_of(trial.user_attrs["trial"])

    return SuccessiveHalving(steps, plan.asha_eta)

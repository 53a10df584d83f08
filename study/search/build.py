"""Optuna's study of a plan: its storage, sampler and pruner."""

from __future__ import annotations

import optuna

from study.plan import StudyPlan
from study.record.ledger import Ledger
from study.search.database import OptunaStudyInDatabase
from study.search.optuna_study import OptunaStudy, journal
from study.search.pruners import make_pruner
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

    grace = plan.grace or max(1, plan.config.merge.merge_steps(tracklets) // 3)
    pruner = make_pruner(plan.pruner, grace)
    if plan.optuna_storage is None:
        return OptunaStudy(plan.name, journal(plan.folder), sampler, pruner, plan.objective)
    return OptunaStudyInDatabase(
        plan.optuna_storage, ledger.study_id, plan.name, sampler, pruner, plan.objective
    )

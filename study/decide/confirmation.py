"""Confirming a search: its best configurations, trial 0's and the paper's, on seeds that it never saw.

The best of many single runs is the luckiest of them, and says more of its seed than of its
configuration. Runs on fresh seeds were not chosen by, so their mean is what to expect.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from dcreid.config import Config
from search_spaces.paper import PlanItem
from study.plan import PAPERS, StudyPlan
from study.record.intervals import Estimate, estimate
from study.record.ledger import ENQUEUED, TrialRecord

# Origins of the trials among which a search chooses, trial 0 apart.
SEARCHED = ("search", "given", ENQUEUED)


def confirmation(plan: StudyPlan, trials: Iterable[TrialRecord]) -> list[PlanItem]:
    """The runs that confirm a search, seed by seed: trial 0's and the paper's first, then the best drawn.

    Only complete trials are candidates, by the objective of the study; the better of equals is the
    earlier. Settings of the paper's tables that the search was given are candidates like those drawn.
    The fresh seeds are the next after those of the search.
    """
    trials = list(trials)
    best = best_drawn(plan, trials)
    chosen = [*_compared(plan), *((Config.from_dict(t.config), f"trial {t.number}") for t in best)]
    return [
        PlanItem(config.replace(seed=seed), ("confirm", label), label)
        for seed in fresh_seeds(plan, trials)
        for config, label in chosen
    ]


def runs_to_confirm(plan: StudyPlan) -> int:
    """How many runs `confirmation` has, if the search finds configurations enough."""
    return (plan.confirm + len(_compared(plan))) * plan.seeds if plan.confirm else 0


def _compared(plan: StudyPlan) -> list[tuple[Config, str]]:
    """What the best are compared with: trial 0's configuration and, where it is another, the paper's."""
    base = [(plan.config, plan.preset)]
    return base if plan.papers_config == plan.config else [*base, (plan.papers_config, PAPERS)]


def best_drawn(plan: StudyPlan, trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """The best `plan.confirm` trials that the search drew or was given, at its start or later."""
    ended = [t for t in trials if t.origin in SEARCHED and t.state == "complete" and t.value is not None]
    ended.sort(key=lambda trial: (-(trial.value or 0.0), trial.number))
    distinct = {Config.from_dict(trial.config).digest(): trial for trial in reversed(ended)}
    for config, _ in _compared(plan):
        distinct.pop(config.digest(), None)
    return sorted(distinct.values(), key=ended.index)[: plan.confirm]


def fresh_seeds(plan: StudyPlan, trials: Iterable[TrialRecord]) -> list[int]:
    """`plan.seeds` seeds after the study's own, without those that drawn trials ran on."""
    seen = {trial.seed for trial in trials if trial.origin in SEARCHED}
    following = (seed for seed in itertools.count(plan.config.seed + 1) if seed not in seen)
    return list(itertools.islice(following, plan.seeds))


@dataclass(frozen=True)
class Confirmed:
    """A configuration's value when it was chosen (a fraction), and on fresh seeds (percent)."""

    trial: TrialRecord  # the run it was chosen by
    fresh: Estimate


def confirmed(plan: StudyPlan, trials: Iterable[TrialRecord]) -> list[Confirmed]:
    """Trial 0, the paper's and the best drawn ones, with what their fresh runs have come to so far."""
    trials = list(trials)
    first = [
        next((t for t in trials if t.origin in (plan.preset, "given") and t.config == config.to_dict()), None)
        for config, _ in _compared(plan)
    ]
    found = []
    for trial in [*filter(None, first), *best_drawn(plan, trials)]:
        config = Config.from_dict(trial.config)
        fresh = [config.replace(seed=seed).to_dict() for seed in fresh_seeds(plan, trials)]
        values = {
            t.seed: value for t in trials
            if t.origin == "confirm" and t.state in ("complete", "diverged") and t.config in fresh
            and (value := t.objective_value(plan.objective)) is not None
        }  # fmt: skip
        found.append(Confirmed(trial, estimate(100 * values[seed] for seed in sorted(values))))
    return found

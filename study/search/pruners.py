"""Which trials end early. Every decision follows from the curves alone, so that a study that was cut,
or whose Optuna storage was lost and rebuilt, decides as if nothing had happened.

Optuna's own successive halving notes passed rungs in its storage before it decides: a crash between
the two loses the decision. Its median pruner keeps nothing and is used as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import optuna
from optuna.trial import FrozenTrial

_MEDIAN_TRIALS = 4


class SuccessiveHalving(optuna.pruners.BasePruner):
    """ASHA (Li et al., 2020): of the trials that got to a rung the best one in `share` goes on.

    steps: a trial's own merge step at each rung (`study.search.rungs`), as many for every trial. Where
    that step was not measured the next one that was counts for it.
    """

    def __init__(self, steps: Callable[[FrozenTrial], Sequence[float]], share: int):
        self.steps, self.share = steps, share

    def prune(self, study: optuna.study.Study, trial: FrozenTrial) -> bool:
        """Whether the trial ends at its last step."""
        step = trial.last_step
        if step is None:
            return False
        before = max((other for other in trial.intermediate_values if other < step), default=0)
        passed = [rung for rung, at in enumerate(self.steps(trial)) if before < at <= step]
        return any(self._is_behind(study, trial, rung) for rung in passed)

    def _is_behind(self, study: optuna.study.Study, trial: FrozenTrial, rung: int) -> bool:
        trials = [other for other in study.get_trials(deepcopy=False) if other.intermediate_values]
        others = [_at(other, self.steps(other)[rung]) for other in trials]
        values = sorted((value for value in others if value is not None), reverse=True)
        own = _at(trial, self.steps(trial)[rung])
        return own is not None and own < values[max(1, len(values) // self.share) - 1]


def _at(trial: FrozenTrial, rung: float) -> float | None:
    reached = [step for step in trial.intermediate_values if step >= rung]
    return trial.intermediate_values[min(reached)] if reached else None


def median(grace: int) -> optuna.pruners.BasePruner:
    """Ends a trial whose best so far is below the others' median; none before `grace` merge steps."""
    return optuna.pruners.MedianPruner(n_startup_trials=_MEDIAN_TRIALS, n_warmup_steps=grace)

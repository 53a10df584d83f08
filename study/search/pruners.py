"""Which trials end early. Every decision follows from the curves alone, so that a study that was cut,
or whose Optuna storage was lost and rebuilt, decides as if nothing had happened.

Optuna's own successive halving notes passed rungs in its storage before it decides: a crash between
the two loses the decision. Its median pruner keeps nothing and is used as it is.
"""

from __future__ import annotations

import optuna
from optuna.trial import FrozenTrial

_SHARE = 3  # one in so many goes on at every rung
_MEDIAN_TRIALS = 4


class SuccessiveHalving(optuna.pruners.BasePruner):
    """ASHA (Li et al., 2020): at merge steps r, 3r, 9r, … the best third of those that got there goes on.

    Where a rung's step was not measured the next one that was counts for it.
    """

    def __init__(self, first_rung: int):
        self.first_rung = max(1, first_rung)

    def prune(self, study: optuna.study.Study, trial: FrozenTrial) -> bool:
        """Whether the trial ends at its last step."""
        step = trial.last_step
        if step is None:
            return False
        before = max((other for other in trial.intermediate_values if other < step), default=0)
        rung = self.first_rung
        while rung <= step:
            if rung > before and self._is_behind(study, trial, rung):
                return True
            rung *= _SHARE
        return False

    def _is_behind(self, study: optuna.study.Study, trial: FrozenTrial, rung: int) -> bool:
        others = [_at(other, rung) for other in study.get_trials(deepcopy=False)]
        values = sorted((value for value in others if value is not None), reverse=True)
        own = _at(trial, rung)
        return own is not None and own < values[max(1, len(values) // _SHARE) - 1]


def _at(trial: FrozenTrial, rung: int) -> float | None:
    reached = [step for step in trial.intermediate_values if step >= rung]
    return trial.intermediate_values[min(reached)] if reached else None


def make_pruner(name: str, grace: int) -> optuna.pruners.BasePruner:
    """asha, median or none; no trial ends before `grace` merge steps."""
    if name == "asha":
        return SuccessiveHalving(grace)
    if name == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=_MEDIAN_TRIALS, n_warmup_steps=grace)
    return optuna.pruners.NopPruner()

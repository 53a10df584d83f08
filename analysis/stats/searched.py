"""What a search found, as a study of Optuna's: its trials, importances of parameters, a surface over two.

The study is rebuilt in memory from the trials' configurations, in the flattened space: there every
trial has every parameter (λ = 0 lies in a strip below the smallest value), so that no plot leaves
conditional parameters out. Parameters go by the paper's symbols. Nothing in the study folder is opened
for writing.

Optuna's importances and plots look at complete trials alone, and a pruner ends most: `counting_pruned` has
those too, with the value at which they ended, which is what Optuna itself takes for the value of one.
"""

from __future__ import annotations

import importlib
import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from jaxtyping import Float
from numpy import ndarray
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.importance import BaseImportanceEvaluator
from optuna.trial import FrozenTrial, TrialState
from scipy.interpolate import griddata
from scipy.spatial import QhullError

from analysis.data.results import Study
from analysis.data.symbols import symbol
from dcreid.config import Config, ConfigError
from search_spaces.space import Space
from search_spaces.symbols import value_text
from study.decide.confirmation import SEARCHED
from study.plan import OBJECTIVES
from study.show.wording import whose

FEWEST = 4  # complete trials below which importances and contours are noise
MOST = 10  # parameters beside each other in one picture
_APART = 0.15  # of an axis: between a weight of 0 and the smallest above it
_AXES = {"mAP": "mAP", "unlabelled": "score without labels"}
_STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "diverged": TrialState.COMPLETE,  # with the worst value, as the search had it
    "failed": TrialState.FAIL,
}


def optuna_study(study: Study) -> optuna.Study:
    """Trials drawn or given, and trial 0's configuration on its first seed, as a study of Optuna's.

    Of what was given, all that differs from trial 0 in what is searched alone.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    made = optuna.create_study(direction="maximize", study_name=study.name)
    made.set_user_attr("axis", f"objective: {_AXES[OBJECTIVES[study.plan.objective]]} (%)")
    assert study.plan.space is not None
    space = Space.from_dict(study.plan.space).flattened()
    distributions = {symbol(name): of for name, of in space.distributions().items()}
    for trial in study.trials:
        base = trial.origin == study.plan.preset and trial.seed == study.plan.config.seed
        counted = base or trial.origin in SEARCHED
        config = Config.from_dict(trial.config)
        if not counted or trial.state not in _STATES or not study.plan.in_space(config):
            continue
        try:
            params = space.params_of(config)
        except ConfigError:  # a configuration outside the space
            continue
        curve = trial.objective_curve(study.plan.objective)
        ended_with_value = curve and trial.state != "failed"
        made.add_trial(
            optuna.create_trial(
                state=_STATES[trial.state] if ended_with_value else TrialState.FAIL,
                value=curve[max(curve)] if ended_with_value else None,
                params={symbol(name): value for name, value in params.items()},
                distributions=distributions,
                intermediate_values=curve,
                user_attrs={
                    "trial": trial.number,
                    "state": trial.state,
                    "base": f"{whose(study.plan)} setting" if base else "",
                },
            )
        )
    return made


def counting_pruned(study: optuna.Study) -> optuna.Study:
    """The same trials, where a pruned one is complete with the value at which it ended.

    Optuna's importances and plots pass over pruned trials, most of a search. Their values are of fewer merge
    steps than the others': what a pruner has ended counts as it stood when it was ended.
    """
    made = optuna.create_study(direction="maximize", study_name=study.study_name)
    for trial in study.trials:
        if trial.state == TrialState.PRUNED:
            trial.state = TrialState.COMPLETE
        made.add_trial(trial)
    return made


def valued(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that count: complete, pruned and diverged ones, in the order in which they were started."""
    states = (TrialState.COMPLETE, TrialState.PRUNED)
    trials = study.get_trials(deepcopy=False, states=states)
    return [trial for trial in trials if trial.value is not None]


def why_nothing_said(study: optuna.Study) -> str:
    """Why importances, contours and their like would say nothing of a search yet; empty where they do."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < FEWEST:
        are = "is" if len(complete) == 1 else "are"
        return f"{FEWEST} complete trials are needed, {len(complete)} {are} there"
    if len({trial.value for trial in complete}) == 1:
        return "all complete trials have the same value"
    return ""


def importances(study: optuna.Study, evaluator: BaseImportanceEvaluator) -> dict[str, float]:
    """Parameter to its share of the importance, largest first; pruned trials count (`counting_pruned`)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = optuna.importance.get_param_importances(counting_pruned(study), evaluator=evaluator)
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def fanova() -> BaseImportanceEvaluator | None:
    """fANOVA's evaluator; None without scikit-learn, which Optuna would miss only after fitting."""
    try:
        importlib.import_module("sklearn")
    except ImportError:
        return None
    return optuna.importance.FanovaImportanceEvaluator(seed=0)


def telling(study: optuna.Study) -> list[str]:
    """The parameters that one picture has room for: of more than MOST those that PED-ANOVA puts first."""
    names = list(dict.fromkeys(name for trial in study.trials for name in trial.params))
    if len(names) <= MOST:
        return names
    return list(importances(study, optuna.importance.PedAnovaImportanceEvaluator()))[:MOST]


@dataclass(frozen=True)
class Parameter:
    """A parameter of the flattened space, and how its values are written and laid on an axis."""

    name: str
    distribution: BaseDistribution
    zero_below: float | None = None  # of a weight that may be 0: values below this mean 0

    @property
    def choices(self) -> tuple[Any, ...]:
        """Of a categorical parameter; () of a number."""
        of = self.distribution
        return of.choices if isinstance(of, CategoricalDistribution) else ()

    @property
    def log(self) -> bool:
        """Whether its axis is logarithmic."""
        return bool(getattr(self.distribution, "log", False))

    def position(self, value: Any) -> float:
        """Where a value lies on the axis from 0 to 1; a weight of 0 lies apart from the smallest above it."""
        if self.choices:
            return float(self.choices.index(value)) / max(len(self.choices) - 1, 1)
        low, high = self._ends()
        if self.zero_below is not None and value < low:
            return 0.0
        share = math.log(value / low) / math.log(high / low) if self.log else (value - low) / (high - low)
        return float(share if self.zero_below is None else _APART + (1 - _APART) * share)

    def ticks(self) -> list[tuple[float, str]]:
        """Places on the axis, from 0 to 1, and what stands there: every choice; both ends, some between."""
        if self.choices:
            return [(self.position(choice), value_text(choice)) for choice in self.choices]
        low, high = self._ends()
        if self.log:
            powers = range(math.floor(math.log10(low)) + 1, math.ceil(math.log10(high)))
            between = [10.0**power for power in powers]
        else:
            between = [low + (high - low) * share for share in (0.25, 0.5, 0.75)]
        if isinstance(self.distribution, IntDistribution):
            between = [float(round(value)) for value in between]
        first, *inner, last = ((self.position(value), f"{value:.3g}") for value in (low, *between, high))
        zero = [] if self.zero_below is None else [(0.0, "0")]
        inner = [tick for tick in inner if first[0] + 0.1 < tick[0] < last[0] - 0.1]
        return [*zero, first, *inner, last]

    def _ends(self) -> tuple[float, float]:
        """The smallest value above a weight's 0, and the largest."""
        low, high = (float(getattr(self.distribution, end)) for end in ("low", "high"))
        return (low if self.zero_below is None else self.zero_below), high

    def text(self, value: Any) -> str:
        """A value as it is read: the strip below a weight's smallest value is 0."""
        return "0" if self.zero_below is not None and value < self.zero_below else value_text(value)


def parameters(study: Study) -> dict[str, Parameter]:
    """Symbol to parameter, of the flattened space that a study searched."""
    assert study.plan.space is not None
    space = Space.from_dict(study.plan.space).flattened()
    return {
        symbol(name): Parameter(symbol(name), of, prior.low if prior.zero else None)
        for prior in space.priors
        for name, of in prior.distributions(True).items()
    }


def surface(
    places: Float[ndarray, "n 2"], values: Float[ndarray, " n"], size: int
) -> Float[ndarray, "size size"]:
    """Values linearly between trials on a grid over the unit square; NaN outside of what was tried.

    places: in [0, 1]; of trials at one place the mean counts. All NaN where they lie on one line.
    """
    at, which = np.unique(places, axis=0, return_inverse=True)
    means = np.bincount(which.ravel(), values) / np.bincount(which.ravel())
    ticks = (np.arange(size) + 0.5) / size
    try:
        return np.asarray(griddata(at, means, tuple(np.meshgrid(ticks, ticks, indexing="ij"))))
    except (QhullError, ValueError):
        return np.full((size, size), np.nan)

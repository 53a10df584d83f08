"""Series over merge steps, epochs and a parameter, by seed and with intervals: what all figures draw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from analysis.data.published import Published, ablations
from analysis.data.results import Group
from analysis.data.runs import Run, of_experiment
from dcreid.config import TrainConfig
from search_spaces.paper import PLANS
from study.record.intervals import FEWEST_SEEDS, Estimate, estimate

NO_FINAL_RUN = "the final setting was not run to its end (any plan has it)"
# plan, name of the file, title, field on the axis
SWEEPS = (
    ("fig4", "fig4", "Fig 4: weight of the intra-class dispersions", "merge.lambda1"),
    ("fig5", "fig5", "Fig 5: weight of the class sizes", "merge.lambda2"),
    ("table3", "tau", "Table 3 as a curve: temperature", "train.temperature"),
    ("alpha", "alpha", "End value of the memory update rate", "train.alpha"),
)


@dataclass(frozen=True)
class Series:
    """Points in ascending order of x, each with a value per seed."""

    x: list[float]
    values: list[pd.Series[float]]  # by seed

    @cached_property
    def estimates(self) -> list[Estimate]:
        """Means over seeds with their intervals."""
        return [estimate(each) for each in self.values]

    @property
    def mean(self) -> list[float]:
        """Means over seeds."""
        return [each.mean for each in self.estimates]

    @property
    def half(self) -> list[float]:
        """Half of the 95 % interval, NaN where there is none."""
        return [each.half for each in self.estimates]

    @property
    def runs(self) -> int:
        """The largest number of runs behind a point."""
        return max((each.n for each in self.estimates), default=0)


def over_steps(runs: Sequence[Run], metric: str, *, scale: float = 1.0, untrained: bool = False) -> Series:
    """A column of the results table by merge step; untrained: with step 0 in front."""
    return _by_seed(
        (step, run.trial.seed, scale * value)
        for run in runs
        for step, value in run.curve(metric).items()
        if step > 0 or untrained
    )


def over_epochs(runs: Sequence[Run], metric: str) -> Series:
    """A metric in percent after every stage, by the epochs trained so far."""
    return _by_seed(
        (epochs_trained(run.config.train, step), run.trial.seed, 100 * value)
        for run in runs
        for step, value in run.curve(metric).items()
        if step >= 1
    )


def epochs_trained(train: TrainConfig, step: int) -> int:
    """Epochs of the stages up to merge step `step` >= 1."""
    return train.first_epochs + (step - 1) * train.later_epochs


def _by_seed(points: Iterable[tuple[int, int, float]]) -> Series:
    """points: (x, seed, value)."""
    found: dict[int, dict[int, float]] = {}
    for x, seed, value in points:
        found.setdefault(x, {})[seed] = value
    known = sorted(found)
    return Series([float(x) for x in known], [pd.Series(found[x]).sort_index() for x in known])


def over_parameter(runs: Sequence[Run], prefix: str, metric: str, at: str) -> Series:
    """A metric in percent against the numbers in the experiments' names: `fig4/0.06` is 0.06."""
    points = numbered(runs, prefix)
    return Series(list(points), [of_experiment(runs, name, metric, at) for name in points.values()])


def numbered(runs: Sequence[Run], prefix: str) -> dict[float, str]:
    """Values of the parameter that were run, in ascending order, and their experiments."""
    names = {name for run in runs for name in run.experiments if name.startswith(f"{prefix}/")}
    return dict(sorted((number, name) for name in names if (number := _number(name)) is not None))


def printed_points(prefix: str, group: Group) -> dict[float, Published]:
    """Values of the parameter whose result the paper prints, for the paper's own data and method only.

    A point of a figure is printed where a table has the same configuration: Fig 5's λ2 = 0 is Table 1's
    "baseline + λ1".
    """
    if not group.is_papers:
        return {}
    found = {}
    for name, changes in PLANS[prefix].rows(group.base):
        config, number = group.base.replace(**changes), _number(name)
        for printed, row in ablations(group.dataset).items():
            printed_changes = dict(PLANS[printed.split("/")[0]].rows(group.base)).get(printed)
            if number is None or printed_changes is None:
                continue
            if group.base.replace(**printed_changes) == config:
                found[number] = row
    return found


def seeds_text(count: int) -> str:
    """`3 seeds, bands: 95 % intervals`"""
    bands = ", bands: 95 % intervals" if count >= FEWEST_SEEDS else ""
    return f"{count} seed{'s' if count > 1 else ''}{bands}"


def _number(experiment: str) -> float | None:
    try:
        return float(experiment.split("/", 1)[1])
    except ValueError:
        return None

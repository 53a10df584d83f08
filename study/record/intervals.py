"""Means over runs with their 95 % t interval, as numbers and as text; of two runs both values instead."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL = 0.05  # of tests; intervals hold 1 - LEVEL
MISSING = "–"
# Two runs have an interval, but a t quantile of 12.7 makes it, not the data.
FEWEST_SEEDS = 3
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Estimate:
    """A mean of n runs; `half` is half of its 95 % interval, NaN below three runs and without spread."""

    mean: float
    half: float
    n: int
    runs: tuple[float, ...] = ()  # their values, in the order in which they were given

    def text(self, *, signed: bool = False) -> str:
        """`41.3 ± 0.5`; of two runs both values, `36.8, 36.0`; of one its value; – of none."""
        if len(self.runs) == FEWEST_SEEDS - 1:
            return ", ".join(interval_text(value, signed=signed) for value in self.runs)
        return interval_text(self.mean, self.half, signed=signed)

    def columns(self, name: str) -> dict[str, float]:
        """The mean and half of its interval, as columns of a table."""
        return {name: self.mean, f"{name}_half": self.half}


def estimate(values: Iterable[float]) -> Estimate:
    """Mean and t interval of the values that are there (not NaN)."""
    given = np.fromiter(values, dtype=np.float64)
    known = given[~np.isnan(given)]
    n = len(known)
    mean = float(known.mean()) if n else math.nan
    half = math.nan
    if n >= FEWEST_SEEDS and not same(known):
        half = float(stats.t.ppf(1 - LEVEL / 2, n - 1)) * float(known.std(ddof=1)) / math.sqrt(n)
    return Estimate(mean, half, n, tuple(known.tolist()))


def same(values: NDArray[np.float64]) -> bool:
    """Whether values have no spread. That is no proof of anything: an interval of no width, a p of 0."""
    return bool(np.ptp(values) < _ROUNDING)


def interval_text(mean: float, half: float = math.nan, *, signed: bool = False) -> str:
    """`41.3 ± 0.5`, `+1.2` if signed; without an interval the mean alone; – where the mean is NaN."""
    if math.isnan(mean):
        return MISSING
    text = f"{mean:{'+' if signed else ''}.1f}".replace("-", "−")
    return text if math.isnan(half) else f"{text} ± {half:.1f}"

"""Means over runs with their 95 % t interval, as numbers and as text."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.05  # of tests; intervals hold 1 - LEVEL
MISSING = "–"


@dataclass(frozen=True)
class Estimate:
    """A mean of n runs; `half` is half of its 95 % interval, NaN for a single run."""

    mean: float
    half: float
    n: int

    def text(self, *, signed: bool = False) -> str:
        """`41.3 ± 0.5`; of a single run the mean alone; – of none."""
        return interval_text(self.mean, self.half, signed=signed)

    def columns(self, name: str) -> dict[str, float]:
        """The mean and half of its interval, as columns of a table."""
        return {name: self.mean, f"{name}_half": self.half}


def estimate(values: Iterable[float]) -> Estimate:
    """Mean and t interval of the values that are there (not NaN)."""
    given = np.fromiter(values, dtype=np.float64)
    known = given[~np.isnan(given)]
    n = len(known)
    if n < 2:
        return Estimate(float(known[0]) if n else math.nan, math.nan, n)
    quantile = float(stats.t.ppf(1 - LEVEL / 2, n - 1))
    return Estimate(float(known.mean()), quantile * float(known.std(ddof=1)) / math.sqrt(n), n)


def interval_text(mean: float, half: float = math.nan, *, signed: bool = False) -> str:
    """`41.3 ± 0.5`, `+1.2` if signed; without an interval the mean alone; – where the mean is NaN."""
    if math.isnan(mean):
        return MISSING
    text = f"{mean:{'+' if signed else ''}.1f}".replace("-", "−")
    return text if math.isnan(half) else f"{text} ± {half:.1f}"

"""What a paired t test over n seeds could have found: its power, from SciPy's noncentral t distribution.

d is the difference in units of the standard deviation of the per-seed differences. (statsmodels' `TTestPower`
has the same power, but solves it wrongly at three seeds and small levels, where it ends at its own bounds.)
"""

from __future__ import annotations

import math
from bisect import bisect_left

from scipy import optimize, stats

from study.record.intervals import FEWEST_SEEDS

POWER = 0.8
MOST_SEEDS = 10_000  # nobody counts further


def power(d: float, n: int, level: float) -> float:
    """The chance that a two-sided paired t test at `level` over n seeds finds a true d > 0 above zero."""
    return float(stats.nct.sf(stats.t.isf(level / 2, n - 1), n - 1, d * math.sqrt(n)))


def detectable(sd: float, n: int, level: float) -> float:
    """The true difference that n seeds find with a chance of 80 %, in the units of `sd`."""
    high = 10 + 2 * stats.t.isf(level / 2, n - 1) / math.sqrt(n)  # has a power of more than 80 %
    return sd * float(optimize.brentq(lambda d: power(d, n, level) - POWER, 0, high))


def seeds_needed(difference: float, sd: float, level: float) -> int | None:
    """The fewest seeds, from 3, that find a true difference with 80 %; None beyond `MOST_SEEDS`."""
    counts = range(FEWEST_SEEDS, MOST_SEEDS + 1)
    found = bisect_left(counts, POWER, key=lambda n: power(abs(difference) / sd, n, level))
    return counts[found] if found < len(counts) else None

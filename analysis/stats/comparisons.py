"""Paired tests over seeds.

Values are Series indexed by seed. Tests are two-sided paired t tests, because runs of one seed share their
tracklet order and initial weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from study.record.intervals import LEVEL, Estimate, estimate

# Two differences can be tested, but then a t quantile of 12.7 decides, not the data.
FEWEST_SEEDS = 3


@dataclass(frozen=True)
class Comparison:
    """A contrast over n seeds: its mean, interval, and the p value of its being zero."""

    difference: Estimate
    p: float  # NaN below two seeds

    @property
    def enough(self) -> bool:
        """Whether there are seeds enough for a verdict."""
        return self.difference.n >= FEWEST_SEEDS

    def sign(self, tests: int = 1) -> int:
        """+1 or -1 where the contrast differs from zero (Bonferroni over `tests`), else 0."""
        if not self.enough or not self.p * tests < LEVEL:
            return 0
        return 1 if self.difference.mean > 0 else -1


def compare(contrast: pd.Series[float]) -> Comparison:
    """Tests a per-seed contrast against zero: `compare(ours - theirs)` pairs the two by seed."""
    known = contrast.dropna().to_numpy(dtype=np.float64)
    difference = estimate(known)
    if difference.n < 2:
        return Comparison(difference, math.nan)
    if np.allclose(known, known[0], rtol=0, atol=1e-12):  # no spread: t is 0/0 or infinite
        return Comparison(difference, 1.0 if abs(known[0]) < 1e-12 else 0.0)
    return Comparison(difference, float(stats.ttest_1samp(known, 0.0).pvalue))

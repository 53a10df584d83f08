"""Tests over seeds: of a contrast, of several settings against one, and of which settings may be best.

Values are Series indexed by seed. Tests are two-sided and paired by seed, because runs of one seed share
their tracklet order and initial weights. Several settings on common seeds are a randomised block design: a
value is the sum of its setting's mean, its seed's effect and noise, and the noise is taken to be normal and
as large in every setting. A run whose training diverged has the value 0, which is no such noise: a setting
with one has its mean like any other, but no part in the estimate of the noise. If a control is twice as noisy
as all others, of the searches without anything better 5 % (3 confirmed) or 8 % (10) are told to have won in
place of 2.5 % (`benchmarks/false_wins.py --papers-noise 2`).
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, special, stats
from statsmodels.stats.multitest import multipletests

from study.record.intervals import FEWEST_SEEDS, LEVEL, Estimate, estimate, same
from study.record.ledger import DIVERGED_VALUE


@dataclass(frozen=True)
class Comparison:
    """A contrast over n seeds: its mean, interval, and the p value of its being zero."""

    difference: Estimate
    p: float  # NaN where there can be no verdict

    @property
    def enough(self) -> bool:
        """Whether there are seeds enough for a verdict."""
        return self.difference.n >= FEWEST_SEEDS

    @property
    def obstacle(self) -> str:
        """Why there can be no verdict, in words; empty where there can."""
        if not self.enough:
            return f"not enough seeds ({self.difference.n} of at least {FEWEST_SEEDS})"
        if not math.isnan(self.p):
            return ""
        return f"{'no spread' if same(np.array(self.difference.runs)) else 'a run diverged'}: no verdict"

    @property
    def sign(self) -> int:
        """+1 or -1 where the contrast differs from zero, else 0."""
        if not self.p < LEVEL:  # NaN as well
            return 0
        return 1 if self.difference.mean > 0 else -1


def compare(contrast: pd.Series[float]) -> Comparison:
    """Tests a per-seed contrast against zero: `compare(ours - theirs)` pairs the two by seed."""
    difference = estimate(contrast)
    if math.isnan(difference.half):
        return Comparison(difference, math.nan)
    return Comparison(difference, float(stats.ttest_1samp(difference.runs, 0.0).pvalue))


def against_control(
    values: Mapping[str, pd.Series[float]], control: pd.Series[float]
) -> dict[str, Comparison]:
    """Every setting minus the control on the seeds that all have, corrected for their number by Dunnett.

    p is that of the largest of so many differences, and the intervals hold all at once (95 %), so any of
    them may be picked by its result. Settings are to be left out for their number of seeds alone. A setting
    with a diverged run counts among them but has no interval and no p.
    """
    blocks = pd.concat([control, *values.values()], axis=1, keys=range(len(values) + 1)).dropna()
    noise = _noise(blocks, always=0)
    found = {}
    for column, name in enumerate(values, start=1):
        runs = estimate(blocks[column] - blocks[0])
        half = p = math.nan
        if noise is not None and not _diverged(blocks[column]):
            half = noise.error * _critical(len(values), noise.df, sides=2)
            p = _beyond(abs(runs.mean) / noise.error, len(values), noise.df, sides=2)
        found[name] = Comparison(dataclasses.replace(runs, half=half), p)
    return found


def holm(p: Sequence[float]) -> list[float]:
    """p values corrected for their number by Holm's method; NaN, where nothing was tested, does not count."""
    given = np.array(p, dtype=np.float64)
    tested = ~np.isnan(given)
    if tested.any():
        given[tested] = multipletests(given[tested], method="holm")[1]
    return [float(value) for value in given]


def best_set(values: Mapping[str, pd.Series[float]]) -> set[str]:
    """The settings that are not significantly below the best (5 %): the best of all is among them at 95 %.

    Hsu's multiple comparisons with the best, on the seeds that all settings with runs have. Empty where
    there can be no verdict: fewer than two settings, fewer than three common seeds, or no spread.
    """
    blocks = pd.DataFrame({name: runs for name, runs in values.items() if runs.notna().any()}).dropna()
    noise = _noise(blocks)
    if noise is None:
        return set()
    means = blocks.mean()
    allowed = noise.error * _critical(len(means) - 1, noise.df, sides=1)
    return set(means.index[means >= means.max() - allowed])


@dataclass(frozen=True)
class _Noise:
    """Standard error of the difference between two settings' means, and its degrees of freedom."""

    error: float
    df: int


def _noise(blocks: pd.DataFrame, always: object = None) -> _Noise | None:
    """Of seeds × settings, by the residual mean square of the two-way layout; None without a verdict.

    always: a setting that counts even if a run of it has diverged.
    """
    steady = [name for name in blocks if name == always or not _diverged(blocks[name])]
    settled = blocks[steady].to_numpy(dtype=np.float64)
    n, k = settled.shape
    if n < FEWEST_SEEDS or k < 2:
        return None
    residuals = settled - settled.mean(axis=0) - settled.mean(axis=1, keepdims=True) + settled.mean()
    if same(residuals):
        return None
    df = (k - 1) * (n - 1)
    return _Noise(math.sqrt(2 / n * float((residuals**2).sum()) / df), df)


def _diverged(runs: pd.Series[float]) -> bool:
    return bool((runs == DIVERGED_VALUE).any())


# --- the largest of several differences from one mean: a multivariate t with correlations of 1/2


_NODES = 64


def _beyond(t: float, k: int, df: int, sides: int) -> float:
    """P(max T > t), or P(max |T| > t), of k differences from one mean in units of their standard error.

    Dunnett (1955): given the common mean's deviation z and the estimate s of the noise, the k are
    independent, and lie within z ± √2 t s. Integrated by Gauss's rules; up to k = 100 to within 1e-6.
    """
    z, of_z, s, of_s = _gauss(df)
    reach = math.sqrt(2) * t * s[:, None]
    within = special.ndtr(z + reach) - (special.ndtr(z - reach) if sides == 2 else 0)
    return max(0.0, 1 - float(of_s @ within**k @ of_z))


@functools.lru_cache(maxsize=256)
def _gauss(df: int) -> tuple[NDArray[np.float64], ...]:
    """z of a standard normal and s of √(χ²/df), each with its weights, which sum to 1."""
    z, of_z = special.roots_hermitenorm(_NODES)
    x, of_x = special.roots_legendre(_NODES)
    low, high = (float(stats.chi.ppf(p, df)) for p in (1e-12, 1 - 1e-12))
    chi = low + (high - low) * (x + 1) / 2
    of_chi = of_x * stats.chi.pdf(chi, df)
    return z, of_z / of_z.sum(), chi / math.sqrt(df), of_chi / of_chi.sum()


@functools.lru_cache(maxsize=256)
def _critical(k: int, df: int, sides: int) -> float:
    """The t that is exceeded with probability LEVEL."""
    return float(optimize.brentq(lambda t: _beyond(t, k, df, sides) - LEVEL, 0, 1000))

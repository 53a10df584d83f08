"""Intervals and paired tests against SciPy and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.stats.comparisons import compare
from study.record.intervals import estimate


def test_interval_is_students():
    values = pd.Series([1.0, 2.0, 4.0])
    expected = stats.t.interval(0.95, 2, loc=values.mean(), scale=stats.sem(values))
    found = estimate(values)
    assert (found.mean - found.half, found.mean + found.half) == pytest.approx(expected)
    assert found.n == 3


def test_one_run_has_no_interval_and_none_no_mean():
    assert estimate(pd.Series([5.0])).mean == 5.0 and math.isnan(estimate(pd.Series([5.0])).half)
    assert estimate(pd.Series([], dtype=float)).n == 0
    assert estimate(pd.Series([5.0, math.nan])).n == 1


def test_paired_test_is_scipys():
    rng = np.random.default_rng(0)
    a, b = pd.Series(rng.normal(1, 1, 8)), pd.Series(rng.normal(0, 1, 8))
    assert compare(a - b).p == pytest.approx(stats.ttest_rel(a, b).pvalue)


def test_no_spread_is_decided_without_dividing_by_zero():
    same, shifted = compare(pd.Series([0.0, 0.0, 0.0])), compare(pd.Series([1.0, 1.0, 1.0]))
    assert (same.p, same.sign()) == (1.0, 0)
    assert (shifted.p, shifted.sign()) == (0.0, 1)


def test_two_seeds_give_no_verdict_however_clear():
    clear = compare(pd.Series([10.0, 10.001]))
    assert clear.p < 0.05 and not clear.enough and clear.sign() == 0


def test_bonferroni():
    seen = compare(pd.Series([1.0, 1.1, 2.2]))
    assert 0.025 < seen.p < 0.1
    assert compare(pd.Series([-1.0, -1.1, -1.6])).sign() == -1
    assert compare(pd.Series([-1.0, -1.1, -1.6])).sign(tests=20) == 0

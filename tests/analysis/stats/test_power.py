"""Power against simulation, against statsmodels, and against the textbook's seeds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats import power as statsmodels

from analysis.stats.power import MOST_SEEDS, detectable, power, seeds_needed


def above_zero(d: float, n: int, level: float) -> float:
    """statsmodels' power; that of the test with two sides is NaN where it is near 1."""
    return float(statsmodels.TTestPower().power(d, n, level / 2, alternative="larger"))


def simulated(d: float, n: int, level: float, studies: int = 40_000) -> float:
    """How many of so many studies find it, above zero."""
    drawn = np.random.default_rng(0).normal(d, 1, (studies, n))
    tested = stats.ttest_1samp(drawn, 0, axis=1)
    return float(((tested.pvalue < level) & (tested.statistic > 0)).mean())


def test_three_seeds_find_the_papers_gain_in_one_study_of_six():
    assert power(0.9, 3, 0.05) == pytest.approx(0.15, abs=0.01)
    assert power(0.9, 3, 0.05) == pytest.approx(simulated(0.9, 3, 0.05), abs=0.006)


@pytest.mark.parametrize(("n", "level"), [(3, 0.05), (3, 0.002), (5, 0.002), (20, 0.05)])
def test_what_can_be_detected_is_found_four_times_in_five(n: int, level: float):
    d = detectable(1.0, n, level)
    assert simulated(d, n, level) == pytest.approx(0.8, abs=0.008)
    assert above_zero(d, n, level) == pytest.approx(0.8, abs=1e-9)
    assert detectable(2.5, n, level) == pytest.approx(2.5 * d)


@pytest.mark.parametrize(
    ("difference", "sd", "level"), [(0.9, 1.0, 0.05), (0.9, 1.0, 0.002), (1.2, 3.0, 0.05), (8.0, 1.0, 0.01)]
)
def test_seeds_needed_are_the_fewest_that_are_enough(difference: float, sd: float, level: float):
    n = seeds_needed(difference, sd, level)
    assert n is not None and above_zero(difference / sd, n, level) >= 0.8
    assert n == 3 or above_zero(difference / sd, n - 1, level) < 0.8
    assert seeds_needed(-difference, sd, level) == n


def test_seeds_are_at_least_three_and_are_not_counted_beyond_reason():
    assert seeds_needed(1000.0, 1.0, 0.05) == 3
    assert seeds_needed(0.9, 1.0, 0.05) == 12  # by the tables of any textbook
    assert seeds_needed(0.001, 1.0, 0.05) is None
    assert seeds_needed(0.03, 1.0, 0.05) is not None and MOST_SEEDS >= 8_000

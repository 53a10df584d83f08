"""Intervals and tests over seeds, against SciPy, closed forms and drawn runs."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.stats.comparisons import _beyond, _critical, against_control, best_set, compare, holm
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


def test_two_runs_are_two_values():
    two = estimate([36.8, math.nan, 36.0])
    assert (two.mean, two.n, two.runs) == (pytest.approx(36.4), 2, (36.8, 36.0)) and math.isnan(two.half)
    assert two.text() == "36.8, 36.0" and estimate([0.4, -0.2]).text(signed=True) == "+0.4, −0.2"
    assert estimate([36.8, 36.0, 36.4]).text() == "36.4 ± 1.0" and estimate([36.8]).text() == "36.8"


def test_an_interval_of_no_width_is_none():
    same = estimate([0.1 + 0.2, 0.3, 0.3])
    assert math.isnan(same.half) and same.text() == "0.3"


def test_paired_test_is_scipys():
    rng = np.random.default_rng(0)
    a, b = pd.Series(rng.normal(1, 1, 8)), pd.Series(rng.normal(0, 1, 8))
    assert compare(a - b).p == pytest.approx(stats.ttest_rel(a, b).pvalue)


@pytest.mark.parametrize("differences", [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.1 + 0.2, 0.3, 0.3]])
def test_no_spread_is_no_proof(differences: list[float]):
    """Identical differences have no t: 0/0, or infinite."""
    found = compare(pd.Series(differences))
    assert math.isnan(found.p) and found.sign == 0
    assert found.obstacle == "no spread: no verdict"


def test_two_seeds_give_no_verdict_however_clear():
    clear = compare(pd.Series([10.0, 10.001]))
    assert math.isnan(clear.p) and not clear.enough and clear.sign == 0
    assert clear.obstacle == "not enough seeds (2 of at least 3)"
    assert clear.difference.text(signed=True) == "+10.0, +10.0"


def test_a_difference_has_a_sign_where_it_is_significant():
    assert compare(pd.Series([1.0, 1.1, 1.6])).sign == 1 and compare(pd.Series([-1.0, -1.1, -1.6])).sign == -1
    unclear = compare(pd.Series([1.0, 1.1, 2.2]))
    assert 0.05 < unclear.p < 0.1 and unclear.sign == 0 and not unclear.obstacle


# --- several settings on common seeds


def drawn(k: int, n: int, seed: int = 0, spread: float = 1.0) -> dict[str, pd.Series]:
    """k settings without a true difference on n seeds, whose effects are ten times the noise."""
    rng = np.random.default_rng(seed)
    effects = 30 + 10 * rng.standard_normal(n)
    return {f"s{i}": pd.Series(effects + spread * rng.standard_normal(n), range(n)) for i in range(k)}


@pytest.mark.parametrize(("k", "df"), [(2, 4), (3, 12), (10, 20)])
@pytest.mark.parametrize("sides", [1, 2])
def test_the_largest_difference_is_of_the_multivariate_t(k: int, df: int, sides: int):
    shape = np.full((k, k), 0.5) + 0.5 * np.eye(k)
    for t in (1.0, 2.5):
        low = np.full(k, -t) if sides == 2 else None
        inside = stats.multivariate_t(shape=shape, df=df).cdf(np.full(k, t), lower_limit=low, random_state=0)
        assert _beyond(t, k, df, sides) == pytest.approx(1 - inside, abs=4e-4)
    assert _beyond(_critical(k, df, sides), k, df, sides) == pytest.approx(0.05, abs=1e-9)


@pytest.mark.parametrize("df", [2, 7, 60])
def test_the_largest_of_one_is_students(df: int):
    assert _beyond(2.5, 1, df, sides=1) == pytest.approx(stats.t.sf(2.5, df), abs=1e-8)
    assert _critical(1, df, sides=2) == pytest.approx(stats.t.ppf(0.975, df), abs=1e-6)


def test_against_a_control_it_is_dunnetts_test():
    """SciPy's has no blocks: with the seeds' effects taken out it differs by its degrees of freedom alone."""
    runs = drawn(4, 9)
    seeds = pd.DataFrame(runs).mean(axis=1)
    control, *others = (values - seeds for values in runs.values())
    scipys = stats.dunnett(*others, control=control, random_state=0)
    found = against_control({name: runs[name] for name in ("s1", "s2", "s3")}, runs["s0"])
    wider = math.sqrt((4 * 8) / (3 * 8))  # of the same sum of squares, over fewer degrees of freedom
    for one, t in zip(found.values(), scipys.statistic / wider, strict=True):
        assert one.p == pytest.approx(_beyond(abs(t), 3, 24, 2), rel=1e-6)
        assert one.difference.n == 9
    interval = scipys.confidence_interval()
    half = (interval.high - interval.low)[0] / 2
    assert found["s1"].difference.half == pytest.approx(half * wider, rel=0.02)


def test_one_setting_against_a_control_is_the_paired_test():
    runs = drawn(2, 5)
    (one,) = against_control({"a": runs["s1"]}, runs["s0"]).values()
    paired = compare(runs["s1"] - runs["s0"])
    assert one.p == pytest.approx(paired.p, abs=1e-8)
    assert (one.difference.mean, one.difference.half) == pytest.approx(
        (paired.difference.mean, paired.difference.half)
    )


def test_a_setting_counts_on_the_seeds_that_all_have():
    runs = drawn(3, 6)
    short = {"a": runs["s1"].drop(2), "b": runs["s2"].drop(5)}
    cut = {name: values.drop([2, 5], errors="ignore") for name, values in short.items()}
    found = against_control(short, runs["s0"])
    assert found == against_control(cut, runs["s0"].drop([2, 5]))
    assert {one.difference.n for one in found.values()} == {4}
    assert best_set({**short, "c": runs["s0"]}) == best_set({**cut, "c": runs["s0"].drop([2, 5])})


def test_seeds_of_two_or_without_spread_give_no_verdict():
    runs = drawn(3, 2)
    two = against_control({"a": runs["s1"], "b": runs["s2"]}, runs["s0"])
    assert all(one.sign == 0 and math.isnan(one.p) and one.difference.n == 2 for one in two.values())
    flat = {name: values.round() for name, values in drawn(3, 4, spread=0.0).items()}
    flat["s1"] += 5.0
    (one, _) = against_control({"a": flat["s1"], "b": flat["s2"]}, flat["s0"]).values()
    assert one.obstacle == "no spread: no verdict" and math.isnan(one.difference.half)
    assert best_set(runs) == best_set(flat) == best_set({}) == best_set({"alone": flat["s0"]}) == set()


def test_a_run_that_diverged_does_not_hide_what_the_others_show():
    runs = drawn(3, 5)
    better = runs["s1"] + 6
    collapsed = runs["s2"].where(runs["s2"].index != 3, 0.0)
    found = against_control({"better": better, "collapsed": collapsed}, runs["s0"])
    assert found["better"].sign == 1
    assert found["collapsed"].difference.mean == pytest.approx((collapsed - runs["s0"]).mean())
    assert math.isnan(found["collapsed"].p) and found["collapsed"].sign == 0
    assert found["collapsed"].obstacle == "a run diverged: no verdict"
    assert found["better"].p > against_control({"better": better}, runs["s0"])["better"].p  # one of two
    assert best_set({"better": better, "worse": runs["s0"], "collapsed": collapsed}) == {"better"}
    lost = runs["s0"].where(runs["s0"].index != 3, 0.0)  # of the control it is the very difference
    assert against_control({"better": better}, lost)["better"].p == pytest.approx(
        compare(better - lost).p, abs=1e-8
    )


@pytest.mark.parametrize(("share", "may"), [(0.98, {"s1", "s3"}), (1.02, {"s1"})])
def test_the_best_are_those_that_may_be_best(share: float, may: set[str]):
    """Hsu's allowance by hand: residuals after settings and seeds, Dunnett's one-sided 2.29 of 3 and 12."""
    frame = pd.DataFrame(drawn(4, 5))
    frame += [50.0, 60.0, 50.0, 0.0] - frame.mean()
    residuals = frame.sub(frame.mean(axis=1), axis=0).sub(frame.mean() - frame.to_numpy().mean())
    error = math.sqrt(2 / 5 * float((residuals**2).to_numpy().sum()) / 12)
    frame["s3"] += 60 - share * 2.29 * error
    values = frame.to_dict("series")
    assert best_set(values) == best_set({**values, "not run": pd.Series(dtype=float)}) == may


def test_a_setting_as_good_as_all_others_is_left_out_of_one_in_twenty():
    """All means are equal, so that each is the best; the level is exact then."""
    left_out = sum("s0" not in best_set(drawn(4, 4, seed)) for seed in range(150))
    assert left_out == pytest.approx(150 * 0.05, abs=3 * math.sqrt(150 * 0.05 * 0.95))


def test_holms_correction_by_hand_and_what_was_not_tested_does_not_count():
    # the smallest times 3, the next times 2, the largest once; never below one before it
    assert holm([0.04, math.nan, 0.01, 0.03]) == pytest.approx([0.06, math.nan, 0.03, 0.06], nan_ok=True)
    assert holm([]) == [] and math.isnan(holm([math.nan])[0])

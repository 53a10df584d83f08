"""Resamples of test persons: against a slow loop, against planted truth, paired, and where there are none."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.data.people import RESAMPLES, contrast_over_people, drawn, interval, over_people
from analysis.data.queries import Queries
from analysis.data.results import load
from analysis.data.runs import runs

WHO = np.array([7, 7, 7, 9, 12, 12, 30])  # identities of the queries


def kept(study, number: int, rng, steps=(0, 1, 2, 3), who=WHO) -> dict:
    """Queries of a trial as they were written: precisions and first matches by step."""
    precisions = {step: rng.random(len(who), dtype=np.float32) for step in steps}
    first = {step: rng.integers(1, 8, len(who)) for step in steps}
    study.keep_queries(number, who, precisions, first)
    return {"mAP": precisions, "first": first}


def found_of(study):
    return runs(load([study.folder]).groups[0])


def slow(values, who=WHO) -> np.ndarray:
    """Every resample one query at a time, in float64."""
    people = sorted(set(who.tolist()))
    times = drawn(len(people))
    out = []
    for column in range(times.shape[1]):
        pool = [
            float(value)
            for value, person in zip(values, who, strict=True)
            for _ in range(int(times[people.index(person), column]))
        ]
        out.append(100 * sum(pool) / len(pool))
    return np.array(out)


def test_a_resample_is_the_mean_over_the_queries_of_the_drawn(make):
    study = make("duke")
    rng = np.random.default_rng(3)
    seeds = [study.trial(study.base.replace(seed=seed)) for seed in (0, 1)]
    written = [kept(study, number, rng) for number in seeds]
    found = found_of(study)
    for at, step in (("last", 3), ("untrained", 0)):
        expected = np.mean([slow(each["mAP"][step]) for each in written], axis=0)
        assert over_people(found, "mAP", at) == pytest.approx(expected, abs=1e-5)
        assert over_people(found, "mAP_trapezoid", at) == pytest.approx(expected / 2, abs=1e-5)
        for metric, k in (("rank1", 1), ("rank5", 5)):
            expected_rank = np.mean([slow(each["first"][step] <= k) for each in written], axis=0)
            assert over_people(found, metric, at) == pytest.approx(expected_rank, abs=1e-9)
    low, high = interval(over_people(found, "mAP", "last"))
    ordered = np.sort(np.mean([slow(each["mAP"][3]) for each in written], axis=0))
    assert ordered[40] <= low <= ordered[60] and ordered[-60] <= high <= ordered[-40]


def test_people_are_drawn_with_replacement_as_often_as_there_are_some_and_always_the_same():
    times = drawn(9)
    assert times.shape == (9, RESAMPLES) and (times.sum(axis=0) == 9).all() and (times >= 0).all()
    assert times.mean(axis=1) == pytest.approx(np.ones(9), abs=0.1)
    assert times.var() == pytest.approx(8 / 9, abs=0.05)  # of a multinomial: n p (1 - p)
    assert (times == np.random.default_rng(0).multinomial(9, [1 / 9] * 9, RESAMPLES).T).all()
    assert (drawn(9, rng=np.random.default_rng(1)) != times).any()


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """Samples of 60 people from a population whose mean over queries is known."""
    rng, held = np.random.default_rng(0), []
    skill = rng.beta(2, 3, 20_000)
    asked = rng.integers(1, 6, 20_000)
    truth = 100 * (skill * asked).sum() / asked.sum()
    times = drawn(60, 400)
    for _ in range(400):
        people = rng.integers(0, len(skill), 60)
        counts = asked[people].astype(float)
        hits = rng.binomial(asked[people], skill[people]).astype(float)
        sample = Queries(np.arange(60), counts, {"rank1": {1: hits}})
        low, high = interval(sample.resampled("rank1", 1, times))
        held.append(low <= truth <= high)
    assert 0.91 <= np.mean(held) <= 0.975


def test_differences_are_of_the_same_people_and_seeds(make):
    """A variant that is better by the same for everybody: its difference does not depend on who is asked."""
    study = make("duke", experiments="table1")
    rng = np.random.default_rng(5)
    study.run_plan(seeds=2)
    for record in study.ledger.trials.values():
        person = np.random.default_rng(record.seed).random(13)  # who is easy, is easy for all methods
        values = 0.5 * np.repeat(person, 3) + 0.1 * ("table1/lambda1" in record.labels)
        study.keep_queries(
            record.number, np.repeat(np.arange(13), 3), {s: values + 0 * rng.random(39) for s in range(4)}
        )
    found = found_of(study)
    one, other = "table1/lambda1", "table1/baseline"
    low, high = interval(contrast_over_people({one: 1, other: -1}, found, "mAP", "last"))
    assert (low, high) == pytest.approx((10, 10), abs=1e-4)
    alone = interval(over_people([run for run in found if one in run.experiments], "mAP", "last"))
    assert alone[1] - alone[0] > 5
    # A third seed of one of the two has no partner.
    extra = study.trial(study.base.replace(**{"merge.lambda2": 0.0, "seed": 2}), labels=(one,))
    study.keep_queries(extra, np.repeat(np.arange(13), 3), {s: np.ones(39) for s in range(4)})
    again = contrast_over_people({one: 1, other: -1}, found_of(study), "mAP", "last")
    assert interval(again) == pytest.approx((10, 10), abs=1e-4)
    assert contrast_over_people({one: 1, "table1/none": -1}, found, "mAP", "last") is None


def test_a_run_that_diverged_is_worth_nothing_in_every_resample(make):
    study = make("duke")
    study.trial(study.base)
    study.trial(study.base.replace(seed=1), state="diverged", steps=1)
    rng = np.random.default_rng(1)
    whole, cut = kept(study, 0, rng), kept(study, 1, rng, steps=(0, 1))
    found = found_of(study)
    assert over_people(found, "mAP", "last") == pytest.approx(slow(whole["mAP"][3]) / 2, abs=1e-5)
    assert over_people(found[1:], "mAP", "last") == pytest.approx(np.zeros(RESAMPLES))
    # Its best step and the untrained network were before that.
    assert over_people(found[1:], "mAP", "best") == pytest.approx(slow(cut["mAP"][1]), abs=1e-5)
    assert over_people(found[1:], "mAP", "untrained") == pytest.approx(slow(cut["mAP"][0]), abs=1e-5)


def test_without_everybodys_queries_there_is_no_interval(make):
    study = make("duke")
    for seed in (0, 1):
        study.trial(study.base.replace(seed=seed))
    rng = np.random.default_rng(1)
    kept(study, 0, rng)
    found = found_of(study)
    assert over_people(found[:1], "mAP", "last") is not None
    assert over_people(found, "mAP", "last") is None and over_people([], "mAP", "last") is None
    assert over_people(found[:1], "mAP", "selected") is None  # no score selects a step
    assert over_people(found[:1], "mAP_camera_normalised", "last") is None
    assert np.isnan(interval(None)).all()
    kept(study, 1, rng, who=WHO + 1)
    assert over_people(found_of(study), "mAP", "last") is None  # of other people
    kept(study, 1, rng, steps=(0, 1))
    assert over_people(found_of(study), "mAP", "last") is None  # older than the run
    kept(study, 1, rng)
    assert over_people(found_of(study), "mAP", "last") is not None

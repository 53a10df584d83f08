"""Rank lists of single queries against the evaluator, and on a hand-made example."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.people.rank_lists import by_difficulty, nearest_elsewhere, rank_lists
from dcreid.evaluation.retrieval import evaluate


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_the_evaluator(seed: int):
    rng = np.random.default_rng(seed)
    distances = rng.integers(0, 30, (12, 60)).astype(np.float64)  # with ties
    query_ids, query_cams = rng.integers(1, 6, 12), rng.integers(1, 4, 12)
    gallery_ids, gallery_cams = rng.integers(-1, 6, 60), rng.integers(1, 4, 60)
    lists = rank_lists(distances, query_ids, gallery_ids, query_cams, gallery_cams)
    expected = evaluate(distances, query_ids, gallery_ids, query_cams, gallery_cams)
    measured = [one for one in lists if one.first_right]
    assert len(measured) == expected.queries
    assert np.mean([one.average_precision for one in measured]) == pytest.approx(expected.mAP)
    assert np.mean([one.first_right == 1 for one in measured]) == pytest.approx(expected.rank1)


def test_by_hand():
    # same camera (ignored), wrong, right, junk (ignored), distractor, right
    ids, cams = np.array([1, 2, 1, -1, 0, 1]), np.array([1, 2, 2, 2, 2, 3])
    (one,) = rank_lists(np.arange(6.0)[None], np.array([1]), ids, np.array([1]), cams, top=5)
    assert one.gallery.tolist() == [0, 1, 2, 3, 4]
    assert one.kinds == ("ignored", "wrong", "right", "ignored", "wrong")
    assert one.first_right == 2
    assert one.average_precision == pytest.approx((1 / 2 + 2 / 4) / 2)


def test_order_of_difficulty_leaves_out_queries_without_a_match():
    ids, cams = np.array([1, 2, 3]), np.array([2, 2, 2])
    distances = np.array([[0.0, 1.0, 2.0], [0.0, 1.0, 2.0], [0.0, 1.0, 2.0]])
    lists = rank_lists(distances, np.array([1, 2, 9]), ids, np.array([1, 1, 1]), cams)
    assert [one.query for one in by_difficulty(lists, 5, hardest=True)] == [1, 0]
    assert [one.query for one in by_difficulty(lists, 5, hardest=False)] == [0, 1]


def test_the_nearest_of_other_cameras_are_those_of_a_loop():
    rng = np.random.default_rng(2)
    v, cameras = rng.normal(size=(30, 4)), rng.integers(0, 3, 30)
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    for seen_by in (cameras, None):
        for tracklet, nearest in nearest_elsewhere(v, [0, 7, 29], seen_by, top=5):
            allowed = [
                j
                for j in range(30)
                if (j != tracklet if seen_by is None else cameras[j] != cameras[tracklet])
            ]
            ranked = sorted(allowed, key=lambda j, i=tracklet: ((v[i] - v[j]) ** 2).sum())
            assert nearest.tolist() == ranked[:5]

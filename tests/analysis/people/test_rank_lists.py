"""Rank lists of single queries against the evaluator, and on a hand-made example."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.people.rank_lists import (
    CameraPair,
    by_difficulty,
    first_by_camera,
    in_between,
    nearest_elsewhere,
    rank_lists,
)
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
    (one,) = rank_lists(np.arange(6.0)[None], np.array([1]), ids, np.array([1]), cams, top=3)
    assert one.gallery.tolist() == [0, 1, 2, 3, 4]
    assert one.kinds == ("ignored", "wrong", "right", "ignored", "wrong")
    assert one.ranks == (0, 1, 2, 0, 3) and one.ignored == 2
    assert one.first_right == 2
    assert one.average_precision == pytest.approx((1 / 2 + 2 / 4) / 2)


def test_ignored_entries_take_no_place_and_the_first_match_is_always_there():
    # three ignored, ten of other people, two more ignored, more others, and the right one last
    ids = np.array([1] * 3 + [2] * 10 + [1] * 2 + [3] * 40 + [1])
    cams = np.where((ids == 1) & (np.arange(len(ids)) < 20), 1, 2)
    (one,) = rank_lists(np.arange(56.0)[None], np.array([1]), ids, np.array([1]), cams, most_ignored=2)
    assert one.ranks == (0, 0, *range(1, 11), 51) and one.first_right == 51
    assert one.kinds == ("ignored",) * 2 + ("wrong",) * 10 + ("right",)
    assert one.gallery.tolist() == [0, 1, *range(3, 13), 55]
    assert one.ignored == 3  # those behind the tenth are not spoken of


def test_between_are_neither_the_hardest_nor_the_easiest():
    # query i has its only match at rank i + 1
    ids = np.arange(1, 21)
    distances = np.full((20, 20), 50.0) + np.arange(20)
    for i in range(20):
        distances[i, i] = 49.5 + i if i else 49.0
    lists = rank_lists(distances, ids, ids, np.ones(20, dtype=int), np.full(20, 2))
    hard, easy = (by_difficulty(lists, 3, hardest=hardest) for hardest in (True, False))
    between = in_between(lists, 4)
    assert len(between) == 4
    assert not {one.query for one in between} & {one.query for one in hard + easy}
    precision = [one.average_precision for one in hard + between + easy[::-1]]
    assert precision == sorted(precision)
    assert len(in_between(lists, 7)) == 6  # of twenty, seven are the hardest and seven the easiest
    assert in_between(lists[:8], 4) == []


@pytest.mark.parametrize("seed", range(4))
def test_pairs_of_cameras_are_those_of_a_loop(seed: int):
    rng = np.random.default_rng(seed)
    distances = rng.integers(0, 12, (25, 50)).astype(np.float64)  # with ties
    query_ids, query_cams = rng.integers(1, 7, 25), rng.integers(1, 4, 25)
    gallery_ids, gallery_cams = rng.integers(-1, 7, 50), rng.integers(1, 5, 50)
    expected = {}
    for q in range(25):
        for camera in range(1, 5):
            if camera == query_cams[q]:
                continue
            seen = [g for g in range(50) if gallery_cams[g] == camera and gallery_ids[g] != -1]
            if not any(gallery_ids[g] == query_ids[q] for g in seen):
                continue
            nearest = min(seen, key=lambda g, q=q: (distances[q, g], g))
            counted = expected.setdefault((query_cams[q], camera), [0, 0])
            counted[0] += 1
            counted[1] += gallery_ids[nearest] == query_ids[q]
    found = first_by_camera(distances, query_ids, gallery_ids, query_cams, gallery_cams)
    assert found == [CameraPair(*pair, *expected[pair]) for pair in sorted(expected)]


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

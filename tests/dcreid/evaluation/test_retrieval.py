"""CMC and both mAPs: hand examples, plain loops, laws."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import reference
import torch
from hypothesis import given
from hypothesis import strategies as st

from dcreid.evaluation.retrieval import RetrievalMetrics, evaluate, evaluate_queries


def one_query(g_ids: list[int], g_cams: list[int], dist: list[float] | None = None) -> RetrievalMetrics:
    """Query of person 1 seen by camera 1; gallery rows come in order of distance by default."""
    dist = [float(i) for i in range(len(g_ids))] if dist is None else dist
    return evaluate(torch.tensor([dist]), [1], g_ids, [1], g_cams)


def test_three_queries_by_hand():
    dist = np.array(
        [
            [0.1, 0.2, 0.3, 0.4],  # person 1: rows 0 and 3 right -> ranks 1, 4
            [0.4, 0.1, 0.2, 0.3],  # person 2: row 1 right -> rank 1
            [0.3, 0.2, 0.1, 0.4],  # person 3: row 2 right, same camera; nothing left
        ]
    )
    got = evaluate(dist, [1, 2, 3], [1, 2, 3, 1], [1, 1, 1], [2, 2, 1, 2])
    assert (got.rank1, got.rank5) == (1.0, 1.0)
    assert got.mAP == pytest.approx((0.5 * (1 + 2 / 4) + 1) / 2)
    # Trapezoid: Q = 1 at rank 1, and 1/3 just above rank 4.
    assert got.mAP_trapezoid == pytest.approx((0.5 * (1 + (2 / 4 + 1 / 3) / 2) + 1) / 2)
    assert (got.queries, got.queries_skipped) == (2, 1)


def test_first_match_counts_for_every_rank_from_its_own():
    for place in (1, 2, 5, 6, 10, 11, 20, 21):
        got = one_query([2] * (place - 1) + [1] + [2] * 4, [2] * (place + 4))
        assert got.mAP == pytest.approx(1 / place)
        for k in (1, 5, 10, 20):
            assert getattr(got, f"rank{k}") == float(place <= k)


def test_same_camera_and_junk_rows_take_no_rank():
    assert one_query([1, -1, 1], [1, 2, 2]).rank1 == 1.0
    assert one_query([1, -1, 1], [1, 2, 2]).mAP == 1.0


def test_another_person_of_the_same_camera_takes_a_rank():
    assert one_query([2, 1], [1, 2]).mAP == 0.5


def test_distractors_are_wrong():
    assert one_query([0, 0, 1], [2, 1, 2]).mAP == pytest.approx(1 / 3)


def test_junk_and_distractor_queries_are_not_measured():
    got = evaluate(torch.rand(3, 3), [-1, 0, 1], [-1, 0, 1], [1, 1, 1], [2, 2, 2])
    assert (got.queries, got.queries_skipped) == (1, 2)


def test_equal_distances_rank_by_gallery_position():
    assert one_query([2, 1, 2], [2, 2, 2], [0.5, 0.5, 0.5]).mAP == 0.5
    assert one_query([1, 2, 2], [2, 2, 2], [0.5, 0.5, 0.5]).mAP == 1.0
    assert one_query([1, 2, 1], [2, 2, 2], [0.5, 0.5, 0.5]).mAP == pytest.approx((1 + 2 / 3) / 2)


def test_a_perfect_ranking_scores_one():
    got = one_query([1, 1, 1, 2, 0], [2, 3, 4, 2, 2])
    assert got == RetrievalMetrics(1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1, 0)


@st.composite
def rankings(draw: st.DrawFn):
    """Distances with or without ties, few people and cameras, at least one query with a match."""
    q, g = draw(st.integers(1, 6)), draw(st.integers(1, 24))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    steps = draw(st.sampled_from([2, 5, 10**6]))
    dist = rng.integers(0, steps, (q, g)) / steps
    q_ids, g_ids = rng.integers(-1, 4, q), rng.integers(-1, 4, g)
    q_cams, g_cams = rng.integers(1, 4, q), rng.integers(1, 4, g)
    q_ids[0], g_ids[0], q_cams[0], g_cams[0] = 1, 1, 1, 2
    return dist, *(x.tolist() for x in (q_ids, g_ids, q_cams, g_cams))


@given(rankings())
def test_evaluate_is_the_loop_over_queries(ranking):
    nothing = {"mAP_camera_normalised": None, "rank1_camera_normalised": None}
    assert dataclasses.asdict(evaluate(*ranking)) == pytest.approx(reference.evaluate(*ranking) | nothing)


@given(rankings())
def test_every_query_is_the_loops(ranking):
    found = evaluate_queries(*ranking)
    all_ranks = [reference.ranks(ranking[0], q, *ranking[1:]) for q in range(len(ranking[0]))]
    measured = [q for q, ranks in enumerate(all_ranks) if ranks]
    assert found.query.tolist() == measured and found.asked == len(all_ranks)
    assert found.first_match.tolist() == [all_ranks[q][0] for q in measured]
    precision = [reference.average_precision(all_ranks[q]) for q in measured]
    assert found.average_precision.tolist() == pytest.approx(precision)
    length = len(ranking[2])
    areas = [reference.average_precision_trapezoid(all_ranks[q], length) for q in measured]
    assert found.average_precision_trapezoid.tolist() == pytest.approx(areas)


@given(rankings(), st.floats(0.01, 100))
def test_scaled_distances_rank_alike(ranking, scale: float):
    dist, *labels = ranking
    same_order = np.argsort(np.argsort(dist, axis=None, kind="stable"), kind="stable").reshape(dist.shape)
    if len(np.unique(dist)) == dist.size:  # ties aside, only the order counts
        assert evaluate(same_order.astype(np.float64) * scale, *labels) == evaluate(dist, *labels)


@given(rankings(), st.randoms(use_true_random=False))
def test_the_order_of_queries_does_not_matter(ranking, random):
    dist, q_ids, g_ids, q_cams, g_cams = ranking
    order = list(range(len(q_ids)))
    random.shuffle(order)
    moved = evaluate(dist[order], [q_ids[i] for i in order], g_ids, [q_cams[i] for i in order], g_cams)
    assert dataclasses.asdict(moved) == pytest.approx(dataclasses.asdict(evaluate(*ranking)))


@given(rankings())
def test_the_trapezoid_never_exceeds_the_rectangle(ranking):
    got = evaluate(*ranking)
    assert 0 < got.mAP_trapezoid <= got.mAP + 1e-12 <= 1 + 1e-9
    assert got.rank1 <= got.rank5 <= got.rank10 <= got.rank20


def test_float32_torch_and_numpy_inputs_agree():
    rng = np.random.default_rng(0)
    dist = rng.random((5, 30), dtype=np.float32)
    ids, cams = rng.integers(1, 5, 35), rng.integers(1, 4, 35)
    by_numpy = evaluate(dist, ids[:5], ids[5:], cams[:5], cams[5:])
    tensors = [torch.from_numpy(x) for x in (ids[:5], ids[5:], cams[:5], cams[5:])]
    assert evaluate(torch.from_numpy(dist), *tensors) == by_numpy


def test_distances_are_left_alone():
    dist = torch.rand(2, 6)
    before = dist.clone()
    evaluate(dist, [1, 2], [1, 2, -1, 1, 2, 0], [1, 1], [1, 1, 1, 2, 2, 2])
    assert torch.equal(dist, before)


def test_bad_input_raises():
    good = dict(query_ids=[1], gallery_ids=[1, 2], query_cams=[1], gallery_cams=[2, 2])
    with pytest.raises(ValueError, match=r"distances \(2, 2\), ids \(1, 2\)"):
        evaluate(torch.zeros(2, 2), **good)
    with pytest.raises(ValueError, match="must agree"):
        evaluate(torch.zeros(1, 2), **good | {"query_cams": [1, 1]})
    for value in (torch.nan, torch.inf):
        with pytest.raises(ValueError, match="NaN or infinity"):
            evaluate(torch.tensor([[0.0, value]]), **good)
    with pytest.raises(ValueError, match="no query has a match"):
        evaluate(torch.zeros(1, 2), **good | {"query_cams": [2]})
    with pytest.raises(ValueError, match="0 queries, 2 gallery rows: nothing to evaluate"):
        evaluate(torch.zeros(0, 2), [], [1, 2], [], [2, 2])

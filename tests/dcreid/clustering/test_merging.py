"""Eq (7) and the merge of m classes: against plain loops, against SciPy's linkages, and their laws."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import reference
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from dcreid.clustering import merging
from dcreid.clustering.dispersion import pairwise_distances
from dcreid.clustering.merging import merge, merge_cost, merge_exact

seeds = st.integers(0, 2**31)
weights = st.sampled_from([0.0, 0.003, 0.06, 0.5])
divisors = st.sampled_from(["samples", "pairs"])


def random_distances(n: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return pairwise_distances(torch.randn(n, 3, generator=generator, dtype=torch.float64))


def random_labels(n: int, classes: int, seed: int) -> torch.Tensor:
    """(n,) labels, every one of `classes` in use, neither consecutive nor in order."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)])
    return torch.from_numpy(rng.permutation(labels) * 3 - 5)


def integer_distances(n: int, seed: int) -> torch.Tensor:
    """Small whole numbers: many ties, and sums without rounding."""
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.integers(0, 4, (n, n)), 1)
    return torch.from_numpy((upper + upper.T).astype(np.float64))


def together(labels: torch.Tensor | np.ndarray) -> np.ndarray:
    """(n, n) which tracklets share a class: what a clustering is, whatever its classes are called."""
    labels = np.asarray(labels)
    return labels[:, None] == labels[None, :]


@st.composite
def problems(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """n tracklets in c classes, m joins, and a seed."""
    n = draw(st.integers(1, 14))
    c = draw(st.integers(1, n))
    return n, c, draw(st.integers(0, c - 1)), draw(seeds)


# Eq (7)


@given(problems(), weights, weights, divisors)
def test_merge_cost_is_eq_7(problem, lambda1: float, lambda2: float, divisor: str):
    n, c, _, seed = problem
    dist, labels = random_distances(n, seed), random_labels(n, c, seed)
    wanted = reference.merge_cost(dist.numpy(), labels.tolist(), lambda1, lambda2, divisor)
    np.testing.assert_allclose(merge_cost(dist, labels, lambda1, lambda2, divisor), wanted, rtol=1e-9)


def test_without_penalties_the_cost_is_the_mean_distance_between_classes():
    dist = random_distances(6, 0)
    cost = merge_cost(dist, torch.tensor([0, 0, 0, 1, 1, 1]), 0.0, 0.0)
    torch.testing.assert_close(cost[0, 1], dist[:3, 3:].mean())
    assert torch.isinf(cost.diagonal()).all()


def test_single_tracklets_cost_their_distance_and_two_sizes():
    dist = random_distances(5, 0)
    cost = merge_cost(dist, torch.arange(5), lambda1=9.0, lambda2=0.25)  # no pairs inside: λ1 is idle
    apart = ~torch.eye(5, dtype=torch.bool)
    torch.testing.assert_close(cost[apart], dist[apart] + 0.5)


@given(st.floats(0.1, 50), st.floats(0, 2), seeds)
def test_scaled_features_scale_every_distance_term(scale: float, lambda1: float, seed: int):
    dist, labels = random_distances(8, seed), random_labels(8, 4, seed)
    torch.testing.assert_close(
        merge_cost(dist * scale, labels, lambda1, 0.0), merge_cost(dist, labels, lambda1, 0.0) * scale
    )


def test_a_heavy_size_penalty_merges_the_smallest_classes_first():
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 3])
    merged = merge(labels, merge_cost(random_distances(7, 1), labels, 0.0, 1e6), 1)
    assert merged[5] == merged[6]


def test_a_heavy_dispersion_penalty_spares_loose_classes():
    points = torch.tensor([0.0, 0.1, 10.0, 14.0, 3.0, 3.1, 13.0], dtype=torch.float64)
    dist = (points[:, None] - points[None, :]).abs()
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 3])  # class 1 is loose and contains class 3
    assert merge(labels, merge_cost(dist, labels, 0.0, 0.0), 1)[6] == 1
    assert merge(labels, merge_cost(dist, labels, 10.0, 0.0), 1).tolist() == [0, 0, 1, 1, 0, 0, 2]


@given(seeds, weights, weights)
def test_the_cost_ignores_the_order_of_tracklets(seed: int, lambda1: float, lambda2: float):
    dist, labels = random_distances(10, seed), random_labels(10, 5, seed)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(
        merge_cost(dist[order][:, order], labels[order], lambda1, lambda2),
        merge_cost(dist, labels, lambda1, lambda2),
    )


# The merge of one D


@given(problems())
def test_merge_is_the_sorted_greedy_merge(problem):
    n, c, m, seed = problem
    labels, cost = random_labels(n, c, seed), random_distances(c, seed)
    assert merge(labels, cost, m).tolist() == reference.merge(labels.tolist(), cost.tolist(), m)


@given(problems())
def test_ties_go_by_smaller_a_then_smaller_b(problem):
    n, c, m, seed = problem
    labels, cost = random_labels(n, c, seed), integer_distances(c, seed)
    assert merge(labels, cost, m).tolist() == reference.merge(labels.tolist(), cost.tolist(), m)


@pytest.mark.parametrize("m", [1, 2, 17, 60, 199])
@pytest.mark.parametrize("make", [random_distances, integer_distances])
def test_the_threshold_does_not_change_the_merge(make: Callable[..., torch.Tensor], m: int):
    # Large enough that few joins are drawn from a sampled threshold, and many from all pairs.
    cost, labels = make(200, m), torch.arange(200)
    assert merge(labels, cost, m).tolist() == reference.merge(labels.tolist(), cost.tolist(), m)


def test_a_wrong_threshold_is_widened(monkeypatch: pytest.MonkeyPatch):
    # A tight clump: its 45 pairs are the lightest but hold 9 joins only.
    cost = random_distances(120, 0) + 100.0
    cost[:10, :10] = random_distances(10, 1)
    monkeypatch.setattr(merging, "_CANDIDATES_PER_JOIN", 1)
    monkeypatch.setattr(merging, "_SAMPLE", 64)
    for m in (9, 10, 30):
        assert merge(torch.arange(120), cost, m).tolist() == reference.merge(
            list(range(120)), cost.tolist(), m
        )


def test_the_merge_reads_the_upper_triangle_only():
    cost = random_distances(30, 3)
    scrambled = cost.triu(1) + torch.rand(30, 30, dtype=torch.float64).tril()
    assert torch.equal(merge(torch.arange(30), cost, 7), merge(torch.arange(30), scrambled, 7))


@given(problems())
def test_exactly_m_joins_and_labels_in_order_of_first_tracklet(problem):
    n, c, m, seed = problem
    labels = random_labels(n, c, seed)
    for merged in (
        merge(labels, integer_distances(c, seed), m),
        merge_exact(integer_distances(n, seed), labels, m, 0.06, 0.003),
    ):
        assert len(merged.unique()) == c - m
        assert merged.tolist() == reference.in_order_of_first(merged.tolist())
        assert not (together(labels) & ~together(merged)).any()  # classes only grow


def test_every_m_joins_exactly():
    labels, cost = random_labels(40, 25, 0), random_distances(25, 0)
    assert [len(merge(labels, cost, m).unique()) for m in range(25)] == list(range(25, 0, -1))


@given(seeds, st.integers(0, 11))
def test_merging_in_two_goes_of_one_cost_is_single_linkage(seed: int, m: int):
    cost = random_distances(12, seed)
    merged = merge(torch.arange(12), cost, m)
    tree = linkage(squareform(cost.numpy(), checks=False), "single")
    assert (together(merged) == together(fcluster(tree, 12 - m, "maxclust"))).all()


@given(problems(), weights, weights)
def test_permuted_tracklets_merge_alike(problem, lambda1: float, lambda2: float):
    n, c, m, seed = problem
    dist, labels = random_distances(n, seed), random_labels(n, c, seed)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    moved = dist[order][:, order]
    for plain, permuted in (
        (
            merge(labels, merge_cost(dist, labels, lambda1, lambda2), m),
            merge(labels[order], merge_cost(moved, labels[order], lambda1, lambda2), m),
        ),
        (
            merge_exact(dist, labels, m, lambda1, lambda2),
            merge_exact(moved, labels[order], m, lambda1, lambda2),
        ),
    ):
        assert (together(plain[order]) == together(permuted)).all()


@given(problems(), weights, weights)
def test_renamed_classes_merge_alike(problem, lambda1: float, lambda2: float):
    n, c, m, seed = problem
    dist, labels = random_distances(n, seed), random_labels(n, c, seed)
    names = torch.from_numpy(np.random.default_rng(seed).permutation(1000))
    renamed = names[labels + 5]
    for plain, other in (
        (
            merge(labels, merge_cost(dist, labels, lambda1, lambda2), m),
            merge(renamed, merge_cost(dist, renamed, lambda1, lambda2), m),
        ),
        (merge_exact(dist, labels, m, lambda1, lambda2), merge_exact(dist, renamed, m, lambda1, lambda2)),
    ):
        assert torch.equal(plain, other)


@pytest.mark.parametrize("m", [0, 1, 50, 99])
def test_identical_features_still_join_exactly_m_times(m: int):
    dist = torch.zeros(100, 100)
    merged = merge(torch.arange(100), merge_cost(dist, torch.arange(100), 0.06, 0.003), m)
    assert merged.tolist() == [0] * (m + 1) + list(range(1, 100 - m))


def test_equal_costs_of_a_large_matrix_need_no_more_than_the_first_pairs():
    cost = torch.zeros(600, 600).fill_diagonal_(torch.inf)
    assert merge(torch.arange(600), cost, 5).tolist() == [0] * 6 + list(range(1, 595))


def test_one_class_left_has_nothing_to_join():
    labels = torch.tensor([4, 4, 4])
    dist = random_distances(3, 0)
    cost = merge_cost(dist, labels, 0.06, 0.003)
    assert torch.equal(cost, torch.tensor([[torch.inf]], dtype=torch.float64))
    assert merge(labels, cost, 0).tolist() == [0, 0, 0]
    assert merge_exact(dist, labels, 0, 0.06, 0.003).tolist() == [0, 0, 0]


def test_infinite_costs_forbid_a_join():
    cost = torch.full((40, 40), torch.inf)
    cost[3, 7] = cost[7, 9] = 1.0
    merged = merge(torch.arange(40), cost, 2)
    assert merged[3] == merged[7] == merged[9]
    with pytest.raises(ValueError, match="only 2 of m = 3 joins are possible"):
        merge(torch.arange(40), cost, 3)


def test_bad_arguments_are_told():
    labels, dist = torch.arange(4), random_distances(4, 0)
    for m in (-1, 4):
        with pytest.raises(ValueError, match=f"m = {m}: must be at least 0 and less than .* 4"):
            merge(labels, dist, m)
        with pytest.raises(ValueError, match=f"m = {m}"):
            merge_exact(dist, labels, m, 0.0, 0.0)
    with pytest.raises(ValueError, match=r"shape \(4, 4\) but labels hold 2 classes"):
        merge(torch.tensor([0, 0, 1, 1]), dist, 1)
    dist[1, 2] = dist[2, 1] = torch.nan
    with pytest.raises(ValueError, match="NaN"):
        merge(labels, dist, 1)
    with pytest.raises(ValueError, match="NaN"):
        merge_exact(dist, labels, 1, 0.06, 0.003)


# D recomputed after every join


@given(problems(), weights, weights, divisors)
def test_merge_exact_is_the_loop_that_recomputes_everything(
    problem, lambda1: float, lambda2: float, divisor: str
):
    n, c, m, seed = problem
    dist, labels = random_distances(n, seed), random_labels(n, c, seed)
    merged = merge_exact(dist, labels, m, lambda1, lambda2, divisor)
    assert merged.tolist() == reference.merge_exact(
        dist.numpy(), labels.tolist(), m, lambda1, lambda2, divisor
    )


@given(problems(), st.sampled_from([0.06, 5.0]), divisors)
def test_merge_exact_takes_distances_that_are_not_euclidean(problem, lambda1: float, divisor: str):
    n, c, m, seed = problem
    upper = np.triu(np.random.default_rng(seed).random((n, n)), 1)
    dist, labels = torch.from_numpy(upper + upper.T), random_labels(n, c, seed)
    merged = merge_exact(dist, labels, m, lambda1, 0.003, divisor)
    assert merged.tolist() == reference.merge_exact(dist.numpy(), labels.tolist(), m, lambda1, 0.003, divisor)


def test_a_joined_class_can_come_closer_and_wins_ties_by_its_place():
    # Joining classes 1 and 2, each loose, halves their dispersion: class 0 is then 9 from them, and
    # 9 from class 3. (No Euclidean distances do that: there a join brings nothing closer.)
    dist = torch.full((6, 6), 20.0, dtype=torch.float64)
    dist[0, 1:5] = dist[1:5, 0] = 7.0
    dist[1, 2] = dist[2, 1] = dist[3, 4] = dist[4, 3] = 8.0
    dist[1:3, 3:5] = dist[3:5, 1:3] = 0.0
    dist[0, 5] = dist[5, 0] = 9.0
    dist.fill_diagonal_(0.0)
    labels = torch.tensor([0, 1, 1, 2, 2, 3])
    assert merge_exact(dist, labels, 1, 1.0, 0.0, "pairs").tolist() == [0, 1, 1, 1, 1, 2]
    assert merge_exact(dist, labels, 2, 1.0, 0.0, "pairs").tolist() == [0, 0, 0, 0, 0, 1]


@given(st.integers(2, 12), seeds, st.data())
def test_merge_exact_breaks_ties_by_smaller_a_then_smaller_b(n: int, seed: int, data: st.DataObject):
    # Whole distances over one or two members and a size weight of 1/4 leave no rounding to differ in.
    dist, m = integer_distances(n, seed) * 12, data.draw(st.integers(0, min(2, n - 1)))
    merged = merge_exact(dist, torch.arange(n), m, 0.0, 0.25)
    assert merged.tolist() == reference.merge_exact(dist.numpy(), list(range(n)), m, 0.0, 0.25)


@given(st.integers(2, 25), seeds, st.data())
def test_without_penalties_merge_exact_is_average_linkage(n: int, seed: int, data: st.DataObject):
    dist, m = random_distances(n, seed), data.draw(st.integers(1, n - 1))
    merged = merge_exact(dist, torch.arange(n), m, 0.0, 0.0)
    tree = linkage(squareform(dist.numpy(), checks=False), "average")
    assert (together(merged) == together(fcluster(tree, n - m, "maxclust"))).all()


def test_float32_and_float64_agree_on_random_features():
    dist = random_distances(300, 0)
    labels = random_labels(300, 150, 0)
    assert torch.equal(
        merge(labels, merge_cost(dist, labels, 0.06, 0.003), 40),
        merge(labels, merge_cost(dist.float(), labels, 0.06, 0.003), 40),
    )
    assert torch.equal(
        merge_exact(dist, labels, 40, 0.06, 0.003), merge_exact(dist.float(), labels, 40, 0.06, 0.003)
    )


def test_the_first_join_is_the_same_whether_or_not_d_is_recomputed():
    dist, labels = random_distances(50, 5), random_labels(50, 20, 5)
    assert torch.equal(
        merge(labels, merge_cost(dist, labels, 0.06, 0.003), 1), merge_exact(dist, labels, 1, 0.06, 0.003)
    )


def test_inputs_are_left_alone():
    dist, labels = random_distances(20, 0), random_labels(20, 12, 0)
    cost = merge_cost(dist, labels, 0.06, 0.003)
    copies = dist.clone(), labels.clone(), cost.clone()
    merge(labels, cost, 5)
    merge_exact(dist, labels, 5, 0.06, 0.003)
    for now, before in zip((dist, labels, cost), copies, strict=True):
        assert torch.equal(now, before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_the_gpu_the_merge_is_the_same():
    dist, labels = random_distances(300, 1), random_labels(300, 120, 1)
    here = merge(labels, merge_cost(dist, labels, 0.06, 0.003), 30)
    there = merge(labels.cuda(), merge_cost(dist.cuda(), labels.cuda(), 0.06, 0.003), 30)
    assert there.is_cuda and torch.equal(there.cpu(), here)

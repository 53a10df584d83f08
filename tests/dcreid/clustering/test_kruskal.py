"""The joins of one matrix of costs: against the sorted greedy merge, single linkage, and their laws."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import reference
import torch
from drawn_classes import integer_distances, problems, random_distances, random_labels, seeds, together
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from dcreid.clustering import kruskal
from dcreid.clustering.kruskal import lightest_joins
from dcreid.clustering.merging import joined_labels


def merged(labels: torch.Tensor, cost: torch.Tensor, m: int) -> torch.Tensor:
    """Labels after the m lightest joins."""
    return joined_labels(labels, *lightest_joins(cost, m))


@given(problems())
def test_the_joins_are_those_of_the_sorted_greedy_merge(problem):
    n, c, m, seed = problem
    labels, cost = random_labels(n, c, seed), random_distances(c, seed)
    assert merged(labels, cost, m).tolist() == reference.merge(labels.tolist(), cost.tolist(), m)


@given(problems())
def test_ties_go_by_smaller_a_then_smaller_b(problem):
    n, c, m, seed = problem
    labels, cost = random_labels(n, c, seed), integer_distances(c, seed)
    assert merged(labels, cost, m).tolist() == reference.merge(labels.tolist(), cost.tolist(), m)


@given(problems())
def test_joins_come_in_order_of_cost_with_a_before_b(problem):
    _, c, m, seed = problem
    cost = integer_distances(c, seed)
    a, b = lightest_joins(cost, m)
    keys = list(zip(cost[a, b].tolist(), a.tolist(), b.tolist(), strict=True))
    assert len(keys) == m and keys == sorted(keys) and (a < b).all()


@pytest.mark.parametrize("m", [1, 2, 17, 60, 199])
@pytest.mark.parametrize("make", [random_distances, integer_distances])
def test_the_threshold_does_not_change_the_joins(make: Callable[..., torch.Tensor], m: int):
    # Large enough that few joins are drawn from a sampled threshold, and many from all pairs.
    cost, labels = make(200, m), torch.arange(200)
    assert merged(labels, cost, m).tolist() == reference.merge(labels.tolist(), cost.tolist(), m)


def test_a_wrong_threshold_is_widened(monkeypatch: pytest.MonkeyPatch):
    # A tight clump: its 45 pairs are the lightest but hold 9 joins only.
    cost = random_distances(120, 0) + 100.0
    cost[:10, :10] = random_distances(10, 1)
    monkeypatch.setattr(kruskal, "_CANDIDATES_PER_JOIN", 1)
    monkeypatch.setattr(kruskal, "_SAMPLE", 64)
    for m in (9, 10, 30):
        expected = reference.merge(list(range(120)), cost.tolist(), m)
        assert merged(torch.arange(120), cost, m).tolist() == expected


def test_the_upper_triangle_alone_is_read():
    cost = random_distances(30, 3)
    scrambled = cost.triu(1) + torch.rand(30, 30, dtype=torch.float64).tril()
    assert torch.equal(merged(torch.arange(30), cost, 7), merged(torch.arange(30), scrambled, 7))
    assert cost.triu(1).equal(scrambled.triu(1))  # left alone


@given(seeds, st.integers(0, 11))
def test_the_joins_of_one_cost_are_single_linkage(seed: int, m: int):
    cost = random_distances(12, seed)
    tree = linkage(squareform(cost.numpy(), checks=False), "single")
    expected = together(fcluster(tree, 12 - m, "maxclust"))
    assert (together(merged(torch.arange(12), cost, m)) == expected).all()


def test_equal_costs_of_a_large_matrix_need_no_more_than_the_first_pairs():
    cost = torch.zeros(600, 600).fill_diagonal_(torch.inf)
    assert merged(torch.arange(600), cost, 5).tolist() == [0] * 6 + list(range(1, 595))


def test_infinite_costs_forbid_a_join():
    cost = torch.full((40, 40), torch.inf)
    cost[3, 7] = cost[7, 9] = 1.0
    labels = merged(torch.arange(40), cost, 2)
    assert labels[3] == labels[7] == labels[9]
    with pytest.raises(ValueError, match="only 2 of m = 3 joins are possible"):
        lightest_joins(cost, 3)

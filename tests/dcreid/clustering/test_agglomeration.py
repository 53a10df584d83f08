"""Method `exact`: against the loop that recomputes everything, SciPy's linkages, and its laws."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import torch
from drawn_classes import (
    divisors,
    integer_distances,
    problems,
    random_distances,
    random_labels,
    seeds,
    together,
    weights,
)
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from dcreid.clustering.agglomeration import exact_joins
from dcreid.clustering.merging import joined_labels


def merged(
    dist: torch.Tensor,
    labels: torch.Tensor,
    m: int,
    lambda1: float,
    lambda2: float,
    divisor: str = "samples",
    how: str = "average",
) -> torch.Tensor:
    """Labels after m joins."""
    return joined_labels(labels, *exact_joins(dist, labels, m, lambda1, lambda2, divisor, how))


def any_distances(n: int, seed: int) -> torch.Tensor:
    """(n, n) random numbers, symmetric: of no space."""
    upper = np.triu(np.random.default_rng(seed).random((n, n)), 1)
    return torch.from_numpy(upper + upper.T)


linkages = st.sampled_from(["average", "nearest"])


@given(problems(), weights, weights, divisors, linkages)
def test_the_joins_are_those_of_the_loop_that_recomputes_everything(
    problem, lambda1: float, lambda2: float, divisor: str, how: str
):
    n, c, m, seed = problem
    dist, labels = random_distances(n, seed), random_labels(n, c, seed)
    expected = reference.merge_exact(dist.numpy(), labels.tolist(), m, lambda1, lambda2, divisor, how)
    assert merged(dist, labels, m, lambda1, lambda2, divisor, how).tolist() == expected


@given(problems(), st.sampled_from([0.06, 5.0]), divisors, linkages)
def test_distances_need_not_be_euclidean(problem, lambda1: float, divisor: str, how: str):
    n, c, m, seed = problem
    dist, labels = any_distances(n, seed), random_labels(n, c, seed)
    expected = reference.merge_exact(dist.numpy(), labels.tolist(), m, lambda1, 0.003, divisor, how)
    assert merged(dist, labels, m, lambda1, 0.003, divisor, how).tolist() == expected


@pytest.mark.parametrize("how", ["average", "nearest"])
@pytest.mark.parametrize("lambda1", [0.0, 0.3, 5.0])
def test_most_classes_joined_one_after_the_other(how: str, lambda1: float):
    # Long enough that nearest partners are lost, found again, and lost once more.
    for seed in range(3):
        for dist in (any_distances(30, seed), random_distances(30, seed)):
            expected = reference.merge_exact(dist.numpy(), list(range(30)), 27, lambda1, 0.02, "samples", how)
            assert merged(dist, torch.arange(30), 27, lambda1, 0.02, "samples", how).tolist() == expected


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
    assert merged(dist, labels, 1, 1.0, 0.0, "pairs").tolist() == [0, 1, 1, 1, 1, 2]
    assert merged(dist, labels, 2, 1.0, 0.0, "pairs").tolist() == [0, 0, 0, 0, 0, 1]


@given(st.integers(2, 12), seeds, st.data())
def test_ties_go_by_smaller_a_then_smaller_b(n: int, seed: int, data: st.DataObject):
    # Whole distances over one or two members and a size weight of 1/4 leave no rounding to differ in.
    dist, m = integer_distances(n, seed) * 12, data.draw(st.integers(0, min(2, n - 1)))
    expected = reference.merge_exact(dist.numpy(), list(range(n)), m, 0.0, 0.25)
    assert merged(dist, torch.arange(n), m, 0.0, 0.25).tolist() == expected


@given(problems(), seeds)
def test_ties_of_nearest_pairs_go_by_smaller_a_then_smaller_b_to_the_end(problem, seed: int):
    # Smallest whole distances and sizes weighted by 1/4 are exact, however many are joined.
    n, c, m, _ = problem
    dist, labels = integer_distances(n, seed), random_labels(n, c, seed)
    expected = reference.merge_exact(dist.numpy(), labels.tolist(), m, 0.0, 0.25, "samples", "nearest")
    assert merged(dist, labels, m, 0.0, 0.25, "samples", "nearest").tolist() == expected


@given(st.integers(2, 25), seeds, linkages, st.data())
def test_without_penalties_it_is_scipys_linkage(n: int, seed: int, how: str, data: st.DataObject):
    dist, m = any_distances(n, seed), data.draw(st.integers(1, n - 1))
    tree = linkage(squareform(dist.numpy(), checks=False), {"nearest": "single"}.get(how, how))
    expected = together(fcluster(tree, n - m, "maxclust"))
    assert (together(merged(dist, torch.arange(n), m, 0.0, 0.0, how=how)) == expected).all()


@pytest.mark.parametrize("how", ["average", "nearest"])
def test_infinite_costs_forbid_a_join(how: str):
    dist = torch.full((9, 9), torch.inf)
    dist[3, 7] = dist[7, 3] = 1.0
    dist.fill_diagonal_(0.0)
    assert merged(dist, torch.arange(9), 1, 0.0, 0.0, how=how).tolist() == [0, 1, 2, 3, 4, 5, 6, 3, 7]
    with pytest.raises(ValueError, match="only 1 of m = 2 joins are possible"):
        exact_joins(dist, torch.arange(9), 2, 0.0, 0.0, "samples", how)


@pytest.mark.parametrize("how", ["average", "nearest"])
def test_inputs_are_left_alone(how: str):
    for labels in (torch.arange(20), random_labels(20, 12, 0)):
        dist = random_distances(20, 0)
        copies = dist.clone(), labels.clone()
        exact_joins(dist, labels, 5, 0.06, 0.003, "samples", how)
        assert torch.equal(dist, copies[0]) and torch.equal(labels, copies[1])

"""Eq (7) for every pair of classes: against plain loops, and its laws."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import torch
from drawn_classes import divisors, problems, random_distances, random_labels, seeds, weights
from hypothesis import given
from hypothesis import strategies as st

from dcreid.clustering.criterion import merge_costs


def cost(
    dist: torch.Tensor,
    labels: torch.Tensor,
    lambda1: float,
    lambda2: float,
    divisor: str = "samples",
    linkage: str = "average",
) -> torch.Tensor:
    """D."""
    return merge_costs(dist, labels, lambda1, lambda2, divisor, linkage).total


linkages = st.sampled_from(["average", "nearest"])


@given(problems(), weights, weights, divisors, linkages)
def test_the_cost_is_eq_7(problem, lambda1: float, lambda2: float, divisor: str, linkage: str):
    n, c, _, seed = problem
    dist, labels = random_distances(n, seed), random_labels(n, c, seed)
    wanted = reference.merge_cost(dist.numpy(), labels.tolist(), lambda1, lambda2, divisor, linkage)
    np.testing.assert_allclose(cost(dist, labels, lambda1, lambda2, divisor, linkage), wanted, rtol=1e-9)


@given(problems(), weights, divisors, linkages)
def test_the_terms_are_eqs_3_4_and_6(problem, weight: float, divisor: str, linkage: str):
    n, c, _, seed = problem
    dist, labels = random_distances(n, seed), random_labels(n, c, seed)
    classes = reference.members(labels.tolist())
    costs = merge_costs(dist, labels, weight, 0.003, divisor, linkage)
    for i, a in enumerate(classes):
        terms = costs.terms(i)
        for k, b in enumerate(classes):
            spread = reference.intra(dist.numpy(), a, divisor) + reference.intra(dist.numpy(), b, divisor)
            inter = np.inf if a is b else reference.inter(dist.numpy(), a, b, linkage)
            assert terms.with_class(k) == pytest.approx((inter, spread, len(a) + len(b)), rel=1e-9, abs=1e-12)


def test_without_penalties_the_cost_is_the_mean_distance_between_classes():
    dist = random_distances(6, 0)
    found = cost(dist, torch.tensor([0, 0, 0, 1, 1, 1]), 0.0, 0.0)
    torch.testing.assert_close(found[0, 1], dist[:3, 3:].mean())
    assert torch.isinf(found.diagonal()).all()


def test_single_tracklets_cost_their_distance_and_two_sizes():
    dist = random_distances(5, 0)
    found = cost(dist, torch.arange(5), lambda1=9.0, lambda2=0.25)  # no pairs inside: λ1 is idle
    other = ~torch.eye(5, dtype=torch.bool)
    torch.testing.assert_close(found[other], dist[other] + 0.5)


def test_one_class_costs_infinity():
    found = cost(random_distances(3, 0), torch.tensor([4, 4, 4]), 0.06, 0.003)
    assert torch.equal(found, torch.tensor([[torch.inf]], dtype=torch.float64))


@given(st.floats(0.1, 50), st.floats(0, 2), seeds)
def test_scaled_features_scale_every_distance_term(scale: float, lambda1: float, seed: int):
    dist, labels = random_distances(8, seed), random_labels(8, 4, seed)
    torch.testing.assert_close(
        cost(dist * scale, labels, lambda1, 0.0), cost(dist, labels, lambda1, 0.0) * scale
    )


@given(seeds, weights, weights)
def test_the_cost_ignores_the_order_of_tracklets(seed: int, lambda1: float, lambda2: float):
    dist, labels = random_distances(10, seed), random_labels(10, 5, seed)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(
        cost(dist[order][:, order], labels[order], lambda1, lambda2), cost(dist, labels, lambda1, lambda2)
    )


def test_inputs_are_left_alone():
    dist, labels = random_distances(20, 0), random_labels(20, 12, 0)
    copies = dist.clone(), labels.clone()
    cost(dist, labels, 0.06, 0.003)
    assert torch.equal(dist, copies[0]) and torch.equal(labels, copies[1])

"""The joins found in blocks against those of the whole matrix."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dcreid.clustering import blocked
from dcreid.clustering.blocked import blocked_joins
from dcreid.clustering.criterion import merge_costs
from dcreid.clustering.distances import pairwise_distances
from dcreid.clustering.kruskal import JoinedPairs, lightest_joins
from dcreid.clustering.merging import joined_labels


@pytest.fixture(autouse=True, scope="module")
def _small_blocks() -> None:
    """Blocks of a few rows, so that small inputs have many, and limits drawn from few costs."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("_ROWS", 7), ("_SEARCHED", 3), ("_EDGES", 16), ("_SAMPLED", 4)):
            patch.setattr(blocked, name, value)
        patch.setattr(blocked, "_CANDIDATES_PER_JOIN", 2)
        yield


def problem(n: int, c: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(c), rng.integers(0, c, n - c)])
    return torch.from_numpy(rng.normal(size=(n, 4))), torch.from_numpy(rng.permutation(labels) * 2 - 3)


def whole(
    features: torch.Tensor,
    labels: torch.Tensor,
    m: int,
    lambda1: float,
    lambda2: float,
    intra: str = "samples",
    squared: bool = False,
) -> list[list[int]]:
    """The joins of the matrix."""
    distances = pairwise_distances(features, squared=squared)
    return pairs(lightest_joins(merge_costs(distances, labels, lambda1, lambda2, intra).total, m))


def pairs(joins: JoinedPairs) -> list[list[int]]:
    """Both classes of every join."""
    return np.stack(joins, axis=1).tolist()


@given(
    st.integers(2, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(2, n))),
    st.integers(0, 2**31),
    st.sampled_from([0.0, 0.003, 0.06, 0.5]),
    st.sampled_from(["samples", "pairs"]),
    st.booleans(),
    st.data(),
)
def test_the_joins_are_those_of_the_matrix(
    shape: tuple[int, int], seed: int, weight: float, intra: str, squared: bool, data: st.DataObject
):
    n, c = shape
    features, labels = problem(n, c, seed)
    m = data.draw(st.integers(1, c - 1))
    got = blocked_joins(features, labels, m, weight, weight / 20, intra, squared=squared)
    assert pairs(got) == whole(features, labels, m, weight, weight / 20, intra, squared)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("m", [1, 5, 40, 299])
def test_single_tracklets(m: int, squared: bool):
    features, labels = problem(300, 300, m)
    got = blocked_joins(features, labels, m, 0.06, 0.003, "samples", squared=squared)
    assert pairs(got) == whole(features, labels, m, 0.06, 0.003, squared=squared)


def test_a_class_larger_than_a_block():
    features, labels = problem(80, 12, 0)
    labels[:50] = 1
    for squared in (False, True):
        got = blocked_joins(features, labels, 4, 0.06, 0.003, "samples", squared=squared)
        assert pairs(got) == whole(features, labels, 4, 0.06, 0.003, squared=squared)


@pytest.mark.parametrize("m", [1, 20, 99])
def test_equal_costs_join_in_order(m: int):
    features = torch.zeros(100, 3)
    features[:, 0] = 1.0
    got = joined_labels(
        torch.arange(100), *blocked_joins(features, torch.arange(100), m, 0.06, 0.003, "samples")
    )
    assert got.tolist() == [0] * (m + 1) + list(range(1, 100 - m))


def test_ties_go_by_smaller_a_then_smaller_b():
    # Corners of a grid: distances in a few whole steps, exact in float64.
    side = torch.arange(6, dtype=torch.float64)
    grid = torch.cartesian_prod(side, side)[torch.randperm(36, generator=torch.Generator().manual_seed(0))]
    for m in (1, 10, 30, 35):
        got = blocked_joins(grid, torch.arange(36), m, 0.0, 0.0, "samples", squared=True)
        assert pairs(got) == whole(grid, torch.arange(36), m, 0.0, 0.0, squared=True)


def test_a_limit_drawn_too_low_is_raised():
    # One tight clump, whose pairs are the lightest but hold few joins.
    features, labels = problem(200, 200, 1)
    features[:40] *= 1e-3
    for m in (39, 60, 150):
        got = blocked_joins(features, labels, m, 0.0, 0.0, "samples")
        assert pairs(got) == whole(features, labels, m, 0.0, 0.0)

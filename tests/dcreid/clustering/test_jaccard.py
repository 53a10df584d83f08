"""The Jaccard distance against a slow float64 version of its definition, and its laws.

Results are float32: 1e-6 is the tolerance. Where ties matter the squared distances are whole numbers, which
are the same in float32 and float64.
"""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import reference
import torch
from torch.nn import functional

from dcreid.clustering.distances import merge_distances, pairwise_distances
from dcreid.clustering.jaccard import jaccard_distances
from dcreid.config import MergeConfig


def points(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def squares_of(features: torch.Tensor) -> torch.Tensor:
    return (features[:, None] - features[None, :]).square().sum(dim=2)


@pytest.mark.parametrize(("k1", "k2"), [(20, 6), (7, 3), (5, 1), (1, 1), (2, 2), (12, 12)])
def test_it_is_the_definition(k1: int, k2: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups of points, so that some neighbourhoods expand and others do not; a few rows at a time."""
    monkeypatch.setattr("dcreid.clustering.jaccard._ROWS", 16)
    centres = 2.0 * points(8, 3, seed=1)
    features = functional.normalize(centres[torch.arange(70) % 8] + 0.5 * points(70, 3, seed=2), dim=1)
    squares = squares_of(features)
    found = jaccard_distances(squares.float(), k1, k2)
    assert found.dtype == torch.float32
    expected = reference.jaccard(squares.float().double().numpy(), k1, k2)
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-6)
    if k1 > 2:
        assert 0.05 < (expected < 1).mean() < 0.95
    np.testing.assert_allclose(jaccard_distances(squares, k1, k2).numpy(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("k1", "k2"), [(8, 4), (5, 2), (3, 3)])
def test_equal_distances_count_in_order_of_index(
    k1: int, k2: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a small grid most distances have equals, and many points stand in one place."""
    monkeypatch.setattr("dcreid.clustering.jaccard._ROWS", 13)
    grid = torch.randint(0, 4, (48, 2), generator=torch.Generator().manual_seed(seed)).double()
    squares = squares_of(grid)
    assert len(torch.unique(squares[0])) < 15 and (squares == 0).sum() > 2 * 48
    expected = reference.jaccard(squares.numpy(), k1, k2)
    found = jaccard_distances(squares.float(), k1, k2)
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-6)


def test_all_points_in_one_place() -> None:
    squares = torch.zeros(30, 30)
    found = jaccard_distances(squares, 4, 2)
    expected = reference.jaccard(np.zeros((30, 30)), 4, 2)
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 3, 6, 7])
def test_fewer_tracklets_than_neighbours(n: int) -> None:
    """All are neighbours of all; with k2 = 1 only weights tell them apart, else nothing does."""
    squares = squares_of(points(n, 3, seed=n))
    for k1, k2 in ((20, 6), (6, 6), (20, 1)):
        found = jaccard_distances(squares.float(), k1, k2)
        expected = reference.jaccard(squares.numpy(), k1, k2)
        np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-6)
    assert bool((jaccard_distances(squares.float(), n, max(1, n)).abs() < 1e-6).all())


def test_laws() -> None:
    """A metric's looks: symmetric bit for bit, 0 on the diagonal, 0 to 1, and tracklets have no order."""
    features = functional.normalize(points(150, 6, seed=3).float(), dim=1)
    squares = pairwise_distances(features, squared=True)
    found = jaccard_distances(squares.clone(), 20, 6)
    assert torch.equal(found, found.T) and bool((found.diagonal() == 0).all())
    assert float(found.min()) >= 0 and 0.9 < float(found.max()) <= 1
    order = torch.randperm(150, generator=torch.Generator().manual_seed(4))
    again = jaccard_distances(squares[order][:, order], 20, 6)
    torch.testing.assert_close(again, found[order][:, order], rtol=0, atol=1e-6)


def test_two_groups_far_apart_share_nothing() -> None:
    near = 0.1 * points(20, 4, seed=5)
    found = jaccard_distances(squares_of(torch.cat([near, near + 9.0])), 10, 4)
    assert bool((found[:20, 20:] == 1).all())
    assert float(found[:20, :20].mean()) < 0.9


def test_distances_of_a_merge() -> None:
    features = functional.normalize(points(60, 5, seed=6).float(), dim=1)
    squares = pairwise_distances(features, squared=True)
    assert torch.equal(merge_distances(features, MergeConfig()), pairwise_distances(features))
    assert torch.equal(merge_distances(features, MergeConfig(distance="squared")), squares)
    found = merge_distances(features, MergeConfig(distance="jaccard", k1=9, k2=3))
    assert torch.equal(found, jaccard_distances(squares.clone(), 9, 3))
    assert not torch.equal(found, jaccard_distances(squares.clone(), 9, 4))


def test_memory_stays_below_three_matrices() -> None:
    """The one of squared distances becomes the result, and NumPy and SciPy allocate less than another.

    What they allocate is proportional to N; at MARS's size with k1 = 20 and k2 = 6 it is about one matrix.
    """
    squares = pairwise_distances(functional.normalize(points(2000, 8, seed=7).float(), dim=1), squared=True)
    tracemalloc.start()
    found = jaccard_distances(squares, 6, 2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.data_ptr() == squares.data_ptr() and peak < 0.6 * squares.nbytes


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu() -> None:
    squares = squares_of(points(200, 4, seed=8)).float()
    found = jaccard_distances(squares.cuda(), 20, 6)
    assert found.device.type == "cuda"
    torch.testing.assert_close(found.cpu(), jaccard_distances(squares.clone(), 20, 6), rtol=0, atol=1e-6)

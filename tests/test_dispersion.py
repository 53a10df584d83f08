"""Distances and class sums against plain loops, and the laws they obey."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from dcreid.dispersion import class_sums, cross_distances, intra_dispersion, pairwise_distances

seeds = st.integers(0, 2**31)


def features(n: int, d: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator, dtype=dtype)


def test_pairwise_distances_are_the_loops():
    x = features(9, 5)
    np.testing.assert_allclose(pairwise_distances(x), reference.distances(x.numpy()), atol=1e-7)
    np.testing.assert_allclose(
        pairwise_distances(x, squared=True), reference.distances(x.numpy()) ** 2, atol=1e-12
    )


def test_float32_unit_rows_keep_six_digits():
    x = functional.normalize(features(60, 512), dim=1)
    exact = torch.cdist(x, x)
    assert (pairwise_distances(x.float()).double() - exact).abs().max() < 2e-6


def test_distances_are_bitwise_symmetric_with_zero_diagonal():
    for n, d in ((1, 3), (7, 5), (50, 64), (129, 333), (1100, 7)):
        distances = pairwise_distances(features(n, d, dtype=torch.float32))
        assert torch.equal(distances, distances.T)
        assert not distances.diagonal().any()


def test_distances_made_in_several_blocks_are_those_of_one_product():
    x = features(1100, 7)
    torch.testing.assert_close(pairwise_distances(x), cross_distances(x, x).fill_diagonal_(0.0))
    torch.testing.assert_close(
        pairwise_distances(x, squared=True), cross_distances(x, x, squared=True).fill_diagonal_(0.0)
    )


def test_identical_rows_are_no_farther_than_the_rounding_of_one():
    x = functional.normalize(features(1, 512, dtype=torch.float32), dim=1).expand(8, -1).contiguous()
    assert pairwise_distances(x).max() <= 1e-3
    assert torch.isfinite(pairwise_distances(x)).all()


def test_features_are_left_alone():
    x = features(6, 4)
    before = x.clone()
    pairwise_distances(x)
    cross_distances(x[:2], x)
    assert torch.equal(x, before)


def test_cross_distances_are_a_block_of_pairwise_distances():
    x = features(12, 6)
    whole = pairwise_distances(x)
    torch.testing.assert_close(cross_distances(x[:5], x[5:]), whole[:5, 5:])
    torch.testing.assert_close(cross_distances(x[:5], x[5:], squared=True), whole[:5, 5:].square())


def test_autocast_does_not_reach_the_distances():
    x = functional.normalize(features(20, 64, dtype=torch.float32), dim=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside, across = pairwise_distances(x), cross_distances(x[:3], x)
    assert torch.equal(inside, pairwise_distances(x))
    assert torch.equal(across, cross_distances(x[:3], x))


@given(st.lists(st.integers(-2, 4), min_size=1, max_size=12), seeds)
def test_class_sums_are_the_loops(labels: list[int], seed: int):
    dist = pairwise_distances(features(len(labels), 3, seed))
    sums, sizes = class_sums(dist, torch.tensor(labels))
    classes = reference.members(labels)
    wanted = [[sum(float(dist[i, j]) for i in a for j in b) for b in classes] for a in classes]
    np.testing.assert_allclose(sums, wanted, atol=1e-12)
    assert sizes.tolist() == [len(c) for c in classes]


@given(st.permutations(range(8)))
def test_singletons_in_any_label_order(labels: list[int]):
    dist = pairwise_distances(features(8, 3))
    sums, sizes = class_sums(dist, torch.tensor(labels))
    order = torch.tensor(labels).argsort()
    torch.testing.assert_close(sums, dist[order][:, order])
    assert sizes.tolist() == [1] * 8


def test_class_sums_do_not_share_memory_with_the_distances():
    dist = pairwise_distances(features(5, 3))
    before = dist.clone()
    sums, _ = class_sums(dist, torch.arange(5))
    sums.zero_()
    assert torch.equal(dist, before)


def test_float32_sums_of_large_classes_stay_close_to_float64():
    x = functional.normalize(features(1500, 16), dim=1)
    labels = torch.arange(1500) % 2
    exact, _ = class_sums(pairwise_distances(x), labels)
    rounded, _ = class_sums(pairwise_distances(x.float()), labels)
    torch.testing.assert_close(rounded.double(), exact, rtol=1e-5, atol=0)


@pytest.mark.parametrize("divisor", ["samples", "pairs"])
def test_intra_dispersion_is_eq_3(divisor: str):
    labels = [0, 1, 1, 2, 2, 2, 2]
    dist = pairwise_distances(features(7, 3))
    sums, sizes = class_sums(dist, torch.tensor(labels))
    wanted = [reference.intra(dist.numpy(), c, divisor) for c in reference.members(labels)]
    np.testing.assert_allclose(intra_dispersion(sums, sizes, divisor), wanted)


def test_the_two_readings_of_eq_3_differ_by_the_class_size():
    dist = pairwise_distances(features(10, 3))
    sums, sizes = class_sums(dist, torch.tensor([0] * 7 + [1] * 3))
    per_sample, per_pair = (intra_dispersion(sums, sizes, how) for how in ("samples", "pairs"))
    torch.testing.assert_close(per_sample, per_pair * sizes)


def test_unknown_reading_of_eq_3_is_named():
    with pytest.raises(ValueError, match="intra = 'mean': must be samples or pairs"):
        intra_dispersion(torch.zeros(1, 1), torch.tensor([1]), "mean")

"""Class sums and Eq (3) against plain loops, and the laws they obey."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from dcreid.clustering import dispersion
from dcreid.clustering.dispersion import class_minima, class_sums, intra_dispersion
from dcreid.clustering.distances import pairwise_distances


def features(n: int, d: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator, dtype=dtype)


@given(st.lists(st.integers(-2, 4), min_size=1, max_size=12), st.integers(0, 2**31))
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


@given(
    st.lists(st.integers(-2, 4), min_size=1, max_size=12), st.integers(0, 2**31), st.sampled_from([3, 512])
)
def test_smallest_distances_and_sums_inside_classes_are_the_loops(labels: list[int], seed: int, rows: int):
    dist = pairwise_distances(features(len(labels), 3, seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dispersion, "_ROWS", rows)
        minima, within, sizes = class_minima(dist, torch.tensor(labels))
    classes = reference.members(labels)
    wanted = [[reference.inter(dist.numpy(), a, b, "nearest") for b in classes] for a in classes]
    assert minima.tolist() == wanted
    np.testing.assert_allclose(within, [sum(float(dist[i, j]) for i in a for j in a) for a in classes])
    assert sizes.tolist() == [len(c) for c in classes]


@pytest.mark.parametrize("divisor", ["samples", "pairs"])
def test_intra_dispersion_is_eq_3(divisor: str):
    labels = [0, 1, 1, 2, 2, 2, 2]
    dist = pairwise_distances(features(7, 3))
    sums, sizes = class_sums(dist, torch.tensor(labels))
    wanted = [reference.intra(dist.numpy(), c, divisor) for c in reference.members(labels)]
    np.testing.assert_allclose(intra_dispersion(sums.diagonal(), sizes, divisor), wanted)


def test_the_two_readings_of_eq_3_differ_by_the_class_size():
    dist = pairwise_distances(features(10, 3))
    sums, sizes = class_sums(dist, torch.tensor([0] * 7 + [1] * 3))
    per_sample, per_pair = (intra_dispersion(sums.diagonal(), sizes, how) for how in ("samples", "pairs"))
    torch.testing.assert_close(per_sample, per_pair * sizes)

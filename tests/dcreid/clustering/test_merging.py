"""`merge_labels`: every method against slow references, its laws, its joins, and the choice of blocks."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import numpy as np
import pytest
import reference
import torch
from drawn_classes import divisors, problems, random_labels, together, unit_features, weights
from hypothesis import given
from hypothesis import strategies as st

from dcreid.clustering import blocked, merge_labels, merging
from dcreid.clustering.criterion import PairTerms
from dcreid.config import MergeConfig

methods = st.sampled_from(["once", "exact"])
metrics = st.sampled_from(["euclidean", "squared"])
EVERY_WAY = ("once", "exact", "blocked")


@pytest.fixture
def _blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """No matrix fits, and blocks have a few rows, so that small inputs have many."""
    monkeypatch.setattr(merging, "free_bytes", lambda device: 0.0)
    sizes = {"_ROWS": 7, "_SEARCHED": 3, "_EDGES": 16, "_SAMPLED": 4, "_CANDIDATES_PER_JOIN": 2}
    for name, value in sizes.items():
        monkeypatch.setattr(blocked, name, value)


@pytest.fixture(params=EVERY_WAY)
def method(request: pytest.FixtureRequest) -> str:
    """A method of `MergeConfig`; `once` also in blocks."""
    if request.param == "blocked":
        request.getfixturevalue("_blocks")
        return "once"
    return request.param


def slow(features: torch.Tensor, labels: list[int], merge: MergeConfig, m: int) -> list[int]:
    """The reference for a configuration."""
    dist = reference.distances(features.numpy()) ** (2 if merge.distance == "squared" else 1)
    options = merge.lambda1, merge.lambda2, merge.intra
    if merge.method == "exact":
        return reference.merge_exact(dist, labels, m, *options)
    return reference.merge(labels, reference.merge_cost(dist, labels, *options), m)


# --- against the references


@given(problems(), weights, weights, divisors, metrics, methods)
def test_every_configuration_is_its_slow_reference(
    problem, lambda1: float, lambda2: float, divisor: str, distance: str, method: str
):
    n, c, m, seed = problem
    features, labels = unit_features(n, seed), random_labels(n, c, seed)
    merge = MergeConfig(lambda1=lambda1, lambda2=lambda2, intra=divisor, distance=distance, method=method)
    expected = slow(features, labels.tolist(), merge, m)
    assert merge_labels(features, labels, merge, m).tolist() == expected


@pytest.mark.parametrize("distance", ["euclidean", "squared"])
@pytest.mark.parametrize("divisor", ["samples", "pairs"])
def test_steps_in_a_row_are_the_references(method: str, divisor: str, distance: str):
    merge = MergeConfig(lambda1=0.3, lambda2=0.02, intra=divisor, distance=distance, method=method)
    features = unit_features(40, 3)
    labels, expected = torch.arange(40), list(range(40))
    for _ in range(9):
        labels, expected = merge_labels(features, labels, merge, 4), slow(features, expected, merge, 4)
        assert labels.tolist() == expected


# --- laws


@given(problems(), methods)
def test_exactly_m_joins_and_labels_in_order_of_first_tracklet(problem, method: str):
    n, c, m, seed = problem
    labels = random_labels(n, c, seed)
    merged = merge_labels(unit_features(n, seed), labels, MergeConfig(method=method), m)
    assert merged.tolist() == reference.in_order_of_first(merged.tolist())
    assert len(merged.unique()) == c - m and merged.dtype == torch.int64
    assert not (together(labels) & ~together(merged)).any()  # classes only grow


def test_every_number_of_joins(method: str):
    features, labels = unit_features(40, 0), random_labels(40, 25, 0)
    counts = [len(merge_labels(features, labels, MergeConfig(method=method), m).unique()) for m in range(25)]
    assert counts == list(range(25, 0, -1))


@given(problems(), weights, weights, methods)
def test_permuted_tracklets_merge_alike(problem, lambda1: float, lambda2: float, method: str):
    n, c, m, seed = problem
    features, labels = unit_features(n, seed), random_labels(n, c, seed)
    merge = MergeConfig(lambda1=lambda1, lambda2=lambda2, method=method)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    plain = merge_labels(features, labels, merge, m)
    permuted = merge_labels(features[order], labels[order], merge, m)
    assert (together(plain[order]) == together(permuted)).all()


@given(problems(), weights, weights, methods)
def test_renamed_classes_merge_alike(problem, lambda1: float, lambda2: float, method: str):
    n, c, m, seed = problem
    features, labels = unit_features(n, seed), random_labels(n, c, seed)
    merge = MergeConfig(lambda1=lambda1, lambda2=lambda2, method=method)
    names = torch.from_numpy(np.random.default_rng(seed).permutation(1000))
    plain, renamed = (merge_labels(features, some, merge, m) for some in (labels, names[labels + 5]))
    assert torch.equal(plain, renamed)


def test_a_heavy_size_penalty_merges_the_smallest_classes_first(method: str):
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 3])
    merge = MergeConfig(lambda1=0.0, lambda2=1e6, method=method)
    merged = merge_labels(unit_features(7, 1), labels, merge, 1)
    assert merged[5] == merged[6]


def test_a_heavy_dispersion_penalty_spares_loose_classes(method: str):
    angles = torch.tensor([0.0, 0.01, 1.0, 1.4, 0.3, 0.31, 1.3], dtype=torch.float64)
    features = torch.stack([angles.cos(), angles.sin()], dim=1)
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 3])  # class 1 is loose and contains class 3
    light, heavy = (MergeConfig(lambda1=weight, lambda2=0.0, method=method) for weight in (0.0, 10.0))
    assert merge_labels(features, labels, light, 1).tolist() == [0, 0, 1, 1, 2, 2, 1]
    assert merge_labels(features, labels, heavy, 1).tolist() == [0, 0, 1, 1, 0, 0, 2]


@pytest.mark.parametrize("m", [0, 1, 50, 99])
def test_identical_features_still_join_exactly_m_times(method: str, m: int):
    features = torch.zeros(100, 3)
    features[:, 0] = 1.0
    merge = MergeConfig(lambda2=0.0, method=method, distance="squared")
    merged = merge_labels(features, torch.arange(100), merge, m)
    assert merged.tolist() == [0] * (m + 1) + list(range(1, 100 - m))


def test_one_class_has_nothing_to_join(method: str):
    labels = torch.tensor([4, 4, 4])
    assert merge_labels(unit_features(3, 0), labels, MergeConfig(method=method), 0).tolist() == [0, 0, 0]


def test_float32_and_float64_agree_on_random_features(method: str):
    features, labels = unit_features(300, 0), random_labels(300, 150, 0)
    in_64, in_32 = (
        merge_labels(some, labels, MergeConfig(method=method), 40) for some in (features, features.float())
    )
    assert torch.equal(in_64, in_32)


def test_the_first_join_is_the_same_whether_or_not_d_is_recomputed():
    features, labels = unit_features(50, 5), random_labels(50, 20, 5)
    once, exact = (merge_labels(features, labels, MergeConfig(method=how), 1) for how in ("once", "exact"))
    assert torch.equal(once, exact)


def test_inputs_are_left_alone(method: str):
    features, labels = unit_features(20, 0), random_labels(20, 12, 0)
    copies = features.clone(), labels.clone()
    merge_labels(features, labels, MergeConfig(method=method), 5)
    assert torch.equal(features, copies[0]) and torch.equal(labels, copies[1])


def test_bad_arguments_raise(method: str):
    features, labels, merge = unit_features(4, 0), torch.arange(4), MergeConfig(method=method)
    for m in (-1, 4):
        with pytest.raises(ValueError, match=f"m = {m}: must be at least 0 and less than .* 4"):
            merge_labels(features, labels, merge, m)
    for value in (torch.nan, torch.inf):
        features[2, 1] = value
        with pytest.raises(ValueError, match="features hold NaN or infinity"):
            merge_labels(features, labels, merge, 1)


# --- joins, as they are reported


def test_every_join_is_reported_in_order_and_makes_the_labels(method: str):
    features, labels = unit_features(60, 2), random_labels(60, 30, 2)
    reported: list[tuple[int, int]] = []
    merged = merge_labels(
        features, labels, MergeConfig(method=method), 12, on_join=lambda a, b, *_: reported.append((a, b))
    )
    assert len(reported) == 12 and all(a < b for a, b in reported)
    joined, group = np.unique(labels, return_inverse=True)[1], np.arange(30)  # class c is in group[c]
    for a, b in reported:
        group[group == group[b]] = group[a]
    assert reference.in_order_of_first(group[joined].tolist()) == merged.tolist()


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("distance", ["euclidean", "squared"])
@pytest.mark.parametrize("divisor", ["samples", "pairs"])
def test_blocks_report_the_joins_of_the_matrix_with_the_terms_of_the_pair(
    distance: str, divisor: str, monkeypatch: pytest.MonkeyPatch
):
    features, labels = unit_features(90, 4, d=16, dtype=torch.float32), random_labels(90, 40, 4)
    labels[:20] = labels.min()  # the first class is larger than a block
    merge = MergeConfig(lambda1=0.3, lambda2=0.02, intra=divisor, distance=distance)
    dist = reference.distances(features.double().numpy()) ** (2 if distance == "squared" else 1)
    classes, reported = reference.members(labels.tolist()), []

    def on_join(a: int, b: int, terms: PairTerms, terms_of: Callable | None) -> None:
        spread = sum(reference.intra(dist, classes[c], divisor) for c in (a, b))
        size = len(classes[a]) + len(classes[b])
        expected = reference.inter(dist, classes[a], classes[b]), spread, size
        assert terms == pytest.approx(expected, rel=1e-4, abs=1e-4)
        assert (terms_of is None) == in_blocks
        reported.append((a, b))

    in_blocks, m = True, len(classes) - 1
    merge_labels(features, labels, merge, m, on_join=on_join)
    of_blocks, reported = reported, []
    in_blocks = False
    monkeypatch.setattr(merging, "free_bytes", lambda device: math.inf)
    merge_labels(features, labels, merge, m, on_join=on_join)
    assert of_blocks == reported and len(reported) == m


# --- when blocks are used


@pytest.mark.parametrize("classes", [40, 25])
def test_the_matrix_is_made_where_it_fits_into_half_of_the_free_memory(
    classes: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    features, labels = unit_features(40, 0, dtype=torch.float32), random_labels(40, classes, 0)
    needed = 4 * (40 * 40 + classes * 40 + classes * classes)
    assert needed <= 3 * 4 * 40**2
    for free, warnings in ((math.inf, 0), (2 * needed, 0), (2 * needed - 1, 1), (0, 1)):
        caplog.clear()
        monkeypatch.setattr(merging, "free_bytes", lambda device, free=free: float(free))
        with caplog.at_level(logging.WARNING, "dcreid"):
            merge_labels(features, labels, MergeConfig(), 5)
        assert len(caplog.records) == warnings
    assert "merged in blocks; the joins are the same up to rounding" in caplog.text


@pytest.mark.usefixtures("_blocks")
def test_exact_has_the_matrix_whatever_is_free(caplog: pytest.LogCaptureFixture):
    merge = MergeConfig(method="exact")
    merged = merge_labels(unit_features(30, 0), torch.arange(30), merge, 5)
    assert merged.tolist() == slow(unit_features(30, 0), list(range(30)), merge, 5) and not caplog.records


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_the_gpu_the_merge_is_the_same(method: str):
    features, labels = unit_features(300, 1), random_labels(300, 120, 1)
    merge = MergeConfig(method=method)
    here = merge_labels(features, labels, merge, 30)
    there = merge_labels(features.cuda(), labels.cuda(), merge, 30)
    assert there.is_cuda and torch.equal(there.cpu(), here)
    assert torch.equal(merge_labels(features.cuda(), labels, merge, 30), here)

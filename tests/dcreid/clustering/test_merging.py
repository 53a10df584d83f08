"""`merge_labels`: every method against slow references, its laws, its joins, and the choice of blocks."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable

import numpy as np
import pytest
import reference
import torch
from drawn_classes import divisors, problems, random_labels, seeds, together, unit_features, weights
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage

from dcreid.clustering import blocked, merge_labels, merging
from dcreid.clustering.criterion import PairTerms
from dcreid.clustering.merging import check_memory
from dcreid.config import MergeConfig

METHODS, LINKAGES = ("once", "star", "exact", "anew"), ("average", "nearest")
methods, linkages = st.sampled_from(METHODS), st.sampled_from(LINKAGES)
metrics = st.sampled_from(["euclidean", "squared"])
EVERY_WAY = [*itertools.product(METHODS, LINKAGES), ("once", "blocked")]


@pytest.fixture
def _blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """No matrix fits, and blocks have a few rows, so that small inputs have many."""
    monkeypatch.setattr(merging, "free_bytes", lambda device: 0.0)
    sizes = {"_ROWS": 7, "_SEARCHED": 3, "_EDGES": 16, "_SAMPLED": 4, "_CANDIDATES_PER_JOIN": 2}
    for name, value in sizes.items():
        monkeypatch.setattr(blocked, name, value)


@pytest.fixture(params=EVERY_WAY, ids="-".join)
def way(request: pytest.FixtureRequest) -> dict[str, str]:
    """Method and linkage of `MergeConfig`; `once` also in blocks."""
    method, linkage = request.param
    if linkage == "blocked":
        request.getfixturevalue("_blocks")
        linkage = "average"
    return {"method": method, "linkage": linkage}


def slow(features: torch.Tensor, labels: list[int], merge: MergeConfig, m: int) -> list[int]:
    """The reference for a configuration."""
    dist = reference.distances(features.numpy()) ** (2 if merge.distance == "squared" else 1)
    options = merge.lambda1, merge.lambda2, merge.intra, merge.linkage
    if merge.method == "exact":
        return reference.merge_exact(dist, labels, m, *options)
    if merge.method == "anew":
        n = len(labels)
        return reference.merge_exact(dist, list(range(n)), n - len(set(labels)) + m, *options)
    join = reference.merge_star if merge.method == "star" else reference.merge
    return join(labels, reference.merge_cost(dist, labels, *options), m)


# --- against the references


@given(problems(), weights, weights, divisors, metrics, methods, linkages)
def test_every_configuration_is_its_slow_reference(
    problem, lambda1: float, lambda2: float, divisor: str, distance: str, method: str, linkage: str
):
    n, c, m, seed = problem
    features, labels = unit_features(n, seed), random_labels(n, c, seed)
    penalties = {"lambda1": lambda1, "lambda2": lambda2, "intra": divisor}
    merge = MergeConfig(**penalties, distance=distance, method=method, linkage=linkage)
    expected = slow(features, labels.tolist(), merge, m)
    assert merge_labels(features, labels, merge, m).tolist() == expected


@pytest.mark.parametrize("distance", ["euclidean", "squared"])
@pytest.mark.parametrize("divisor", ["samples", "pairs"])
def test_steps_in_a_row_are_the_references(way: dict[str, str], divisor: str, distance: str):
    merge = MergeConfig(lambda1=0.3, lambda2=0.02, intra=divisor, distance=distance, **way)
    features = unit_features(24, 3)
    labels, expected = torch.arange(24), list(range(24))
    for _ in range(7):
        labels, expected = merge_labels(features, labels, merge, 3), slow(features, expected, merge, 3)
        assert labels.tolist() == expected


# --- laws


@given(problems(), methods, linkages)
def test_exactly_m_joins_and_labels_in_order_of_first_tracklet(problem, method: str, linkage: str):
    n, c, m, seed = problem
    labels = random_labels(n, c, seed)
    merge = MergeConfig(method=method, linkage=linkage)
    merged = merge_labels(unit_features(n, seed), labels, merge, m)
    assert merged.tolist() == reference.in_order_of_first(merged.tolist())
    assert len(merged.unique()) == c - m and merged.dtype == torch.int64
    if method != "anew":
        assert not (together(labels) & ~together(merged)).any()  # classes only grow


def test_every_number_of_joins(way: dict[str, str]):
    features, labels = unit_features(40, 0), random_labels(40, 25, 0)
    counts = [len(merge_labels(features, labels, MergeConfig(**way), m).unique()) for m in range(25)]
    assert counts == list(range(25, 0, -1))


@given(problems(), weights, weights, methods, linkages)
def test_permuted_tracklets_merge_alike(problem, lambda1: float, lambda2: float, method: str, linkage: str):
    n, c, m, seed = problem
    features, labels = unit_features(n, seed), random_labels(n, c, seed)
    merge = MergeConfig(lambda1=lambda1, lambda2=lambda2, method=method, linkage=linkage)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    plain = merge_labels(features, labels, merge, m)
    permuted = merge_labels(features[order], labels[order], merge, m)
    assert (together(plain[order]) == together(permuted)).all()


@given(problems(), weights, weights, methods, linkages)
def test_renamed_classes_merge_alike(problem, lambda1: float, lambda2: float, method: str, linkage: str):
    n, c, m, seed = problem
    features, labels = unit_features(n, seed), random_labels(n, c, seed)
    merge = MergeConfig(lambda1=lambda1, lambda2=lambda2, method=method, linkage=linkage)
    names = torch.from_numpy(np.random.default_rng(seed).permutation(1000))
    if method == "star":  # where the earlier class absorbs the later one
        names = names.sort().values * 3
    plain, renamed = (merge_labels(features, some, merge, m) for some in (labels, names[labels + 5]))
    assert torch.equal(plain, renamed)


def merged_on_a_line(places: list[float], labels: list[int], merge: MergeConfig) -> list[int]:
    """Labels after one join of points on a line."""
    features = torch.tensor(places, dtype=torch.float64)[:, None]
    return merge_labels(features, torch.tensor(labels), merge, 1).tolist()


@pytest.mark.parametrize("distance", ["euclidean", "squared"])
def test_the_size_penalty_spares_large_classes(way: dict[str, str], distance: str):
    places, labels = [0.0, 0.1, 0.2, 1.2, 10.0, 11.5], [0, 0, 0, 1, 2, 3]
    free, held = (MergeConfig(lambda1=0.0, lambda2=weight, distance=distance, **way) for weight in (0.0, 0.8))
    assert merged_on_a_line(places, labels, free) == [0, 0, 0, 0, 1, 2]  # the nearest two
    assert merged_on_a_line(places, labels, held) == [0, 0, 0, 1, 2, 2]  # farther apart, and smaller


@pytest.mark.parametrize("distance", ["euclidean", "squared"])
@pytest.mark.parametrize("divisor", ["samples", "pairs"])
def test_the_dispersion_penalty_spares_loose_classes(way: dict[str, str], distance: str, divisor: str):
    places, labels = [0.0, 1.0, 5.0, 5.9, 2.2, 10.0, 11.9], [0, 0, 1, 1, 2, 3, 4]
    free, held = (
        MergeConfig(lambda1=weight, lambda2=0.0, intra=divisor, distance=distance, **way)
        for weight in (0.0, 6.0)
    )
    assert merged_on_a_line(places, labels, free) == [0, 0, 1, 1, 0, 2, 3]  # the nearest two
    assert merged_on_a_line(places, labels, held) == [0, 0, 1, 1, 2, 3, 3]  # farther apart, and single


@given(problems(), weights, weights)
def test_no_join_of_stars_goes_through_a_class_that_was_absorbed(problem, lambda1: float, lambda2: float):
    n, c, m, seed = problem
    absorbed: list[int] = []

    def on_join(a: int, b: int, *_) -> None:
        assert a < b and a not in absorbed and b not in absorbed
        absorbed.append(b)

    merge = MergeConfig(lambda1=lambda1, lambda2=lambda2, method="star")
    merge_labels(unit_features(n, seed), random_labels(n, c, seed), merge, m, on_join=on_join)
    assert len(absorbed) == m


def test_joins_chain_within_a_step_unless_they_are_stars():
    line = [0.0, 1.0, 2.1, 3.3, 4.6]
    features = torch.tensor(line, dtype=torch.float64)[:, None]
    once, star = (
        merge_labels(features, torch.arange(5), MergeConfig(lambda2=0.0, method=how), 2).tolist()
        for how in ("once", "star")
    )
    assert once == [0, 0, 0, 1, 2] and star == [0, 0, 1, 1, 2]


@given(st.integers(2, 14), st.data())
def test_classes_made_anew_take_but_their_number_from_those_before(n: int, data: st.DataObject):
    c, seed = data.draw(st.integers(2, n)), data.draw(seeds)
    m, merge = data.draw(st.integers(0, c - 1)), MergeConfig(method="anew")
    features = unit_features(n, seed)
    some, other = (merge_labels(features, random_labels(n, c, s), merge, m) for s in (seed, seed + 1))
    from_single = merge_labels(features, torch.arange(n), MergeConfig(method="exact"), n - c + m)
    assert torch.equal(some, from_single) and torch.equal(other, from_single)


@given(st.integers(2, 30), seeds, linkages, st.data())
def test_without_penalties_classes_made_anew_are_scipys(n: int, seed: int, how: str, data: st.DataObject):
    features, c = unit_features(n, seed), data.draw(st.integers(1, n))
    merge = MergeConfig(lambda1=0.0, lambda2=0.0, method="anew", linkage=how)
    tree = linkage(features.numpy(), {"nearest": "single"}.get(how, how))
    merged = merge_labels(features, torch.arange(n), merge, n - c)
    assert (together(merged) == together(fcluster(tree, c, "maxclust"))).all()


@pytest.mark.parametrize("m", [0, 1, 50, 99])
def test_identical_features_still_join_exactly_m_times(way: dict[str, str], m: int):
    features = torch.zeros(100, 3)
    features[:, 0] = 1.0
    merge = MergeConfig(lambda2=0.0, distance="squared", **way)
    merged = merge_labels(features, torch.arange(100), merge, m)
    assert merged.tolist() == [0] * (m + 1) + list(range(1, 100 - m))


def test_one_class_has_nothing_to_join(way: dict[str, str]):
    labels = torch.tensor([4, 4, 4])
    assert merge_labels(unit_features(3, 0), labels, MergeConfig(**way), 0).tolist() == [0, 0, 0]


def test_float32_and_float64_agree_on_random_features(way: dict[str, str]):
    features, labels = unit_features(300, 0), random_labels(300, 150, 0)
    in_64, in_32 = (
        merge_labels(some, labels, MergeConfig(**way), 40) for some in (features, features.float())
    )
    assert torch.equal(in_64, in_32)


@pytest.mark.parametrize("linkage", LINKAGES)
def test_the_first_join_is_the_same_whether_or_not_d_is_recomputed(linkage: str):
    features, labels = unit_features(50, 5), random_labels(50, 20, 5)
    ways = [MergeConfig(method=method, linkage=linkage) for method in ("once", "star", "exact")]
    once, star, exact = (merge_labels(features, labels, merge, 1) for merge in ways)
    assert torch.equal(once, exact) and torch.equal(once, star)


def test_inputs_are_left_alone(way: dict[str, str]):
    features, labels = unit_features(20, 0), random_labels(20, 12, 0)
    copies = features.clone(), labels.clone()
    merge_labels(features, labels, MergeConfig(**way), 5)
    assert torch.equal(features, copies[0]) and torch.equal(labels, copies[1])


def test_bad_arguments_raise(way: dict[str, str]):
    features, labels, merge = unit_features(4, 0), torch.arange(4), MergeConfig(**way)
    for m in (-1, 4):
        with pytest.raises(ValueError, match=f"m = {m}: must be at least 0 and less than .* 4"):
            merge_labels(features, labels, merge, m)
    for value in (torch.nan, torch.inf):
        features[2, 1] = value
        with pytest.raises(ValueError, match="features hold NaN or infinity"):
            merge_labels(features, labels, merge, 1)


# --- joins, as they are reported


def test_every_join_is_reported_in_order_and_makes_the_labels(way: dict[str, str]):
    features, labels = unit_features(60, 2), random_labels(60, 30, 2)
    reported: list[tuple[int, int]] = []
    merged = merge_labels(
        features, labels, MergeConfig(**way), 12, on_join=lambda a, b, *_: reported.append((a, b))
    )
    if way["method"] == "anew":
        assert not reported
        return
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


@pytest.mark.parametrize("distance", ["euclidean", "squared", "jaccard"])
@pytest.mark.parametrize("linkage", LINKAGES)
@pytest.mark.parametrize("method", METHODS)
def test_what_has_no_blocks_is_refused_where_its_matrices_do_not_fit(
    method: str, linkage: str, distance: str, monkeypatch: pytest.MonkeyPatch
):
    merge = MergeConfig(method=method, linkage=linkage, distance=distance)
    features = unit_features(30, 0, dtype=torch.float32)
    needed = 4 * 3 * 30**2
    monkeypatch.setattr(merging, "free_bytes", lambda device: float(needed))
    check_memory(merge, torch.device("cpu"), 30)
    whole = merge_labels(features, torch.arange(30), merge, 5)
    monkeypatch.setattr(merging, "free_bytes", lambda device: needed - 1.0)
    if (method, linkage) == ("once", "average") and distance != "jaccard":
        check_memory(merge, torch.device("cpu"), 30)
        assert torch.equal(merge_labels(features, torch.arange(30), merge, 5), whole)
        return
    told = rf"merge.method = {method} with merge.linkage = {linkage} .* 30 tracklets, and the cpu has .* free"
    with pytest.raises(MemoryError, match=told):
        check_memory(merge, torch.device("cpu"), 30)
    with pytest.raises(MemoryError, match=told):
        merge_labels(features, torch.arange(30), merge, 5)


@pytest.mark.parametrize("distance", ["squared", "jaccard"])
@pytest.mark.parametrize("method", METHODS)
def test_what_works_on_the_cpu_needs_its_memory_too(
    method: str, distance: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(merging, "free_bytes", lambda device: 0.0 if device.type == "cpu" else math.inf)
    merge = MergeConfig(method=method, distance=distance)
    if method in ("once", "star") and distance != "jaccard":
        check_memory(merge, torch.device("cuda"), 1000)
        return
    with pytest.raises(MemoryError, match=r"0\.012 GB for 1,000 tracklets, and the cpu has 0 GB free"):
        check_memory(merge, torch.device("cuda"), 1000)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_the_gpu_the_merge_is_the_same(way: dict[str, str]):
    features, labels = unit_features(300, 1), random_labels(300, 120, 1)
    merge = MergeConfig(**way)
    here = merge_labels(features, labels, merge, 30)
    there = merge_labels(features.cuda(), labels.cuda(), merge, 30)
    assert there.is_cuda and torch.equal(there.cpu(), here)
    assert torch.equal(merge_labels(features.cuda(), labels, merge, 30), here)

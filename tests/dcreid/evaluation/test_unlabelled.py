"""Scores that need no identity: plain loops, scikit-learn, laws and planted faults."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.metrics import adjusted_mutual_info_score, silhouette_score
from torch import Tensor
from torch.nn.functional import normalize

from dcreid.evaluation import unlabelled
from dcreid.evaluation.unlabelled import (
    agreement,
    camera_excess,
    combined,
    confidence,
    exclusivity,
    join_reliability,
    same_camera,
    self_retrieval,
    silhouette,
    size_balance,
    stability,
)


def drawn(seed: int, n: int = 40, d: int = 8) -> Tensor:
    return normalize(torch.from_numpy(np.random.default_rng(seed).normal(size=(n, d))), dim=1)


def partition(seed: int, n: int, c: int) -> np.ndarray:
    labels = np.random.default_rng(seed).integers(0, c, n)
    return np.unique(labels, return_inverse=True)[1]


@pytest.fixture(autouse=True)
def _few_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcreid.evaluation.unlabelled._ROWS", 7)


# --- self-retrieval


def test_self_retrieval_is_the_mean_reciprocal_rank_of_plain_loops() -> None:
    first, noise, cameras = drawn(1), drawn(2), np.arange(40) % 3
    last = normalize(first + 1.5 * noise, dim=1)
    found = []
    for i in range(40):
        others = [j for j in range(40) if cameras[j] == cameras[i]]
        distances = [float((first[i] - last[j]).norm()) for j in others]
        found.append(1 / (1 + sorted(distances).index(float((first[i] - last[i]).norm()))))
    assert 0.2 < np.mean(found) < 0.95
    assert self_retrieval(first, last, torch.from_numpy(cameras)) == pytest.approx(np.mean(found))


def test_self_retrieval_looks_below_one_camera_and_without_cameras_everywhere() -> None:
    v = torch.eye(4, dtype=torch.float64)
    swapped = v[[2, 3, 0, 1]]  # each looks like one of the other camera
    two = torch.tensor([1, 1, 2, 2])
    assert self_retrieval(v, normalize(v + 2 * swapped, dim=1), two) == 1.0
    assert self_retrieval(v, normalize(v + 2 * swapped, dim=1), None) == 0.5


def test_self_retrieval_of_a_collapse_is_at_the_bottom() -> None:
    same = torch.ones(10, 3, dtype=torch.float64) / math.sqrt(3)
    assert self_retrieval(same, same, None) == pytest.approx(1 / 10)


def test_self_retrieval_leaves_out_tracklets_without_thirds_and_the_only_one_of_a_camera() -> None:
    first, last, cameras = drawn(3, 12), drawn(4, 12), torch.tensor([1] * 10 + [2, 3])
    whole = self_retrieval(first[:9], last[:9], cameras[:9])
    first[9], last[9] = 0, 0
    assert self_retrieval(first, last, cameras) == pytest.approx(whole)
    assert self_retrieval(first[9:], last[9:], cameras[9:]) is None


# --- camera excess


def test_camera_excess_by_plain_loops() -> None:
    v, cameras = drawn(5), np.random.default_rng(5).integers(1, 4, 40)
    found = []
    for i in range(40):
        distances = (v - v[i]).norm(dim=1).tolist()
        nearest = sorted((j for j in range(40) if j != i), key=lambda j: distances[j])[:5]
        p = np.mean([cameras[j] == cameras[i] for j in nearest])
        e = (np.sum(cameras == cameras[i]) - 1) / 39
        found.append((p - e) / (1 - e))
    assert camera_excess(v, torch.from_numpy(cameras)) == pytest.approx(np.mean(found))


def test_camera_excess_is_1_where_cameras_part_all_and_about_0_at_random() -> None:
    cameras = torch.arange(60) % 3
    own = normalize(torch.eye(3, dtype=torch.float64)[cameras] * 9 + drawn(6, 60, 3), dim=1)
    assert camera_excess(own, cameras) == 1.0
    assert abs(camera_excess(drawn(7, 600, 16), torch.arange(600) % 3) or 1) < 0.05
    assert camera_excess(own, 0 * cameras) is None and camera_excess(own[:5], cameras[:5]) is None


# --- confidence


def test_confidence_by_plain_loops() -> None:
    v, labels = drawn(6), partition(6, 40, 4)
    found = []
    for i in range(40):
        others = sorted((j for j in range(40) if j != i), key=lambda j: float((v[i] - v[j]).norm()))
        found.append(sum(labels[j] == labels[i] for j in others[:5]) / 5)
    assert len(set(found)) > 3
    assert confidence(v, torch.from_numpy(labels)).tolist() == pytest.approx(found)


def test_confidence_of_few_tracklets_and_of_classes_of_one() -> None:
    assert confidence(drawn(7, 3), torch.tensor([0, 0, 1])).tolist() == [0.5, 0.5, 0.0]
    assert confidence(drawn(7, 6), torch.arange(6)).tolist() == [0.0] * 6


# --- exclusivity


def test_exclusivity_by_hand() -> None:
    #           camera 1: 0 and 1 overlap, 2 is later; camera 2: 3 and 4 touch, at the times of 0 and 1
    times = np.array([[1, 10], [5, 20], [21, 30], [1, 10], [10, 12]])
    cameras = np.array([1, 1, 1, 2, 2])
    # Two of ten pairs overlap. Classes {0, 1}, {2, 3, 4}: two of four pairs in one class do.
    assert exclusivity(np.array([0, 0, 1, 1, 1]), cameras, times) == pytest.approx((2 / 4) / (2 / 10))
    assert exclusivity(np.array([0, 1, 0, 0, 1]), cameras, times) == 0.0
    assert exclusivity(np.zeros(5, dtype=int), cameras, times) == 1.0
    assert exclusivity(np.arange(5), cameras, times) is None
    assert exclusivity(np.array([0, 0]), cameras[[0, 2]], times[[0, 2]]) is None
    for pair in ([3, 4], [4, 3]):  # both there in one frame
        assert exclusivity(np.array([0, 0]), cameras[pair], times[pair]) == 1.0


def test_the_share_of_pairs_that_one_camera_saw_is_that_of_a_loop() -> None:
    rng = np.random.default_rng(3)
    labels, cameras = rng.integers(0, 6, 40), rng.integers(0, 3, 40)
    pairs = [(i, j) for i in range(40) for j in range(i) if labels[i] == labels[j]]
    same = sum(cameras[i] == cameras[j] for i, j in pairs)
    assert same_camera(labels, cameras) == pytest.approx(same / len(pairs))
    assert same_camera(cameras, cameras) == 1.0  # classes that are cameras
    assert same_camera(np.arange(40), cameras) is None


# --- stability and joins


@pytest.mark.parametrize(("n", "c", "kept"), [(30, 5, 0.5), (100, 60, 0.3), (300, 290, 0.5), (50, 2, 0.0)])
def test_agreement_is_adjusted_mutual_information(n: int, c: int, kept: float) -> None:
    rng = np.random.default_rng(n)
    one = partition(n, n, c)
    other = np.where(rng.random(n) < kept, one, rng.integers(0, c, n))
    expected = adjusted_mutual_info_score(one, other)
    assert agreement(one, other) == pytest.approx(expected, abs=1e-9)
    assert agreement(one, one) == pytest.approx(1.0)
    assert agreement(one, rng.permutation(c)[one]) == pytest.approx(1.0)  # whatever they are called


def test_agreement_of_partitions_that_say_nothing() -> None:
    nobody, everybody = np.arange(6), np.zeros(6, dtype=int)
    assert agreement(nobody, nobody) == agreement(everybody, everybody) == 1.0
    assert agreement(nobody, everybody) == agreement(everybody, partition(1, 6, 3)) == 0.0


def scipys_stability(halves: Tensor, cameras: Tensor | None) -> float:
    """SciPy's average linkage, scikit-learn's adjusted mutual information."""
    n, trees = halves.shape[1], []
    for half in halves:
        v = half.numpy().copy()
        if cameras is not None:
            for camera in np.unique(cameras):
                own = v[cameras.numpy() == camera]
                v[cameras.numpy() == camera] = (own - own.mean(axis=0)) / own.std(axis=0)
            v /= np.linalg.norm(v, axis=1, keepdims=True)
        trees.append(linkage(v, "average"))
    cuts = [[fcluster(tree, n // size, "maxclust") for tree in trees] for size in (2, 4, 8)]
    return float(np.mean([adjusted_mutual_info_score(*cut) for cut in cuts]))


@pytest.mark.parametrize("known", [True, False])
def test_stability_is_that_of_scipys_average_linkage(known: bool) -> None:
    v = drawn(11, 50)
    halves = torch.stack([normalize(v + 0.6 * drawn(seed, 50), dim=1) for seed in (12, 13)])
    cameras = torch.arange(50) % 3
    halves = normalize(halves + torch.eye(8, dtype=torch.float64)[cameras], dim=2)
    found = stability(halves, cameras if known else None)
    assert found == pytest.approx(scipys_stability(halves, cameras if known else None), abs=1e-9)
    assert abs(found - scipys_stability(halves, None if known else cameras)) > 0.02
    assert stability(torch.stack([v, v]), cameras) == pytest.approx(1.0)
    assert abs(stability(torch.stack([drawn(14, 400), drawn(15, 400)]), None) or 1) < 0.05
    assert stability(halves[:, :7], cameras[:7]) is None


@pytest.mark.parametrize("known", [True, False])
def test_of_very_many_tracklets_some_stand_for_all(monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    monkeypatch.setattr(unlabelled, "MOST_TRACKLETS", 40)
    v = drawn(16, 60)
    halves = torch.stack([normalize(v + 0.6 * drawn(seed, 60), dim=1) for seed in (17, 18)])
    cameras = torch.arange(60) % 3 if known else None
    expected = scipys_stability(halves[:, :40], None if cameras is None else cameras[:40])
    assert stability(halves, cameras) == pytest.approx(expected, abs=1e-9)


# --- the one that a study maximises


def test_combined_is_a_product_that_a_collapse_has_none_of() -> None:
    assert combined({"self_retrieval": 0.5, "stability": 0.4, "camera_excess": 0.9}) == pytest.approx(0.2)
    assert combined({"self_retrieval": 0.5, "stability": -0.1}) == 0.0
    assert combined({"self_retrieval": None, "stability": 0.4}) is combined({"self_retrieval": 1.0}) is None
    same = normalize(torch.ones(64, 8, dtype=torch.float64) + 1e-4 * drawn(16, 64), dim=1)
    ends = torch.stack([normalize(same + 1e-4 * drawn(seed, 64), dim=1) for seed in (17, 18)])
    scores = {"self_retrieval": self_retrieval(*ends, None), "stability": stability(ends, None)}
    alive = torch.stack([normalize(drawn(16, 64) + 0.5 * drawn(seed, 64), dim=1) for seed in (17, 18)])
    better = {"self_retrieval": self_retrieval(*alive, None), "stability": stability(alive, None)}
    assert (combined(scores) or 0) < 0.5 * (combined(better) or 0)


def test_joins_that_both_halves_make() -> None:
    before = np.array([0, 0, 1, 2, 3, 4])  # five classes, the first with two tracklets
    one = np.array([0, 0, 0, 1, 1, 2])  # joins 0-1 and 2-3
    other = np.array([0, 0, 0, 0, 1, 2])  # joins 0-1, 0-2 and 1-2
    assert join_reliability(before, one, other) == pytest.approx(1 / 4)
    assert join_reliability(before, one, one) == 1.0
    assert join_reliability(before, before, before) is None


# --- sizes, silhouette


def test_size_balance() -> None:
    assert size_balance(np.array([3, 3, 3])) == pytest.approx(1.0)
    assert size_balance(np.array([1, 1, 2])) == pytest.approx(1.5 / math.log2(3))
    assert size_balance(np.array([7])) == 0.0


def test_silhouette_is_that_of_squared_distances() -> None:
    v, labels = drawn(8, 60), partition(8, 60, 25)
    assert 1 in np.bincount(labels) and np.bincount(labels).max() > 2
    expected = silhouette_score(v.numpy(), labels, metric="sqeuclidean")
    assert silhouette(v, torch.from_numpy(labels)) == pytest.approx(expected)


def test_silhouette_of_features_that_are_not_quite_of_length_1() -> None:
    v, labels = drawn(8, 60) * torch.linspace(0.5, 2, 60)[:, None], partition(8, 60, 25)
    expected = silhouette_score(v.numpy(), labels, metric="sqeuclidean")
    assert silhouette(v, torch.from_numpy(labels)) == pytest.approx(expected)


def test_silhouette_of_a_partition_that_says_nothing() -> None:
    assert silhouette(drawn(9, 6), torch.arange(6)) is None
    assert silhouette(drawn(9, 6), torch.zeros(6, dtype=torch.int64)) is None

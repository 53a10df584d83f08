"""A proposed number of classes: planted groups, scikit-learn's measures, and the rule by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_mutual_info_score, silhouette_score
from torch import Tensor
from torch.nn.functional import normalize

from dcreid.clustering.cameras import camera_normalised
from dcreid.clustering.distances import pairwise_distances
from dcreid.config import MergeConfig
from dcreid.evaluation.class_counts import ClassCounts, count_classes
from dcreid.evaluation.unlabelled import exclusivity
from dcreid.presets import laid_over, settings_of

GROUPS, SIZE = 6, 14


def planted(noise: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features of all frames and of both halves: six people with 14 tracklets each."""
    rng = np.random.default_rng(seed)
    centres = np.repeat(np.linalg.qr(rng.normal(size=(16, 16)))[0][:GROUPS], SIZE, axis=0)
    halves = normalize(torch.from_numpy(centres + noise * rng.normal(size=(2, GROUPS * SIZE, 16))), dim=2)
    return normalize(halves.sum(dim=0), dim=1), halves


def test_groups_that_lie_apart_are_counted() -> None:
    v, halves = planted(0.1)
    for cameras in (None, torch.zeros(len(v), dtype=torch.int64)):
        counts = count_classes(v, halves, cameras)
        assert counts.interval[1] == GROUPS == counts.proposed
        assert counts.stability.max() == pytest.approx(1.0)


def test_what_cameras_do_to_all_their_tracklets_is_no_group() -> None:
    v, halves = planted(0.1, seed=2)
    cameras = torch.arange(len(v)) % 2
    shift = 3 * torch.eye(16, dtype=v.dtype)[cameras + 9]
    seen = normalize(torch.stack([v, *halves]) + shift, dim=2)
    assert count_classes(seen[0], seen[1:], cameras).proposed == GROUPS
    assert count_classes(seen[0], seen[1:]).proposed != GROUPS


@pytest.fixture
def euclidean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Distances without ties, so that all programs merge alike; the module's own are of the recommended."""

    def distances(features: Tensor, merge: MergeConfig) -> Tensor:
        recommended = laid_over(settings_of("mars"), "recommended").merge
        for name in ("distance", "k1", "k2", "camera_normalise", "linkage"):
            assert getattr(merge, name) == getattr(recommended, name)
        return pairwise_distances(features)

    monkeypatch.setattr("dcreid.evaluation.class_counts.merge_distances", distances)


def cut(features: Tensor, classes: int) -> np.ndarray:
    by = AgglomerativeClustering(classes, metric="euclidean", linkage="average")
    return by.fit_predict(features.numpy())


def test_the_measures_are_scikit_learns(euclidean: None) -> None:
    v, halves = planted(0.35)
    counts = count_classes(v, halves)
    assert len(np.unique(counts.classes)) == len(counts.classes) > 15
    assert counts.classes[0] == 2 and counts.classes[-1] == round(0.7 * GROUPS * SIZE)
    for i, classes in enumerate(counts.classes.tolist()):
        whole, one, other = (cut(features, classes) for features in (v, *halves))
        assert counts.silhouette[i] == pytest.approx(silhouette_score(v.numpy(), whole), abs=1e-6)
        assert counts.stability[i] == pytest.approx(adjusted_mutual_info_score(one, other), abs=1e-9)


def test_exclusivity_stands_beside_where_there_is_time(euclidean: None) -> None:
    v, halves = planted(0.35)
    n = len(v)
    cameras, times = torch.zeros(n, dtype=torch.int64), np.stack([np.arange(n), np.arange(n) + 3], axis=1)
    counts = count_classes(v, halves, cameras, times)
    assert counts.exclusivity is not None
    labels = cut(camera_normalised(v, cameras), int(counts.classes[3]))
    expected = exclusivity(labels, cameras.numpy(), times)
    assert counts.exclusivity[3] == pytest.approx(expected) and expected is not None and expected > 0
    assert count_classes(v, halves, cameras).exclusivity is None
    assert count_classes(v, halves, None, times).exclusivity is None


def test_the_proposal_is_the_silhouettes_where_that_is_stable_and_else_a_geometric_mean() -> None:
    classes = np.array([2, 8, 32, 50])

    def found(stability: list[float], silhouette: list[float]) -> tuple[tuple[int, int], int]:
        counts = ClassCounts(classes, np.array(stability), np.array(silhouette), None)
        return counts.interval, counts.proposed

    second, third = [0.1, 0.9, 0.3, 0.2], [0.1, 0.2, 0.3, 0.2]
    assert found(second, third) == ((8, 32), 16)
    assert found(third, second) == ((8, 32), 16)
    last = [0.1, 0.2, 0.3, 0.9]
    assert found([0.5, 0.88, 0.9, 0.2], last) == ((8, 50), 20)  # 0.88 is within 3 % of 0.9
    assert found([0.5, 0.87, 0.9, 0.2], last) == ((32, 50), 40)
    assert found([0.5, 0.9, 0.89, 0.88], last) == ((8, 50), 50)  # 50 is stable, too
    assert found(last, [0.5, 0.9, 0.9, 0.2]) == ((8, 50), 20)  # the fewest of equals


def test_few_tracklets_speak_for_nothing() -> None:
    v, halves = planted(0.1)
    with pytest.raises(ValueError, match=r"7 tracklets: .* from 8 on"):
        count_classes(v[:7], halves[:, :7])
    assert count_classes(v[:8], halves[:, :8]).classes.tolist() == [2, 3, 4, 5, 6]

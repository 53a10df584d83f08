"""What merges joined: a hand-made history, and sums that must hold for any."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.joins import StepJoins, count_joins

IDENTITIES = np.array([1, 1, 1, 2, 2, 3])
CAMERAS = np.array([1, 1, 2, 1, 2, 2])


def test_by_hand():
    history = [
        np.array([0, 0, 1, 2, 2, 3]),  # 1+1 in one camera; 2+2 across cameras
        np.array([0, 0, 0, 1, 1, 1]),  # 1+1 across cameras; 2+3 across cameras
        np.array([0, 0, 0, 0, 0, 0]),
    ]
    assert count_joins(history, IDENTITIES, CAMERAS) == [
        StepJoins(1, right=2, wrong=0, same_camera=1, cross_camera=1),
        StepJoins(2, right=1, wrong=1, same_camera=0, cross_camera=2),
        StepJoins(3, right=0, wrong=1, same_camera=0, cross_camera=1),
    ]


def test_three_classes_into_one_are_two_joins():
    (one,) = count_joins([np.array([0, 0, 0, 1, 2, 3])], IDENTITIES, CAMERAS)
    assert (one.right, one.wrong, one.same_camera) == (2, 0, 1)


@pytest.mark.parametrize("seed", range(4))
def test_joins_are_as_many_as_classes_vanished(seed: int):
    rng = np.random.default_rng(seed)
    n, labels, history = 40, np.arange(40), []
    for _ in range(5):
        a, b = rng.choice(np.unique(labels), (2, 3))
        for kept, gone in zip(a, b, strict=True):
            labels = np.where(labels == gone, kept, labels)
        _, renamed = np.unique(labels, return_inverse=True)
        history.append(renamed)
    before = n
    for found, now in zip(
        count_joins(history, rng.integers(1, 5, n), rng.integers(1, 3, n)), history, strict=True
    ):
        assert found.right + found.wrong == found.same_camera + found.cross_camera == before - (now.max() + 1)
        before = now.max() + 1

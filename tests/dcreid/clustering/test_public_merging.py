"""With the options that stand for them, merges make the classes of BUC's and of DBC's public code."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from drawn_classes import together, unit_features
from public_merging import buc_merge, dbc_merge

from dcreid.clustering import merge_labels
from dcreid.config import MergeConfig

N, M, STEPS = 32, 4, 7
Merge = Callable[[np.ndarray, list[int], int, float], list[int]]


def buc(weight: float) -> MergeConfig:
    """BUC's merge: λ of its own on the sizes, none on the dispersions."""
    return MergeConfig(lambda1=0.0, lambda2=weight, distance="squared", linkage="nearest", method="once")


def dbc(weight: float) -> MergeConfig:
    """DBC's merge: its λ on the dispersions, which its code computes and does not apply (0)."""
    return MergeConfig(lambda1=weight, lambda2=0.0, intra="pairs", distance="squared", method="star")


CODES = {"buc": (buc_merge, buc, (0.0, 0.003, 0.05)), "dbc": (dbc_merge, dbc, (0.0, 0.1, 2.0))}
CASES = [(name, weight) for name, (_, _, weights) in CODES.items() for weight in weights]


def assert_the_same_steps(
    features: torch.Tensor, theirs: Merge, merge: MergeConfig, weight: float
) -> list[int]:
    """Of `STEPS` merges in a row; returns the last labels."""
    labels, expected = torch.arange(len(features)), list(range(len(features)))
    for _ in range(STEPS):
        labels = merge_labels(features, labels, merge, M)
        expected = theirs(features.numpy(), expected, M, weight)
        assert (together(labels) == together(np.array(expected))).all()
    return labels.tolist()


@pytest.mark.parametrize(("name", "weight"), CASES)
def test_steps_in_a_row_are_those_of_the_public_code(name: str, weight: float):
    theirs, config, _ = CODES[name]
    for seed in range(10):
        assert_the_same_steps(unit_features(N, seed), theirs, config(weight), weight)


@pytest.mark.parametrize("name", CODES)
def test_each_way_differs_from_the_others_and_from_the_papers(name: str):
    theirs, config, weights = CODES[name]
    of_weights = [assert_the_same_steps(unit_features(N, 0), theirs, config(w), w) for w in weights]
    assert of_weights[0] != of_weights[-1]
    swapped = dict(zip(CODES, reversed(CODES), strict=True))[name]
    other = CODES[swapped][1](weights[1])
    for merge in (other, MergeConfig()):
        with pytest.raises(AssertionError):
            assert_the_same_steps(unit_features(N, 0), theirs, merge, weights[1])


@pytest.mark.parametrize(("name", "weight"), CASES)
def test_equal_distances_agree_once_they_are_made_distinct(name: str, weight: float):
    """Where costs are equal NumPy's sort decides in theirs, and the order of classes in ours."""
    theirs, config, _ = CODES[name]
    grid = torch.cartesian_prod(torch.arange(6.0), torch.arange(6.0)).double()
    for seed in range(6):
        moved = grid + 1e-3 * unit_features(len(grid), seed, d=2)
        assert_the_same_steps(moved, theirs, config(weight), weight)


@pytest.mark.parametrize("name", CODES)
def test_of_equal_costs_the_first_classes_join_first(name: str):
    features = torch.zeros(6, 2, dtype=torch.float64)
    labels = merge_labels(features, torch.arange(6), CODES[name][1](0.0), 2)
    assert labels.tolist() == [0, 0, 0, 1, 2, 3]

"""Features of tracklets: means over frames."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from tiny_runs import dataset, tiny

from dcreid.algorithm import Algorithm
from dcreid.data.augmentation import normalise
from dcreid.data.sampling import evenly_spaced
from dcreid.data.store import FrameStore
from dcreid.network.backbone import notes_on_backbone


@pytest.mark.parametrize("most", [0, 2])
def test_features_are_means_over_frames_whatever_the_batch(most: int) -> None:
    config = tiny()
    algorithm = Algorithm(config, dataset(config))
    large = algorithm.network.pooled_features(algorithm.store, most_frames=most)
    small_batches = algorithm.network.pooled_features(algorithm.store, most_frames=most, batch=5)
    torch.testing.assert_close(large, small_batches, rtol=1e-4, atol=1e-5)
    rows, kept = evenly_spaced(algorithm.store, most)
    algorithm.network.backbone.eval()
    with torch.no_grad():
        frames = normalise(algorithm.store.frames[torch.from_numpy(rows)], channels_last=True)
        each = algorithm.network.backbone(frames).double()
    start = 0
    for mean, count in zip(large, kept, strict=True):
        torch.testing.assert_close(mean.double(), each[start : start + count].mean(0), rtol=1e-4, atol=1e-5)
        start += count


def _unit(v: np.ndarray) -> np.ndarray:
    return v / (np.linalg.norm(v) or 1)


@pytest.mark.parametrize("most", [0, 4])
def test_halves_and_thirds_are_of_the_frames_whose_middle_lies_in_them(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every frame is one number, which says what its feature is."""
    config = tiny()
    network = Algorithm(config, dataset(config)).network
    counts = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13])
    frames = torch.arange(counts.sum(), dtype=torch.uint8)[:, None, None, None].expand(-1, 8, 4, 3)
    store = FrameStore(frames.contiguous(), np.cumsum(counts) - counts, counts)
    drawn = torch.from_numpy(np.random.default_rng(0).normal(size=(len(frames), network.backbone.dim)))
    monkeypatch.setattr(network, "frame_features", lambda frames: drawn[frames[:, 0, 0, 0].long()].float())
    found = network.tracklet_features(store, most_frames=most, batch=4)
    rows, kept = evenly_spaced(store, most)
    start = 0
    for tracklet, count in enumerate(kept):
        own = drawn[torch.from_numpy(rows[start : start + count])].numpy()
        start += count
        middles = [Fraction(2 * place + 1, 2 * int(count)) for place in range(count)]

        def mean(low: Fraction, high: Fraction, own=own, middles=middles) -> np.ndarray:
            inside = [f for f, middle in zip(own, middles, strict=True) if low <= middle < high]
            return _unit(np.sum(inside, axis=0)) if inside else np.zeros(own.shape[1])

        half, third = Fraction(1, 2), Fraction(1, 3)
        halves, ends = (
            [mean(Fraction(0), half), mean(half, Fraction(1))],
            [mean(Fraction(0), third), mean(2 * third, Fraction(1))],
        )
        if count == 1:  # the same in both halves, and no thirds
            halves, ends = [_unit(own[0])] * 2, [np.zeros(own.shape[1])] * 2
        np.testing.assert_allclose(found.pooled[tracklet], own.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(found.halves[:, tracklet], halves, atol=1e-5)
        np.testing.assert_allclose(found.ends[:, tracklet], ends, atol=1e-5)
        assert count == 1 or all(math.isclose(np.linalg.norm(end), 1) for end in ends)  # none is empty


def test_a_run_says_that_the_statistics_of_random_weights_are_those_of_no_data() -> None:
    frozen = tiny(**{"model.batch_norm": "frozen", "model.weights": "none"})
    (line,) = Algorithm(frozen, dataset(frozen)).problems
    assert line.startswith("model.batch_norm = frozen with model.weights = none: ")
    assert notes_on_backbone(tiny(**{"model.batch_norm": "frozen", "model.weights": "imagenet"})) == ()
    assert notes_on_backbone(tiny(**{"model.batch_norm": "adapt", "model.weights": "none"})) == ()

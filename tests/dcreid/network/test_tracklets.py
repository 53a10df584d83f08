"""Features of tracklets: means over frames."""

from __future__ import annotations

import pytest
import torch
from tiny_runs import dataset, tiny

from dcreid.algorithm import Algorithm
from dcreid.data.augmentation import normalise
from dcreid.data.sampling import evenly_spaced
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


def test_a_run_says_that_the_statistics_of_random_weights_are_those_of_no_data() -> None:
    frozen = tiny(**{"model.batch_norm": "frozen", "model.weights": "none"})
    (line,) = Algorithm(frozen, dataset(frozen)).problems
    assert line.startswith("model.batch_norm = frozen with model.weights = none: ")
    assert notes_on_backbone(tiny(**{"model.batch_norm": "frozen", "model.weights": "imagenet"})) == ()
    assert notes_on_backbone(tiny(**{"model.batch_norm": "adapt", "model.weights": "none"})) == ()

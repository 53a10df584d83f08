"""Frames from the store to the device: whole epochs, and runs of frames."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dcreid.data.loading import frame_runs, training_batches
from dcreid.data.store import FrameStore

CPU = torch.device("cpu")


def numbered_store(lengths: list[int], h: int = 4, w: int = 2) -> FrameStore:
    """Frame k is filled with the number k."""
    total = sum(lengths)
    frames = torch.arange(total, dtype=torch.uint8)[:, None, None, None].expand(total, h, w, 3).contiguous()
    sizes = np.array(lengths, dtype=np.int64)
    return FrameStore(frames, np.cumsum(sizes) - sizes, sizes)


def test_an_epoch_shows_every_tracklet_once_with_its_own_frames() -> None:
    store = numbered_store([3, 1, 5, 2, 7, 4, 6])
    seen = []
    for frames, tracklets in training_batches(
        store, batch_size=3, frames=4, sampling="segments", rng=np.random.default_rng(1), device=CPU
    ):
        assert frames.shape == (len(tracklets), 4, 4, 2, 3)
        for pictures, tracklet in zip(frames, tracklets.tolist(), strict=True):
            rows = pictures[:, 0, 0, 0].numpy()
            start = store.starts[tracklet]
            assert (rows >= start).all() and (rows < start + store.lengths[tracklet]).all()
        seen += tracklets.tolist()
    assert sorted(seen) == list(range(7)) and seen != list(range(7))


@pytest.mark.parametrize("sampling", ["segments", "random"])
def test_many_epochs_show_every_frame(sampling: str) -> None:
    store, rng, seen = numbered_store([3, 1, 9, 5]), np.random.default_rng(0), set()
    for _ in range(40):
        for frames, _ in training_batches(
            store, batch_size=2, frames=2, sampling=sampling, rng=rng, device=CPU
        ):
            seen |= set(frames[:, :, 0, 0, 0].flatten().tolist())
    assert seen == set(range(18))


def test_runs_cover_the_rows_in_order() -> None:
    store = numbered_store([3, 1, 5, 2])
    rows = np.array([0, 1, 2, 3, 7, 8, 10])
    runs = list(frame_runs(store, rows, 2, CPU))
    assert [len(run) for run in runs] == [2, 2, 2, 1]
    assert torch.cat(runs)[:, 0, 0, 0].tolist() == rows.tolist()


def test_a_failing_load_reaches_the_caller() -> None:
    store = numbered_store([3])
    with pytest.raises(IndexError):
        list(frame_runs(store, np.array([0, 9]), 2, CPU))

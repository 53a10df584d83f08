"""Frames from the store to the device: whole epochs, and runs of frames."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dcreid.data.loading import frame_runs, training_batches
from dcreid.data.store import FrameStore
from dcreid.parallel import Ranks

CPU = torch.device("cpu")


def numbered_store(lengths: list[int], h: int = 4, w: int = 2) -> FrameStore:
    """Frame k is filled with the number k."""
    total = sum(lengths)
    frames = torch.arange(total, dtype=torch.uint8)[:, None, None, None].expand(total, h, w, 3).contiguous()
    sizes = np.array(lengths, dtype=np.int64)
    return FrameStore(frames, np.cumsum(sizes) - sizes, sizes)


def test_batches_show_their_tracklets_by_their_own_frames_a_repeated_one_by_others_each_time() -> None:
    store = numbered_store([3, 1, 5, 2, 7, 40, 6])
    plan = [np.array([4, 0, 2]), np.array([5, 5, 5, 1]), np.array([3, 6])]
    shown = list(
        training_batches(store, plan, frames=4, sampling="segments", rng=np.random.default_rng(1), device=CPU)
    )
    assert [tracklets.tolist() for _, tracklets in shown] == [batch.tolist() for batch in plan]
    for frames, tracklets in shown:
        assert frames.shape == (len(tracklets), 4, 4, 2, 3)
        for pictures, tracklet in zip(frames, tracklets.tolist(), strict=True):
            rows = pictures[:, 0, 0, 0].numpy()
            start = store.starts[tracklet]
            assert (rows >= start).all() and (rows < start + store.lengths[tracklet]).all()
    clips = shown[1][0][:3, :, 0, 0, 0]
    assert len({tuple(clip) for clip in clips.tolist()}) == 3


def test_every_rank_reads_its_share_of_a_batch_and_draws_for_all_of_it() -> None:
    store, plan = numbered_store([9, 8, 7, 9]), [np.array([0, 3, 3, 2, 1])]

    def shown(ranks: Ranks) -> tuple[torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng(1)
        (batch,) = training_batches(
            store, plan, frames=2, sampling="random", rng=rng, device=CPU, ranks=ranks
        )
        return batch

    whole, tracklets = shown(Ranks())
    parts = [shown(Ranks(rank, 2)) for rank in range(2)]
    assert torch.equal(torch.cat([frames for frames, _ in parts]), whole)
    assert all(torch.equal(named, tracklets) for _, named in parts)


@pytest.mark.parametrize("sampling", ["segments", "random"])
def test_many_epochs_show_every_frame(sampling: str) -> None:
    store, rng, seen = numbered_store([3, 1, 9, 5]), np.random.default_rng(0), set()
    for _ in range(40):
        for frames, _ in training_batches(
            store, [np.arange(4)], frames=2, sampling=sampling, rng=rng, device=CPU
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

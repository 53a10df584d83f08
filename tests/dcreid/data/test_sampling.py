"""Which frames are drawn, which are evenly spaced, and the batches of an epoch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dcreid.data.sampling import batches_of, evenly_spaced, sample_frames
from dcreid.data.store import FrameStore


@given(
    st.lists(st.integers(1, 900), min_size=1, max_size=20),
    st.integers(1, 16),
    st.sampled_from(["segments", "random"]),
    st.integers(0, 9),
)
def test_drawn_frames_lie_in_their_tracklet_in_time_order(
    lengths: list[int], count: int, sampling: str, seed: int
) -> None:
    sizes = np.array(lengths)
    drawn = sample_frames(sizes, count, sampling, np.random.default_rng(seed))
    assert drawn.shape == (len(lengths), count)
    assert (drawn >= 0).all() and (drawn < sizes[:, None]).all()
    assert (np.diff(drawn, axis=1) >= 0).all()


def test_segments_draw_one_frame_from_each_part() -> None:
    rng = np.random.default_rng(0)
    drawn = np.stack([sample_frames(np.array([40]), 4, "segments", rng)[0] for _ in range(500)])
    for part in range(4):
        assert set(drawn[:, part]) == set(range(10 * part, 10 * part + 10))


@pytest.mark.parametrize("sampling", ["segments", "random"])
def test_every_tracklet_draws_for_itself(sampling: str) -> None:
    drawn = sample_frames(np.full(2000, 40), 4, sampling, np.random.default_rng(0))
    assert len(np.unique(drawn, axis=0)) > 1500
    # 8,000 frames of 40: 200 times each, give or take four deviations of 14.
    assert np.abs(np.bincount(drawn.ravel(), minlength=40) - 200).max() < 56


def test_unknown_sampling_is_refused() -> None:
    with pytest.raises(ValueError, match="segments or random"):
        sample_frames(np.array([3]), 2, "first", np.random.default_rng(0))


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.integers(0, 20))
def test_evenly_spaced_frames(lengths: list[int], most: int) -> None:
    store = FrameStore(
        torch.zeros(sum(lengths), 1, 1, 3, dtype=torch.uint8),
        np.cumsum(lengths) - lengths,
        np.array(lengths, dtype=np.int64),
    )
    rows, kept = evenly_spaced(store, most)
    assert kept.tolist() == [min(length, most) if most else length for length in lengths]
    position = 0
    for start, length, count in zip(store.starts, lengths, kept, strict=True):
        own = rows[position : position + count] - start
        position += count
        assert len(set(own)) == count and own.min() >= 0 and own.max() < length
        assert abs((own.mean() + 0.5) - length / 2) <= 0.5 + 1e-9  # centred
        if count > 1:
            assert np.diff(own).max() - np.diff(own).min() <= 1


@given(st.integers(1, 200), st.integers(2, 64))
def test_batches_hold_everything_and_none_holds_one(n: int, size: int) -> None:
    batches = batches_of(np.arange(n), size)
    assert np.concatenate(batches).tolist() == list(range(n))
    assert n == 1 or min(len(batch) for batch in batches) > 1

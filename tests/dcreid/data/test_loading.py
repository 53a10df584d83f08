"""Frames from the store to the network: drawing, order, augmentation, normalisation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dcreid.data.loading import (
    augment,
    batches_of,
    evenly_spaced,
    frame_runs,
    normalise,
    sample_frames,
    training_batches,
)
from dcreid.data.store import FrameStore

CPU = torch.device("cpu")


def numbered_store(lengths: list[int], h: int = 4, w: int = 2) -> FrameStore:
    """Frame k is filled with the number k."""
    total = sum(lengths)
    frames = torch.arange(total, dtype=torch.uint8)[:, None, None, None].expand(total, h, w, 3).contiguous()
    sizes = np.array(lengths, dtype=np.int64)
    return FrameStore(frames, np.cumsum(sizes) - sizes, sizes)


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


def test_augmentation_moves_and_mirrors_whole_tracklets() -> None:
    h, w = 10, 6
    picture = torch.arange(h * w, dtype=torch.uint8).view(1, 1, h, w, 1).expand(8, 2, h, w, 3)
    plain = augment(picture, flip=0.0, shift=0.0, rng=np.random.default_rng(0))
    assert torch.equal(plain, picture)
    mirrored = augment(picture, flip=1.0, shift=0.0, rng=np.random.default_rng(0))
    assert torch.equal(mirrored, picture.flip(3))
    moved = augment(picture, flip=0.5, shift=0.2, rng=np.random.default_rng(0))
    padded = torch.nn.functional.pad(
        picture[0, 0].permute(2, 0, 1)[None].float(), (1, 1, 2, 2), mode="replicate"
    )[0].permute(1, 2, 0)
    windows = [padded[y : y + h, x : x + w].byte() for y in range(5) for x in range(3)]
    windows += [window.flip(1) for window in windows]
    for tracklet in moved:
        assert torch.equal(tracklet[0], tracklet[1])
        assert any(torch.equal(tracklet[0], window) for window in windows)
    assert len({tracklet.numpy().tobytes() for tracklet in moved}) > 3


def test_every_shift_and_its_mirror_image_come_equally_often() -> None:
    h, w, n = 10, 6, 6000
    picture = torch.arange(h * w, dtype=torch.uint8).view(1, 1, h, w, 1).expand(n, 1, h, w, 3)
    moved = augment(picture, flip=0.5, shift=0.2, rng=np.random.default_rng(0))
    counts: dict[tuple[int, int, bool], int] = {}
    for (shown,) in moved[..., 0].numpy():
        mirrored = bool(shown[4, 2] > shown[4, 3])
        centre = divmod(int(shown[4, 3 if mirrored else 2]), w)  # row and column that came to (4, 2)
        key = (centre[0] - 4, centre[1] - 2, mirrored)
        counts[key] = counts.get(key, 0) + 1
    # Two rows and one column each way: 5 * 3 * 2 pictures, 200 times each, give or take four deviations.
    assert set(counts) == {(y, x, m) for y in range(-2, 3) for x in (-1, 0, 1) for m in (False, True)}
    assert max(abs(count - n / 30) for count in counts.values()) < 56


@pytest.mark.parametrize("channels_last", [True, False])
def test_normalisation_is_torchvisions(channels_last: bool) -> None:
    from torchvision.transforms.functional import normalize, to_tensor

    frames = torch.randint(0, 256, (3, 5, 4, 3), dtype=torch.uint8)
    ours = normalise(frames, channels_last)
    theirs = torch.stack(
        [normalize(to_tensor(f.numpy()), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]) for f in frames]
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    assert ours.is_contiguous(memory_format=layout)

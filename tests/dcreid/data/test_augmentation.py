"""Frames cropped, mirrored, shifted and normalised."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.transforms.functional import normalize, to_tensor

from dcreid.data.augmentation import augment, normalise


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


# --- choices beside those of the paper

OFF: dict[str, Any] = {"flip": 0.0, "shift": 0.0}
ALL: dict[str, Any] = {"flip": 0.5, "shift": 0.2, "crop": 0.5}


def noise(b: int, f: int, h: int, w: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).integers(0, 256, (b, f, h, w, 3)).astype(np.uint8))


def ramps(b: int, f: int, h: int, w: int) -> torch.Tensor:
    """The first colour is 4 × the row, the second 4 × the column, the third 7: what is seen says where."""
    frame = np.stack(np.broadcast_arrays(4 * np.arange(h)[:, None], 4 * np.arange(w), np.array(7)), axis=-1)
    return torch.from_numpy(frame.astype(np.uint8)).expand(b, f, h, w, 3)


def test_without_the_choices_pixels_and_random_numbers_are_those_of_every_version() -> None:
    for share, digest in ((slice(None), "11fc221c13eb6b80"), (slice(1, 3), "4abffd0fcd4dc90b")):
        rng = np.random.default_rng(0)
        moved = augment(noise(5, 2, 10, 6)[share], 0.5, 0.2, rng, batch=5, share=share)
        assert hashlib.sha256(moved.contiguous().numpy().tobytes()).hexdigest()[:16] == digest
        assert rng.integers(1000) == 277


@pytest.mark.parametrize("per", ["tracklet", "frame"])
def test_a_share_is_varied_as_in_the_whole_batch(per: str) -> None:
    frames = noise(6, 3, 20, 10)
    rngs = [np.random.default_rng(0) for _ in range(4)]
    whole = augment(frames, **ALL, per=per, rng=rngs[0])
    for rng, share in zip(rngs[1:], (slice(0, 2), slice(2, 6), slice(6, 6)), strict=True):
        own = augment(frames[share], **ALL, per=per, rng=rng, batch=6, share=share)
        assert torch.equal(own, whole[share])
    assert len({rng.integers(2**60) for rng in rngs}) == 1


@pytest.mark.parametrize("choice", [{"flip": 0.5}, {"shift": 0.3}, {"crop": 0.3}], ids=str)
def test_frames_are_varied_alike_or_each_for_itself(choice: dict[str, float]) -> None:
    frames = noise(40, 1, 24, 12).expand(40, 4, 24, 12, 3)
    alike = augment(frames, **(OFF | choice), per="tracklet", rng=np.random.default_rng(0))
    assert all(torch.equal(tracklet[0], frame) for tracklet in alike for frame in tracklet)
    assert sum(torch.equal(*pair) for pair in zip(alike[:, 0], frames[:, 0], strict=True)) < 35
    each = augment(frames, **(OFF | choice), per="frame", rng=np.random.default_rng(0))
    differ = [not torch.equal(tracklet[0], tracklet[1]) for tracklet in each]
    assert sum(differ) > 10
    # A tracklet of one frame cannot tell: 160 frames for themselves are 160 tracklets.
    single = augment(frames.reshape(160, 1, 24, 12, 3), **(OFF | choice), rng=np.random.default_rng(0))
    assert torch.equal(each.reshape(single.shape), single)


def resized(frame: np.ndarray, top: int, left: int, height: int, width: int) -> np.ndarray:
    """A window of a frame (h, w, 3) resized to it: bilinear between pixel centres, in float64."""
    h, w, _ = frame.shape
    window, out = frame[top : top + height, left : left + width].astype(np.float64), np.empty(frame.shape)
    for y in range(h):
        for x in range(w):
            v = min(max((y + 0.5) * height / h - 0.5, 0), height - 1)
            u = min(max((x + 0.5) * width / w - 0.5, 0), width - 1)
            i, j = int(v), int(u)
            k, m = min(i + 1, height - 1), min(j + 1, width - 1)
            upper = window[i, j] * (j + 1 - u) + window[i, m] * (u - j)
            lower = window[k, j] * (j + 1 - u) + window[k, m] * (u - j)
            out[y, x] = upper * (i + 1 - v) + lower * (v - i)
    return out


def test_a_crop_is_a_window_of_the_frame_resized_bilinearly() -> None:
    """With windows that the test draws itself, as the public code does, from the same numbers."""
    h, w, b = 32, 16, 12
    frames = noise(b, 2, h, w)
    rng = np.random.default_rng(3)
    ours = augment(frames, **OFF, crop=0.4, rng=rng).numpy()
    rng = np.random.default_rng(3)
    rng.random(b), rng.integers(0, 0, b, endpoint=True), rng.integers(0, 0, b, endpoint=True)
    areas, aspects = rng.uniform(0.4, 1, (b, 10)), rng.uniform(2, 3, (b, 10))
    tops, lefts = rng.random((2, b))
    for i in range(b):
        height, width = h, w
        for area, aspect in zip(areas[i] * h * w, aspects[i], strict=True):
            if round((area * aspect) ** 0.5) <= h and round((area / aspect) ** 0.5) <= w:
                height, width = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
                break
        top, left = int(tops[i] * (h - height + 1)), int(lefts[i] * (w - width + 1))
        for frame, seen in zip(frames[i].numpy(), ours[i], strict=True):
            apart = np.abs(seen - resized(frame, top, left, height, width))
            assert apart.max() <= 0.5 + 1e-2  # rounded to the nearest grey level


def test_crops_have_the_areas_and_aspects_asked_for_and_lie_anywhere() -> None:
    h, w, n = 60, 30, 3000
    seen = augment(ramps(n, 1, h, w), **OFF, crop=0.25, rng=np.random.default_rng(0))[:, 0].numpy() / 4
    height = (seen[:, -1, 0, 0] - seen[:, 0, 0, 0]) + 1
    width = (seen[:, 0, -1, 1] - seen[:, 0, 0, 1]) + 1
    area, aspect = height * width / (h * w), height / width
    whole = (height == h) & (width == w)
    assert whole.mean() < 0.05  # hardly any fits in none of ten tries
    assert (area > 0.25 - 0.05).all() and (area <= 1).all()
    assert (aspect[~whole] > 2 - 0.15).all() and (aspect[~whole] < 3 + 0.2).all()
    # Areas up to two thirds fit with every aspect: all are as frequent.
    counts = np.histogram(area, bins=np.linspace(0.27, 0.65, 5))[0]
    assert np.abs(counts / counts.mean() - 1).max() < 0.15
    # Where there is room, a window lies at the top, at the bottom and in between alike.
    room = h - height
    place = seen[:, 0, 0, 0][room >= 10] / room[room >= 10]
    assert abs(place.mean() - 0.5) < 0.03 and place.min() == 0 and place.max() > 0.95


def test_a_frame_that_no_window_fits_stays_whole() -> None:
    frames = noise(8, 1, 16, 64)  # a fifth of it and more, upright, is higher than the frame
    assert torch.equal(augment(frames, **OFF, crop=0.9, rng=np.random.default_rng(0)), frames)


def test_crops_are_mirrored_and_shifted_as_whole_frames_are() -> None:
    """The same draws with and without a mirror or shift."""
    frames, w = noise(6, 1, 20, 10), 10
    plain = augment(frames, 0.0, 0.0, np.random.default_rng(0), crop=0.5)
    mirrored = augment(frames, 1.0, 0.0, np.random.default_rng(0), crop=0.5)
    assert torch.equal(mirrored, plain.flip(3))

    class Always(np.random.Generator):
        """Draws what the seed does, but shifts are the largest times `by`, and take no draw."""

        by = 0

        def integers(self, low: Any, high: Any = None, *, size: Any = None, **_: Any) -> Any:
            return np.full(size, self.by * high)

    plain = augment(frames, 0.0, 0.2, Always(np.random.PCG64(0)), crop=0.5)
    moving = Always(np.random.PCG64(0))
    moving.by = 1
    moved = augment(frames, 0.0, 0.2, moving, crop=0.5)
    down, right = 4, 2
    assert torch.equal(moved[:, :, :-down, :-right], plain[:, :, down:, right:])
    assert torch.equal(moved[:, :, -down:, : w - right], plain[:, :, -1:, right:].expand(-1, -1, 4, -1, -1))


@pytest.mark.parametrize("channels_last", [True, False])
def test_normalisation_is_torchvisions(channels_last: bool) -> None:
    frames = torch.randint(0, 256, (3, 5, 4, 3), dtype=torch.uint8)
    ours = normalise(frames, channels_last)
    theirs = torch.stack(
        [normalize(to_tensor(f.numpy()), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]) for f in frames]
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    assert ours.is_contiguous(memory_format=layout)

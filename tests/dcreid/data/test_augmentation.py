"""Frames mirrored, shifted and normalised."""

from __future__ import annotations

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

"""A picture of a data set: one frame of each person in each camera, or some frames of each tracklet."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor
from torchvision.io import encode_png

from dcreid.data.readers.walk import first_few
from dcreid.data.tracklets import DataError, Split
from dcreid.paths import write_whole

_MOST_PIXELS = 100_000_000
_log = logging.getLogger("dcreid")
_FRAMES = 8  # of a tracklet whose person nobody named


def contact_sheet(split: Split, people: int, height: int, width: int) -> UInt8[Tensor, "3 h w"]:
    """The first `people` identities as columns and cameras as rows, each with the middle frame of their
    first tracklet there, white where there is none; without identities one tracklet a row.

    height, width: pixels of a frame. Raises DataError where the picture would be too large.
    """
    cells = _tracklets(split, people) if split.identities is None else _people(split, people)
    rows, columns = cells.shape
    pixels = rows * height * columns * width
    if pixels > _MOST_PIXELS:
        raise DataError(
            f"--people, --height, --width: a picture of {pixels:,} pixels, of at most {_MOST_PIXELS:,}; "
            "ask for fewer people or smaller frames"
        )
    sheet = np.full((rows, columns, height, width, 3), 255, dtype=np.uint8)
    shown = cells >= 0
    frames, readable = split.frames.read(cells[shown], height, width)
    if not readable.all():
        bad = [split.frames.name(frame) for frame in np.unique(cells[shown][~readable]).tolist()]
        _log.warning("%d frame(s) cannot be read and are grey: %s", len(bad), first_few(bad))
    frames[~readable] = 128
    sheet[shown] = frames
    return torch.from_numpy(sheet.transpose(4, 0, 2, 1, 3).reshape(3, rows * height, columns * width).copy())


def write_sheet(path: Path, split: Split, people: int, height: int, width: int) -> None:
    """Writes `contact_sheet` as PNG, whole or not at all. Raises DataError, and OSError from the disk."""
    if path.is_dir() or not path.parent.is_dir():
        raise DataError(f"--out {path}: not a file in a folder that is there; name one, such as people.png")
    write_whole(path, encode_png(contact_sheet(split, people, height, width)).numpy().tobytes())


def _people(split: Split, people: int) -> Int[np.ndarray, "cameras people"]:
    """Frame of each person in each camera; -1 = never seen there."""
    assert split.identities is not None
    shown = np.unique(split.identities[split.identities > 0])[:people]
    cameras = np.unique(split.cameras)
    cells = np.full((len(cameras), len(shown)), -1, dtype=np.int64)
    middle = split.offsets[:-1] + split.lengths // 2
    for i in reversed(range(len(split))):  # so that the first tracklet stays
        column = np.searchsorted(shown, split.identities[i])
        if column < len(shown) and shown[column] == split.identities[i]:
            cells[np.searchsorted(cameras, split.cameras[i]), column] = middle[i]
    return cells


def _tracklets(split: Split, most: int) -> Int[np.ndarray, "tracklets frames"]:
    """Evenly spaced frames of the first tracklets."""
    share = (np.arange(_FRAMES) + 0.5) / _FRAMES
    starts, lengths = split.offsets[:-1][:most, None], split.lengths[:most, None]
    frames: Int[np.ndarray, "tracklets frames"] = starts + (share * lengths).astype(np.int64)
    return frames

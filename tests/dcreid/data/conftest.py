"""Tiny data sets of random colours, written in each layout that the readers know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from torchvision.io import encode_jpeg

# (identity, camera, frames) of the tracklets that the official MARS below holds.
MARS_TRAIN = ((1, 1, 3), (1, 2, 2), (3, 1, 4))
MARS_TEST = ((-1, 1, 1), (0, 2, 2), (2, 1, 3), (2, 3, 2), (4, 1, 2), (4, 1, 2))
MARS_QUERY = (3, 5)  # rows of the test tracklets, from 1: identity 2 in camera 1, identity 4 in camera 1

Write = Callable[[Path], Path]


def _jpeg(seed: int) -> bytes:
    pixels = torch.randint(
        0, 256, (3, 16, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )
    return bytes(encode_jpeg(pixels).numpy().tobytes())


_JPEGS = [_jpeg(seed) for seed in range(8)]


@pytest.fixture(scope="session")
def jpeg() -> bytes:
    """One JPEG file, 16 × 8 pixels."""
    return _JPEGS[0]


@pytest.fixture(scope="session")
def write_frames() -> Callable[..., None]:
    """`write_frames(folder, names)` makes the folder with one JPEG per name."""
    return _write_frames


def _write_frames(folder: Path, names: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for place, name in enumerate(names):
        (folder / name).write_bytes(_JPEGS[(len(folder.parts) + place) % len(_JPEGS)])


def _mars_name(identity: int, camera: int, tracklet: int, frame: int) -> str:
    person = "00-1" if identity == -1 else f"{identity:04d}"
    return f"{person}C{camera}T{tracklet:04d}F{frame:03d}.jpg"


@pytest.fixture
def official_mars(tmp_path: Path) -> Path:
    """`MARS_TRAIN`, `MARS_TEST` and `MARS_QUERY` in the official layout."""
    root = tmp_path / "MARS"
    (root / "info").mkdir(parents=True)
    for part, tracks in (("train", MARS_TRAIN), ("test", MARS_TEST)):
        names, rows = [], []
        for tracklet, (identity, camera, length) in enumerate(tracks, start=1):
            rows.append((len(names) + 1, len(names) + length, identity, camera))
            frames = [_mars_name(identity, camera, tracklet, frame) for frame in range(1, length + 1)]
            _write_frames(root / f"bbox_{part}" / frames[0][:4], frames)
            names += frames
        (root / "info" / f"{part}_name.txt").write_text("\n".join(names) + "\n")
        table = {f"track_{part}_info": np.array(rows, dtype=np.int32)}
        scipy.io.savemat(root / "info" / f"tracks_{part}_info.mat", table, do_compression=True)
    scipy.io.savemat(root / "info" / "query_IDX.mat", {"query_IDX": np.array([MARS_QUERY], dtype=np.uint16)})
    return root


@pytest.fixture
def split_mars(tmp_path: Path) -> Path:
    """MARS in BUC's layout: junk 999, distractors 1000, identity 1001 queried and in the gallery."""
    root = tmp_path / "mars"
    for folder, person, camera in (
        ("train_split/0001/00001", 1, 1),
        ("train_split/0003/00002", 3, 2),
        ("query_split/1001/00005", 2, 1),
        ("gallery_split/0999/00003", -1, 1),
        ("gallery_split/1000/00004", 0, 2),
        ("gallery_split/1001/00006", 2, 3),
    ):
        _write_frames(root / folder, [_mars_name(person, camera, 1, frame) for frame in (1, 2)])
    return root


@pytest.fixture(params=["_", ""], ids=["underscores", "plain"])
def duke(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """DukeMTMC-VideoReID in both spellings; the query tracklet is part of the gallery."""
    root = tmp_path / "DukeMTMC-VideoReID"
    for folder, camera in (
        ("train/0001/0001", 1),
        ("train/0001/0002", 6),
        ("train/0005/0001", 2),
        ("query/0002/0003", 6),
        ("gallery/0002/0003", 6),
        ("gallery/0002/0004", 1),
        ("gallery/0007/0001", 2),
    ):
        person, gap = folder.split("/")[1], request.param
        names = [f"{person}{gap}C{camera}{gap}F{frame:04d}{gap}X{30 + frame}.jpg" for frame in (1, 2, 3)]
        _write_frames(root / folder, names)
    return root


@pytest.fixture
def user_folder(tmp_path: Path) -> Path:
    """A user's own tracklets, without any identity."""
    root = tmp_path / "shop"
    for tracklet, length in (("C1_0002", 2), ("C1_0010", 11), ("C2_0001", 3)):
        _write_frames(root / "train" / tracklet, [f"{frame}.jpg" for frame in range(1, length + 1)])
    return root


@pytest.fixture
def labelled_folder(user_folder: Path) -> Path:
    """The same with query/ and gallery/, people known by name."""
    _write_frames(user_folder / "query" / "ann" / "cam1_a", ["1.jpg", "2.jpg"])
    _write_frames(user_folder / "gallery" / "ann" / "cam1_a", ["1.jpg", "2.jpg"])
    _write_frames(user_folder / "gallery" / "ann" / "cam2_b", ["1.jpg"])
    _write_frames(user_folder / "gallery" / "bob" / "cam2_c", ["1.jpg"])
    return user_folder

"""Tracklets that a command is given: a folder of them, one of them, an image, or a part of a data set.

A folder that holds frames is a tracklet, however deep it lies; one image is a tracklet of one frame. Cameras
are read from names as in a user's own data set (`readers/folder.py`). `FOLDER:query` is a part of the data
set in FOLDER, whatever its layout, with its identities; `synthetic:query` one of the embedded data set.
"""

from __future__ import annotations

import os
from pathlib import Path

from dcreid.config import DataConfig, SyntheticConfig
from dcreid.data import load_dataset
from dcreid.data.readers.folder import unlabelled_split
from dcreid.data.readers.layout import check_layout, guess_layout
from dcreid.data.readers.walk import IMAGE_SUFFIXES, TrackletFolder, frames_in, walk_any_depth
from dcreid.data.tracklets import DataError, Split, TrackletDataset
from dcreid.paths import user_path

_PARTS = ("train", "query", "gallery")


def read_tracklets(given: str, synthetic: SyntheticConfig | None = None) -> Split:
    """The tracklets, in natural order of their names. Raises DataError; ConfigError for what is no path.

    synthetic: what `synthetic:query` and its like are of; None = as by default.
    """
    path = user_path("folder of tracklets", given).absolute()
    root, _, part = given.rpartition(":")
    if part in _PARTS and root and not os.path.lexists(path):
        if root == "synthetic":
            drawn = DataConfig(synthetic=synthetic or SyntheticConfig())
            return _part_of(load_dataset(drawn, None), root, part)
        folder = user_path("folder of the data set", root)
        layout = guess_layout(folder)
        check_layout(folder, layout)
        return _part_of(load_dataset(DataConfig(dataset=layout), folder), root, part)
    return unlabelled_split(given, *_found(path))


def _found(path: Path) -> tuple[Path, list[TrackletFolder]]:
    """(root, tracklets below it)."""
    if path.is_file():
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            raise DataError(f"{path}: not an image ({', '.join(IMAGE_SUFFIXES)}), nor a folder of tracklets")
        return path.parent.parent, [TrackletFolder("", "", path.parent.name, (path.name,))]
    if not path.is_dir():
        raise DataError(
            f"{path}: no such folder or image (parts of a data set are FOLDER:train, FOLDER:query and "
            "FOLDER:gallery)"
        )
    if frames := frames_in(path):
        return path.parent, [TrackletFolder("", "", path.name, frames)]
    there = _PARTS if guess_layout(path) == "mars" else [part for part in _PARTS if (path / part).is_dir()]
    if there:
        parts = " or ".join(f"{path}:{part}" for part in there)
        raise DataError(f"{path}: a whole data set; give a part of it: {parts}")
    found = [tracklet for tracklet in walk_any_depth(path, "") if tracklet.frames]
    if not found:
        raise DataError(f"{path}: no images ({', '.join(IMAGE_SUFFIXES)}) in the folders there")
    return path, found


def _part_of(data: TrackletDataset, root: str, part: str) -> Split:
    if part == "train":
        return data.train
    if data.test is None:
        raise DataError(f"{root}: has no {part} part; give {root}:train, or a folder of tracklets")
    return data.test.of_rows(data.query if part == "query" else data.gallery, f"{data.name} {part}")

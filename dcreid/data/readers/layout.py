"""Which data set a folder holds, from the names in it alone: for messages and for `inspect`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from dcreid.data.readers.duke import parse_name
from dcreid.data.readers.walk import IMAGE_SUFFIXES, in_order, scan
from dcreid.data.tracklets import DataError

# What lies below the root of a data set, for messages.
LAYOUTS = {
    "mars": "bbox_train/ bbox_test/ info/ as its makers ship it, or train_split/ query_split/ gallery_split/",
    "duke": "train/ query/ gallery/<identity>/<tracklet>/ with frames such as 0001_C6_F0099_X30823.jpg",
    "folder": "train/<tracklet>/<frames>, and to measure retrieval query/ gallery/<identity>/<tracklet>/",
}

_MARS = {"bbox_train", "bbox_test", "train_split", "query_split", "gallery_split"}
_DUKE = {"train", "query", "gallery"}
_LOOKED_AT = 100  # folders beside a wrong root, and folders on the way to a first frame


def guess_layout(root: Path) -> str:
    """`mars`, `duke`, or `folder` for everything else; raises DataError if `root` cannot be listed."""
    _, folders = scan(root)
    if _MARS & set(folders) or (root / "info" / "tracks_train_info.mat").is_file():
        return "mars"
    if set(folders) >= _DUKE:
        frame = next(_some_frames(root / "query"), None)
        return "duke" if frame and parse_name(frame) else "folder"
    return "folder"


def check_layout(root: Path, dataset: str) -> None:
    """Raises DataError where `root` holds another known data set, or is a folder too high or too low.

    A DukeMTMC-VideoReID may be read as `folder`, whose layout it shares.
    """
    found = guess_layout(root)
    if found != dataset and (found == "mars" or (found, dataset) == ("duke", "mars")):
        raise DataError(f"{root}: holds {found}, not {dataset}; use --dataset {found} or another --data-root")
    if found != "folder" or (root / "train").is_dir():
        return
    below = [(root / name, ("mars", "duke")) for name in in_order(scan(root)[1])[:_LOOKED_AT]]
    for place, data_sets in [*below, (root.resolve().parent, ("mars", dataset))]:
        if os.access(place, os.R_OK) and (known := guess_layout(place)) in data_sets and known != "folder":
            raise DataError(
                f"{root}: {place} holds {known}; give that folder (--data-root, --dataset {known})"
            )


def _some_frames(folder: Path) -> Iterator[str]:
    """Names of frames below a folder, after a bounded look."""
    for _, _, files in islice(os.walk(folder, followlinks=True), _LOOKED_AT):
        yield from (name for name in files if name.lower().endswith(IMAGE_SUFFIXES))

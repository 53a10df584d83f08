"""DukeMTMC-VideoReID as its users hold it: `train/ query/ gallery/<identity>/<tracklet>/<frames>`.

The data set was withdrawn by its makers; it is read where it lies and never fetched. Frame names
come in two spellings, `0001_C6_F0099_X30823.jpg` and `0001C6F0099X30823.jpg`: identity, camera,
frame in the tracklet, frame in the camera's video, which is its clock.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dcreid.data.readers.times import times_in_names
from dcreid.data.readers.walk import (
    TrackletFolder,
    as_split,
    check_root,
    contradictions,
    is_number,
    join_test,
    name_protocol,
    read_labels,
    require,
    walk,
    without_frames,
)
from dcreid.data.tracklets import DataError, Ints, TrackletDataset

_EXAMPLE = "0001_C6_F0099_X30823.jpg or 0001C6F0099X30823.jpg"
_NAME = re.compile(r"([0-9]{1,18})_?C([0-9]{1,18})_?F[0-9]+_?X([0-9]{1,18})\.(?:jpe?g|png)", re.IGNORECASE)


def load_duke(root: Path) -> TrackletDataset:
    """Reads the three folders; raises DataError naming the folder or file that is wrong.

    The gallery is what lies in gallery/. In the original that includes the query tracklets, which
    are then stored once and stand in both lists.
    """
    check_root(root)
    require(root, ("train/", "query/", "gallery/"))
    parts = {part: walk(root, part) for part in ("train", "query", "gallery")}
    for tracklets in parts.values():
        if empty := without_frames(tracklets):
            raise DataError(f"{root}: {empty}; copy them again, or remove those folders")
    test, query, gallery = join_test(parts["query"], parts["gallery"])
    train_identities, train_cameras, train_problems = _labels(root, parts["train"])
    test_identities, test_cameras, test_problems = _labels(root, test)
    train = as_split("train", root, parts["train"], train_cameras, train_identities)
    return TrackletDataset(
        name="DukeMTMC-VideoReID",
        train=dataclasses.replace(train, times=times_in_names(parts["train"], train_cameras, _time)),
        test=as_split("test", root, test, test_cameras, test_identities),
        query=query,
        gallery=gallery,
        protocol=name_protocol("DukeMTMC-VideoReID gallery", query, gallery),
        problems=(*train_problems, *test_problems),
    )


def _labels(root: Path, tracklets: Sequence[TrackletFolder]) -> tuple[Ints, Ints, list[str]]:
    """Identities (from the folders), cameras (from the file names) and problems."""
    named, cameras, problems = read_labels(root, tracklets, parse_name, _EXAMPLE)
    stray = next((tracklet for tracklet in tracklets if not is_number(tracklet.identity)), None)
    if stray is not None:
        raise DataError(
            f"{root / stray.part / stray.identity}: identity folders are named by number; move others away"
        )
    identities = np.array([int(tracklet.identity) for tracklet in tracklets], dtype=np.int64)
    wrong = [
        f"{tracklet.folder}/{tracklet.frames[0]}"
        for tracklet, differs in zip(tracklets, named != identities, strict=True)
        if differs
    ]
    problems += contradictions(root, wrong, len(tracklets), "frames named after another identity")
    return identities, cameras, problems


def parse_name(name: str) -> tuple[int, int] | None:
    """(identity, camera) of a frame's file name; None where it follows neither spelling."""
    match = _NAME.fullmatch(name)
    return (int(match[1]), int(match[2])) if match else None


def _time(name: str) -> int | None:
    match = _NAME.fullmatch(name)
    return int(match[3]) if match else None

"""A user's own video tracklets: `<root>/train/<tracklet>/<frames>`, without any identity.

Below `train/` (or below the root itself, where there are no `train/ query/ gallery/`) every folder
that holds frames is a tracklet, however deep it lies: `train/camera1/monday/0007/` is one.

To measure retrieval as well, `query/` and `gallery/` hold `<identity>/<tracklet>/<frames>` with the
camera in the name of the tracklet or of its first frame: `C2_0007/`, `cam2/`, `0001C2F003.jpg`. Training
tracklets need no camera; where one has none, nothing acts per camera (`dcreid/data/cameras.py`).

Frames are in natural order of their names, frame 9 before frame 10, which should be that of time. Where the
names of training frames also tell when the camera saw them, as a number of its video, classes are checked
for people that it saw at the same time: `F<frame>` or `f<frame>`, as in DukeMTMC-reID's
`0005_c2_f0046985.jpg`, or `X<frame>`, which goes before; behind the camera where both are in the frame's
name. All names must have it, and numbers that begin anew in each tracklet are none (`times_in_names`).
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dcreid.data.readers.times import times_in_names
from dcreid.data.readers.walk import (
    TrackletFolder,
    as_split,
    check_root,
    is_number,
    join_test,
    name_protocol,
    require,
    walk,
    walk_any_depth,
    without_frames,
)
from dcreid.data.tracklets import DISTRACTOR, DataError, Ints, Split, TrackletDataset

_NONE = -1  # no camera in the name
_UNKNOWN_CAMERA = 0  # what stands for it in the training split
# A lower-case c must stand alone (`person_c3_f2`), or words and hexadecimal names would be cameras.
_CAMERA = re.compile(
    r"(?:(?<![A-Za-z])C([0-9]{1,18})|(?<![A-Za-z0-9])c([0-9]{1,18})(?![A-Za-z])"
    r"|(?i:(?<![A-Za-z])cam(?:era)?[ _-]?([0-9]{1,18})))(?![0-9])"
)
# Lower case must stand alone here too; X before F, which counts within the tracklet where there are both.
_TIMES = [
    re.compile(rf"(?:(?<![A-Za-z]){upper}|(?<![A-Za-z0-9]){lower})([0-9]{{1,18}})(?![0-9])")
    for upper, lower in ("Xx", "Ff")
]
_PARTS = ("train", "query", "gallery")


def has_test_split(root: Path) -> bool:
    """Whether there is anything to measure retrieval with, from the names in the folder alone."""
    return any(os.path.isdir(root / part) for part in _PARTS if part != "train")


def load_folder(root: Path) -> TrackletDataset:
    """Reads the tracklets; folders without frames are left out and reported.

    Raises DataError where frames lie at the wrong depth, only some of train/, query/ and gallery/
    are there, or a test tracklet has no camera in its name.
    """
    check_root(root)
    name, parts = root.resolve().name, [part for part in _PARTS if (root / part).is_dir()]
    if parts:
        require(root, ("train/",))
    train, problems = _with_frames(root, walk_any_depth(root, "train" if parts else ""))
    split = unlabelled_split("train", root, train)
    if not has_test_split(root):
        nothing = np.zeros(0, dtype=np.int64)
        return TrackletDataset(name, split, None, nothing, nothing, "no test split", tuple(problems))
    test, query, gallery, more = _read_test(root)
    protocol = name_protocol(f"{name} gallery", query, gallery)
    return TrackletDataset(name, split, test, query, gallery, protocol, (*problems, *more))


def unlabelled_split(name: str, root: Path, tracklets: Sequence[TrackletFolder]) -> Split:
    """Tracklets without identities, with the cameras and times that their names tell."""
    cameras = np.array([_camera(tracklet) for tracklet in tracklets], dtype=np.int64)
    known = cameras != _NONE
    split = as_split(name, root, tracklets, np.where(known, cameras, _UNKNOWN_CAMERA), identities=None)
    times = times_in_names(tracklets, cameras, _time) if known.all() else None
    return dataclasses.replace(split, unknown_cameras=int((~known).sum()), times=times)


def _read_test(root: Path) -> tuple[Split, Ints, Ints, list[str]]:
    require(root, ("query/", "gallery/"))
    query_folders, query_problems = _with_frames(root, walk(root, "query"))
    gallery_folders, gallery_problems = _with_frames(root, walk(root, "gallery"))
    test, query, gallery = join_test(query_folders, gallery_folders)
    cameras = np.array([_camera(tracklet) for tracklet in test], dtype=np.int64)
    for row in np.flatnonzero(cameras == _NONE):
        # With one made-up camera for all, every true match would count as the query's own view.
        raise DataError(
            f"{root / test[row].folder}: no camera in the name of the tracklet or its first frame; "
            "add it to either, as C1, C2, ... or cam1, cam2, ..."
        )
    split = as_split("test", root, test, cameras, _number([tracklet.identity for tracklet in test]))
    return split, query, gallery, query_problems + gallery_problems


def _with_frames(root: Path, tracklets: list[TrackletFolder]) -> tuple[list[TrackletFolder], list[str]]:
    kept = [tracklet for tracklet in tracklets if tracklet.frames]
    if not kept:
        raise DataError(f"{root / tracklets[0].part}: nothing but {without_frames(tracklets)}")
    empty = without_frames(tracklets)
    return kept, [f"left out: {empty}"] if empty else []


def _camera(tracklet: TrackletFolder) -> int:
    match = _CAMERA.search(tracklet.tracklet) or _CAMERA.search(tracklet.frames[0])
    return int(match[match.lastindex or 0]) if match else _NONE


def _time(name: str) -> int | None:
    """The frame number behind the camera, if there is one in the name."""
    camera = _CAMERA.search(name)
    found = (pattern.search(name, camera.end() if camera else 0) for pattern in _TIMES)
    return next((int(match[1]) for match in found if match), None)


def _number(identities: Sequence[str]) -> Ints:
    """Folder names as numbers: their own where all are positive numbers, else 1, 2, ... as sorted."""
    if all(is_number(identity) and int(identity) != DISTRACTOR for identity in identities):
        return np.array([int(identity) for identity in identities], dtype=np.int64)
    number = {identity: place for place, identity in enumerate(sorted(set(identities)), start=1)}
    return np.array([number[identity] for identity in identities], dtype=np.int64)

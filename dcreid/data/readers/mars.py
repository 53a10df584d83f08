"""MARS, as its makers distribute it and as BUC's users hold it.

Official layout: `bbox_train/0001/0001C1T0001F001.jpg` (identity 1, camera 1, tracklet 1, frame 1),
`bbox_test/` alike, and `info/` with the files that `dcreid.data.readers.mars_info` reads.

BUC's layout: `train_split/ query_split/ gallery_split/<identity>/<tracklet>/<frames>`, the test
identities mostly renumbered 999 to 1634, with 999 for junk and 1000 for distractors.

Nothing is decoded here, and no frame is looked up on its own: one directory listing per identity
tells which of the 1.2 million frames are there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dcreid.data.readers.mars_info import (
    EXAMPLE,
    check_ranges,
    parse_name,
    read_names,
    read_query_rows,
    read_tracks,
)
from dcreid.data.readers.walk import (
    TrackletFolder,
    as_split,
    check_root,
    contents,
    contradictions,
    first_few,
    is_number,
    join_test,
    name_protocol,
    read_labels,
    require,
    walk,
    without_frames,
)
from dcreid.data.tracklets import DISTRACTOR, JUNK, DataError, Ints, JpegFrames, Split, TrackletDataset

_OFFICIAL = (
    "bbox_train/",
    "bbox_test/",
    "info/train_name.txt",
    "info/test_name.txt",
    "info/tracks_train_info.mat",
    "info/tracks_test_info.mat",
    "info/query_IDX.mat",
)
_SPLIT_FOLDERS = ("train_split/", "query_split/", "gallery_split/")
_FIRST_RENUMBERED = 999


def load_mars(root: Path) -> TrackletDataset:
    """Reads either layout; raises DataError naming the file that is wrong.

    Junk gets the identity -1 and distractors 0. Frames that are listed but missing are left out and
    counted among the problems, as long as every tracklet keeps a frame.
    """
    check_root(root)
    if any((root / folder).is_dir() for folder in _SPLIT_FOLDERS):
        return _load_split_folders(root)
    return _load_official(root)


def _load_official(root: Path) -> TrackletDataset:
    if not any((root / entry).exists() for entry in ("bbox_train", "bbox_test", "info")):
        raise DataError(
            f"{root}: neither the official layout of MARS (bbox_train/, bbox_test/, info/) nor BUC's "
            f"({', '.join(_SPLIT_FOLDERS)}); found: {contents(root)}"
        )
    require(root, _OFFICIAL)
    train, train_problems = _read_part(root, "train")
    test, test_problems = _read_part(root, "test")
    query, query_problems = read_query_rows(root / "info" / "query_IDX.mat", len(test))
    return TrackletDataset(
        name="MARS",
        train=train,
        test=test,
        query=query,
        gallery=np.arange(len(test), dtype=np.int64),
        protocol=f"MARS official gallery ({len(test):,} rows, junk ignored)",
        problems=(*train_problems, *test_problems, *query_problems),
    )


def _read_part(root: Path, part: str) -> tuple[Split, list[str]]:
    """One part of the official layout: its Split, and what is wrong with it but can be lived with."""
    tracks_file, folder = root / "info" / f"tracks_{part}_info.mat", f"bbox_{part}"
    names, labels = read_names(root / "info" / f"{part}_name.txt")
    tracks = read_tracks(tracks_file)
    check_ranges(tracks, len(names), tracks_file)
    # Frame of the name list, and the track it belongs to, for every frame of every track (F,).
    lengths = tracks[:, 1] - tracks[:, 0] + 1
    owner = np.repeat(np.arange(len(tracks)), lengths)
    frames = np.arange(len(owner)) + np.repeat(tracks[:, 0] - 1 - (np.cumsum(lengths) - lengths), lengths)

    differs = (labels[frames] != tracks[owner, 2:]).any(axis=1)
    first_wrong = np.unique(owner[differs], return_index=True)[1]
    problems = contradictions(
        tracks_file,
        [_below(folder, names[frame]) for frame in frames[differs][first_wrong]],
        len(tracks),
        "identity or camera differ from the names of the frames",
    )
    problems += _uneven_use(tracks_file, folder, names, np.bincount(frames, minlength=len(names)))
    present, more = _compare_with_disk(root, folder, names)
    there = present[frames]
    kept = np.bincount(owner[there], minlength=len(tracks))
    tracklet_names = [names[first - 1].split("F")[0] for first in tracks[:, 0]]
    _check_not_lost(root / folder, tracklet_names, lengths, kept)
    paths = [_below(folder, names[frame]) for frame in frames[there].tolist()]
    offsets = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
    source = JpegFrames(root, paths, offsets[:-1])
    identities, cameras = tracks[:, 2].copy(), tracks[:, 3].copy()
    return Split(part, source, offsets, cameras, identities, tracklet_names), problems + more


def _below(folder: str, name: str) -> str:
    """Path of a frame below the root: the folder of an identity is what its frames' names begin with."""
    return f"{folder}/{name[:4]}/{name}"


def _uneven_use(tracks_file: Path, folder: str, names: Sequence[str], uses: Ints) -> list[str]:
    """Problem lines about listed frames that no track, or more than one, takes in; `uses` is (F,)."""
    return [
        f"{len(lines):,} listed frames belong to {what} of {tracks_file.name}: "
        f"{first_few([_below(folder, names[line]) for line in lines[:3]], len(lines))}"
        for what, lines in (
            ("no track", np.flatnonzero(uses == 0)),
            ("several tracks", np.flatnonzero(uses > 1)),
        )
        if len(lines)
    ]


def _compare_with_disk(root: Path, folder: str, names: Sequence[str]) -> tuple[NDArray[np.bool_], list[str]]:
    """Which of the listed frames are on disk (F,), and the differences in words."""
    present = np.zeros(len(names), dtype=np.bool_)
    lines_of: dict[str, list[int]] = {}
    for line, name in enumerate(names):
        lines_of.setdefault(name[:4], []).append(line)
    extra: list[str] = []
    for person in sorted(lines_of.keys() | set(_listing(root / folder))):
        on_disk = set(_listing(root / folder / person))
        lines = lines_of.get(person, [])
        present[lines] = [names[line] in on_disk for line in lines]
        on_disk.difference_update(names[line] for line in lines)
        extra += [f"{folder}/{person}/{name}" for name in sorted(on_disk) if name.endswith(".jpg")]
    absent = [_below(folder, names[line]) for line in np.flatnonzero(~present).tolist()]
    problems = []
    if absent:
        problems.append(f"{len(absent):,} listed frames are not on disk and left out: {first_few(absent)}")
    if extra:
        problems.append(f"{len(extra):,} frames on disk are in no name list and ignored: {first_few(extra)}")
    return present, problems


def _listing(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror})") from None


def _check_not_lost(folder: Path, names: Sequence[str], lengths: Ints, kept: Ints) -> None:
    lost = np.flatnonzero(kept == 0).tolist()
    if lost:
        first = names[lost[0]]
        raise DataError(
            f"{folder}: {len(lost):,} tracklets have none of their frames on disk: "
            f"{first_few([names[row] for row in lost])}; {folder.name}/{first[:4]}/{first}F*.jpg should be "
            f"{lengths[lost[0]]:,} files; found in {folder.name}/: {contents(folder)} "
            "(an archive unpacked in part, or one folder too deep?)"
        )


def _load_split_folders(root: Path) -> TrackletDataset:
    require(root, _SPLIT_FOLDERS)
    parts = {part: walk(root, part.rstrip("/")) for part in _SPLIT_FOLDERS}
    for tracklets in parts.values():
        if empty := without_frames(tracklets):
            raise DataError(f"{root}: {empty}; copy them again, or remove those folders")
    train_folders = parts["train_split/"]
    test_folders, query, gallery = join_test(parts["query_split/"], parts["gallery_split/"])
    _, train_cameras, train_problems = read_labels(root, train_folders, parse_name, EXAMPLE)
    named, test_cameras, test_problems = read_labels(root, test_folders, parse_name, EXAMPLE)
    identities = _test_identities(_folder_identities(root, test_folders), named)
    train_identities = _folder_identities(root, train_folders)
    return TrackletDataset(
        name="MARS",
        train=as_split("train", root, train_folders, train_cameras, train_identities),
        test=as_split("test", root, test_folders, test_cameras, identities),
        query=query,
        gallery=gallery,
        protocol=name_protocol("MARS gallery_split, junk ignored", query, gallery),
        problems=(*train_problems, *test_problems),
    )


def _folder_identities(root: Path, tracklets: Sequence[TrackletFolder]) -> Ints:
    identities = []
    for tracklet in tracklets:
        text = tracklet.identity.removeprefix("00") if tracklet.identity == "00-1" else tracklet.identity
        if not is_number(text.removeprefix("-")):
            folder = root / tracklet.part / tracklet.identity
            raise DataError(f"{folder}: identity folders are named by number; move others away")
        identities.append(int(text))
    return np.array(identities, dtype=np.int64)


def _test_identities(folders: Ints, named: Ints) -> Ints:
    """Identities of the folders with junk and distractors under their official numbers.

    The frames usually keep the makers' names, so `named` shows them too.
    """
    identities = folders.copy()
    if folders.min() >= _FIRST_RENUMBERED:
        identities[folders == _FIRST_RENUMBERED] = JUNK
        identities[folders == _FIRST_RENUMBERED + 1] = DISTRACTOR
    identities[named == JUNK] = JUNK
    identities[named == DISTRACTOR] = DISTRACTOR
    return identities

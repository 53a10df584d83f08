"""The directory walk shared by the readers whose tracklets are folders of frames.

`<root>/<part>/<identity>/<tracklet>/<frames>`, or without the identity level. Everything comes in
natural order (frame 9 before frame 10), whatever order the file system lists it in.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dcreid.data.tracklets import DataError, Ints, JpegFrames, Split

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
# Real copies have a stray misfiled frame; labels that disagree more often belong to other data.
_TOLERATED = 0.01
_DIGITS = re.compile(r"([0-9]+)")
_LONGEST_NUMBER = 18  # digits: labels are 64-bit numbers
_ZEROS = str.maketrans("123456789", "000000000")


@dataclass(frozen=True)
class TrackletFolder:
    """One tracklet as found on disk."""

    part: str  # train, query, ...
    identity: str  # name of the identity's folder; empty where that level does not exist
    tracklet: str  # name of the tracklet's folder
    frames: tuple[str, ...]  # file names in natural order

    @property
    def name(self) -> str:
        """`<identity>/<tracklet>`: the same in query and gallery."""
        return f"{self.identity}/{self.tracklet}" if self.identity else self.tracklet

    @property
    def folder(self) -> str:
        """Path below the root of the data set, with forward slashes."""
        return f"{self.part}/{self.name}" if self.part else self.name


def natural(name: str) -> tuple[list[str | int], str]:
    """Sort key that compares runs of digits as numbers; the name itself breaks ties (1 and 01)."""
    return [int(piece) if place % 2 else piece for place, piece in enumerate(_DIGITS.split(name))], name


def is_number(name: str) -> bool:
    """Whether a name can be a label: digits 0 to 9, not too many."""
    return name.isascii() and name.isdecimal() and len(name) <= _LONGEST_NUMBER


def in_order(names: Iterable[str]) -> list[str]:
    """Names in natural order, the short way where they differ in digits only, as in most tracklets."""
    names = list(names)
    same_pattern = len({name.translate(_ZEROS) for name in names}) == 1
    return sorted(names) if same_pattern else sorted(names, key=natural)


def first_few(names: Sequence[str], count: int | None = None, show: int = 3) -> str:
    """The first names and how many more there are: `a, b, c and 17 more`."""
    rest = (len(names) if count is None else count) - show
    return ", ".join(names[:show]) + (f" and {rest:,} more" if rest > 0 else "")


def check_root(root: Path) -> None:
    """Raises DataError unless `root` is a folder that can be listed and holds something."""
    if not os.path.lexists(root):
        raise DataError(f"{root}: no such folder; --data-root is the folder that holds the data set")
    if not os.path.isdir(root):
        raise DataError(f"{root}: not a folder; --data-root is the folder that holds the (unpacked) data set")
    files, folders = scan(root)
    if not files and not folders:
        raise DataError(f"{root}: empty; --data-root is the folder that holds the data set")


def require(root: Path, entries: Sequence[str]) -> None:
    """Raises DataError naming what is missing and what is there; folders end in a slash."""
    missing = [
        entry
        for entry in entries
        if not (os.path.isdir if entry.endswith("/") else os.path.isfile)(root / entry)
    ]
    if not missing:
        return
    place = (root / missing[0]).parent
    place = place if place.is_dir() else root
    for entry in missing:
        if os.path.lexists(root / entry):
            kind = "folder" if entry.endswith("/") else "file"
            raise DataError(f"{root / entry}: not a {kind} that can be read; put the {kind} itself there")
    raise DataError(
        f"{root}: expected {', '.join(entries)}; missing {', '.join(missing)}; "
        f"found in {place.name}/: {contents(place)}"
    )


def contents(folder: Path) -> str:
    """The first entries of a folder, for error messages; folders end in a slash."""
    files, folders = scan(folder)
    found = in_order([*(f"{name}/" for name in folders), *files])
    return first_few(found, show=8) or "nothing"


def walk(root: Path, part: str) -> list[TrackletFolder]:
    """Every tracklet folder of every identity below `root/part`, folders without frames included.

    Raises DataError where frames lie a level too high or too deep, or nothing is there at all.
    """
    layout = f"{part}/<identity>/<tracklet>/<frames>"
    tracklets = [
        TrackletFolder(part, person, name, _frames(root / part / person / name, layout))
        for person in _folders(root / part, layout)
        for name in _folders(root / part / person, layout) or [""]  # an identity without any tracklet
    ]
    if not tracklets:
        raise DataError(f"{root / part}: no tracklets; expected {layout}")
    return tracklets


def walk_any_depth(root: Path, part: str) -> list[TrackletFolder]:
    """Every folder below `root/part` that holds frames, however deep; empty leaf folders included.

    Nothing says what the levels between stand for, so a tracklet is named by its path and has no
    identity. Raises DataError where frames lie in `root/part` itself, or nothing is there at all.
    """
    layout = f"{part}/<tracklet>/<frames>".lstrip("/")
    tracklets = []
    for name, frames in _any_depth(root / part, "", ()):
        if not name:
            raise _misplaced(root / part, frames, layout)
        tracklets.append(TrackletFolder(part, "", name, frames))
    if not tracklets:
        raise DataError(f"{root / part}: no tracklets; expected {layout}")
    return tracklets


def without_frames(tracklets: Sequence[TrackletFolder]) -> str:
    """What to say about tracklet folders without frames; empty when there are none."""
    empty = [tracklet.folder for tracklet in tracklets if not tracklet.frames]
    if not empty:
        return ""
    return f"{len(empty):,} tracklet folder(s) without frames (.jpg, .jpeg, .png): {first_few(empty)}"


def join_test(
    query: Sequence[TrackletFolder], gallery: Sequence[TrackletFolder]
) -> tuple[list[TrackletFolder], Ints, Ints]:
    """The test tracklets, each stored once, and the rows of the queries and of the gallery.

    A query that lies in the gallery too (same identity, tracklet and frame names) shares its row.
    """
    test = list(gallery)
    row_of = {(tracklet.name, tracklet.frames): row for row, tracklet in enumerate(gallery)}
    query_rows = []
    for tracklet in query:
        row = row_of.get((tracklet.name, tracklet.frames))
        if row is None:
            row = len(test)
            test.append(tracklet)
        query_rows.append(row)
    return test, np.array(query_rows, dtype=np.int64), np.arange(len(gallery), dtype=np.int64)


def name_protocol(gallery_name: str, query: Ints, gallery: Ints) -> str:
    """What the tables call a gallery: how many rows it has, and whether the queries are among them."""
    among = int(np.isin(query, gallery).sum())
    return f"{gallery_name} ({len(gallery):,} rows, {among:,} of {len(query):,} queries among them)"


def as_split(
    name: str, root: Path, tracklets: Sequence[TrackletFolder], cameras: Ints, identities: Ints | None
) -> Split:
    """A Split of these tracklets, in their order, with frames in tracklet order."""
    lengths = np.array([len(tracklet.frames) for tracklet in tracklets], dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    paths: list[str] = []
    for tracklet in tracklets:
        folder = tracklet.folder
        paths += [f"{folder}/{frame}" for frame in tracklet.frames]
    names = [tracklet.name for tracklet in tracklets]
    return Split(name, JpegFrames(root, paths, offsets[:-1]), offsets, cameras, identities, names)


def read_labels(
    root: Path,
    tracklets: Sequence[TrackletFolder],
    parse: Callable[[str], tuple[int, int] | None],
    example: str,
) -> tuple[Ints, Ints, list[str]]:
    """Identity and camera that the frame names of each tracklet spell (n,), (n,), and problems.

    `parse` maps a file name to (identity, camera), or None where it does not follow the pattern of
    `example`: a DataError. Where frames of one tracklet disagree its first frame decides, and
    `contradictions` judges how often that may happen.
    """
    labels = np.zeros((len(tracklets), 2), dtype=np.int64)
    mixed = []
    for row, tracklet in enumerate(tracklets):
        for position, frame in enumerate(tracklet.frames):
            label = parse(frame)
            if label is None:
                raise DataError(f"{root / tracklet.folder / frame}: name is not like {example}")
            if position == 0:
                labels[row] = first = label
            elif label != first:
                mixed.append(f"{tracklet.folder}/{frame}")
                break
    problems = contradictions(
        root, mixed, len(tracklets), "frames of another identity or camera than their tracklet's first"
    )
    return labels[:, 0].copy(), labels[:, 1].copy(), problems


def contradictions(root: Path, where: Sequence[str], total: int, what: str) -> list[str]:
    """A problem line for tracklets whose labels disagree; DataError if more than 1% of `total` do."""
    if not where:
        return []
    line = f"{what}: {first_few(where)} ({len(where):,} of {total:,} tracklets)"
    if len(where) > _TOLERATED * total:
        raise DataError(f"{root}: {line}")
    return [line]


def scan(folder: Path) -> tuple[list[str], list[str]]:
    """Names of the files and of the folders in a folder, hidden ones left out, in no order."""
    files: list[str] = []
    folders: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith("."):
                    (folders if entry.is_dir() else files).append(entry.name)
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror})") from None
    return files, folders


def frames_in(folder: Path) -> tuple[str, ...]:
    """Names of the frames that lie in a folder itself, in natural order."""
    return _frames_among(scan(folder)[0])


def _any_depth(top: Path, name: str, above: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Path below `top` and frames of every folder that holds some, or nothing at all.

    above: where the folders on the way really are. Raises DataError for a link back to one of them.
    """
    files, folders = scan(top / name)
    place = os.path.realpath(top / name)
    if place in above:
        raise DataError(f"{top / name}: a link to a folder that it lies in ({place}); remove it")
    frames = _frames_among(files)
    if frames or (name and not folders):
        yield name, frames
    for folder in in_order(folders):
        yield from _any_depth(top, f"{name}/{folder}" if name else folder, (*above, place))


def _frames(folder: Path, layout: str) -> tuple[str, ...]:
    files, folders = scan(folder)
    frames = _frames_among(files)
    if folders and not frames:
        raise DataError(f"{folder}: holds folders ({first_few(folders)}) but no frames; expected {layout}")
    return frames


def _folders(folder: Path, layout: str) -> list[str]:
    files, folders = scan(folder)
    if stray := _frames_among(files):
        raise _misplaced(folder, stray, layout)
    return in_order(folders)


def _misplaced(folder: Path, frames: Sequence[str], layout: str) -> DataError:
    return DataError(f"{folder}: frames ({first_few(frames)}) lie where folders should; expected {layout}")


def _frames_among(files: Sequence[str]) -> tuple[str, ...]:
    return tuple(in_order(name for name in files if name.lower().endswith(IMAGE_SUFFIXES)))

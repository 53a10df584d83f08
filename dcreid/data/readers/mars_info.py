"""The files in `info/` of MARS: which frames make a tracklet, and which tracklets are queries.

A name list has one file name per line, `0001C1T0001F001.jpg`: identity 1, camera 1, tracklet 1,
frame 1; junk has the identity `00-1`. A table of tracks has the rows (first, last, identity,
camera), where first and last count the lines of the name list from 1 and both belong to the track.
`query_IDX` counts the rows of the test tracks from 1. All are checked before anything is built on
them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcreid.data.readers.mat import MatError, read_matrices
from dcreid.data.readers.walk import first_few
from dcreid.data.tracklets import JUNK, DataError, Ints

_MEND = "take every file of info/ from one and the same copy of MARS"
_MOST_USES = 10  # times that the tracks take in a frame, on the average
_LARGEST = 1 << 31  # of the numbers in a table
EXAMPLE = "0001C1T0001F001.jpg"
_NAME = re.compile(r"([0-9]{4}|00-1)C([0-9])T[0-9]+F[0-9]+\.jpg")


def read_tracks(mat: Path) -> Ints:
    """The rows (first, last, identity, camera) of a tracks_*_info.mat as (n, 4), as they stand there."""
    table = _only_array(mat)
    if table.ndim != 2 or table.shape[1] != 4 or not len(table):
        raise DataError(
            f"{mat}: expected rows of (first, last, identity, camera), found shape {table.shape}; {_MEND}"
        )
    return table


def read_query_rows(mat: Path, n_tracks: int) -> tuple[Ints, list[str]]:
    """Rows of the test tracks that are queries (q,), counted from 0 (the file counts from 1), and problems.

    A query is a tracklet, and the measures are means over tracklets: one that stands there twice counts once.
    """
    table = _only_array(mat)
    if not table.size:
        raise DataError(f"{mat}: lists no query; {_MEND}")
    if table.size != max(table.shape):
        raise DataError(f"{mat}: expected a list of query rows, found shape {table.shape}; {_MEND}")
    rows = table.reshape(-1)
    outside = np.flatnonzero((rows < 1) | (rows > n_tracks))
    if len(outside):
        raise DataError(
            f"{mat}: entry {outside[0] + 1} is {rows[outside[0]]}, but tracks_test_info.mat has the rows "
            f"1 to {n_tracks:,} ({len(outside):,} such entries); {_MEND}"
        )
    _, first, times = np.unique(rows, return_index=True, return_counts=True)
    twice = rows[np.sort(first[times > 1])]
    problems = []
    if len(twice):
        problems.append(
            f"{mat.name} lists {len(twice):,} tracks more than once (first: row {twice[0]}); each counts once"
        )
    return rows[np.sort(first)] - 1, problems


def _only_array(mat: Path) -> Ints:
    """The one array of a .mat file, whatever its variable is called."""
    try:
        arrays = read_matrices(mat.read_bytes())
    except OSError as error:
        raise DataError(f"{mat}: cannot be read ({error.strerror})") from None
    except MatError as error:
        raise DataError(f"{mat}: not a readable .mat file ({error}); {_MEND}") from None
    if len(arrays) != 1:
        found = first_few(sorted(arrays)) or "none"
        raise DataError(f"{mat}: expected one variable, found {found}; {_MEND}")
    ((name, array),) = arrays.items()
    if array is None or not _whole(array):
        raise DataError(f"{mat}: variable {name} is not a table of whole numbers; {_MEND}")
    table: Ints = array.astype(np.int64)
    return table


def _whole(array: NDArray[Any]) -> bool:
    return bool(((array >= -_LARGEST) & (array <= _LARGEST) & (array == np.trunc(array))).all())


def read_names(path: Path) -> tuple[list[str], Ints]:
    """The file names of a name list and the (identity, camera) they spell, (F, 2)."""
    try:
        names = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as a list of file names ({error}); {_MEND}") from None
    labels: list[tuple[int, int]] = []
    for name in names:
        label = parse_name(name)
        if label is None:
            line = len(labels) + 1
            raise DataError(f"{path}: line {line:,} is {name!r}, which is not like {EXAMPLE}; {_MEND}")
        labels.append(label)
    return names, np.array(labels, dtype=np.int64).reshape(-1, 2)


def parse_name(name: str) -> tuple[int, int] | None:
    """(identity, camera) of a file name; None where it is not like `EXAMPLE`."""
    match = _NAME.fullmatch(name)
    return (JUNK if match[1] == "00-1" else int(match[1]), int(match[2])) if match else None


def check_ranges(tracks: Ints, n_names: int, tracks_file: Path) -> None:
    """Raises DataError unless every track has a frame and stays within the name list's lines."""
    first, last = tracks[:, 0], tracks[:, 1]
    for what, wrong in (
        (f"outside the name list's {n_names:,} frames", (first < 1) | (last > n_names)),
        ("empty", last < first),
    ):
        rows = np.flatnonzero(wrong)
        if len(rows):
            raise DataError(
                f"{tracks_file}: row {rows[0] + 1:,} spans frames {first[rows[0]]:,} to {last[rows[0]]:,}, "
                f"which is {what} ({len(rows):,} such rows); {_MEND}"
            )
    total = int((last - first + 1).sum())
    if total > _MOST_USES * n_names:
        raise DataError(
            f"{tracks_file}: its rows take {total:,} frames out of a name list of {n_names:,}; {_MEND}"
        )

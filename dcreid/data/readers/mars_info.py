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

import numpy as np
import scipy.io

from dcreid.data.tracklets import JUNK, DataError, Ints

_MEND = "take every file of info/ from one and the same copy of MARS"
EXAMPLE = "0001C1T0001F001.jpg"
_NAME = re.compile(r"(\d{4}|00-1)C(\d)T\d+F\d+\.jpg")


def read_tracks(mat: Path) -> Ints:
    """The rows (first, last, identity, camera) of a tracks_*_info.mat as (n, 4), as they stand there."""
    table = _only_array(mat)
    if table.ndim != 2 or table.shape[1] != 4 or not len(table):
        raise DataError(
            f"{mat}: expected rows of (first, last, identity, camera), found shape {table.shape}; {_MEND}"
        )
    return table


def read_query_rows(mat: Path, n_tracks: int) -> Ints:
    """Rows of the test tracks that are queries (q,), counted from 0 (the file counts from 1)."""
    rows = _only_array(mat).reshape(-1)
    if not len(rows):
        raise DataError(f"{mat}: lists no query; {_MEND}")
    outside = np.flatnonzero((rows < 1) | (rows > n_tracks))
    if len(outside):
        raise DataError(
            f"{mat}: entry {outside[0] + 1} is {rows[outside[0]]}, but tracks_test_info.mat has the rows "
            f"1 to {n_tracks:,} ({len(outside):,} such entries); {_MEND}"
        )
    return rows - 1


def _only_array(mat: Path) -> Ints:
    """The one array of a .mat file, whatever its variable is called."""
    try:
        content = scipy.io.loadmat(mat)
    except NotImplementedError:
        raise DataError(f"{mat}: written as MATLAB 7.3 (HDF5); save it again with -v7") from None
    except Exception as error:  # whatever the bytes lead scipy to: zlib.error, IndexError, OSError, ...
        raise DataError(f"{mat}: not a readable .mat file ({error}); {_MEND}") from None
    arrays = {key: value for key, value in content.items() if not key.startswith("__")}
    if len(arrays) != 1:
        raise DataError(f"{mat}: expected one variable, found {', '.join(sorted(arrays)) or 'none'}; {_MEND}")
    ((name, array),) = arrays.items()
    numbers = isinstance(array, np.ndarray) and array.dtype.kind in "iuf"
    if not numbers or not (np.isfinite(array) & (array == np.trunc(array))).all():
        raise DataError(f"{mat}: variable {name} is not a table of whole numbers; {_MEND}")
    table: Ints = array.astype(np.int64)
    return table


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

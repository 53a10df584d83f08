"""A tracker's file as in MOT Challenge: a line of text for every box.

    frame,id,left,top,width,height,confidence,...

Frames count from 1, left to height are pixels, a confidence below 0 (or none) says nothing, and what is
behind it is not looked at. Blank lines, and what is behind a #, are passed over.
"""

from __future__ import annotations

import stat
from array import array
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from dcreid.checked import ConfigError, number
from dcreid.data.tracklets import DataError

_NEEDED, _READ = 6, 7  # columns: all but the confidence, and with it
_FORM = "frame,id,left,top,width,height,confidence"
_MOST = 1_000_000_000  # of any number
_LONGEST = 1000  # bytes of a line
_ENOUGH = 100  # wrong lines, after which no more are looked for
# Column, its smallest value, whether it is a whole number, and what to do about one that is not.
_RANGES = (
    ("frame", 1, True, "a whole number from 1 on; if your tracker counts from 0, add 1 to every frame"),
    ("id", 0, True, "a whole number from 0 on; -1 is a box without a track, which is to be left out"),
    ("left", -_MOST, False, "a number of pixels"),
    ("top", -_MOST, False, "a number of pixels"),
    ("width", 0, False, "above 0; columns are left,top,width,height; remove such a line"),
    ("height", 0, False, "above 0; columns are left,top,width,height; remove such a line"),
    ("confidence", -_MOST, False, "a number, or -1"),
)


@dataclass(frozen=True)
class Tracks:
    """The n boxes of a tracker's file, in order of frames."""

    frames: Int64[ndarray, " n"]  # from 1
    ids: Int64[ndarray, " n"]
    boxes: Float64[ndarray, "n 4"]  # left, top, width, height, in pixels
    confidence: Float64[ndarray, " n"]  # below 0 where the file has none

    def __len__(self) -> int:
        return len(self.frames)


def read_tracks(path: Path) -> Tracks:
    """The boxes of a tracker's file. Raises DataError, which names the wrong lines and the mend."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise DataError(f"--tracks {path}: not a file; give the text that a tracker wrote")
        table, lines, faults = _parsed(path)
    except OSError as error:
        raise DataError(f"--tracks {path}: cannot be read ({error.strerror})") from None
    if not faults:
        faults = _out_of_range(table, lines) or _twice(table, lines)
    if faults:
        first, *others = sorted(faults)
        shown = ", ".join(f"{line}" for line in others[:5]) + (", …" if len(others) > 5 else "")
        more = f" (wrong too: line {shown})" if others else ""
        raise DataError(f"--tracks {path}: line {first}: {faults[first]}{more}")
    if not len(table):
        raise DataError(f"--tracks {path}: holds no box; expected lines of {_FORM}")
    table = table[np.argsort(table[:, 0], kind="stable")]
    whole = table[:, :2].astype(np.int64)
    return Tracks(whole[:, 0], whole[:, 1], table[:, 2:6], table[:, 6])


def tracklets_of(tracks: Tracks, max_gap: int) -> tuple[Int64[ndarray, " n"], list[str]]:
    """The tracklet that each box is of, counted from 0, and the tracklets' names.

    A tracklet is a track, or a piece of one where more than max_gap frames in a row have no box of it:
    trackers use numbers again, and join what they had lost. Its name is the track's number, `0007`, and
    of the second piece `0007_2`.
    """
    order = np.lexsort((tracks.frames, tracks.ids))
    ids, frames = tracks.ids[order], tracks.frames[order]
    begins = (np.diff(ids, prepend=-1) != 0) | (np.diff(frames, prepend=0) > max_gap + 1)
    tracklet = np.empty(len(tracks), dtype=np.int64)
    tracklet[order] = np.cumsum(begins) - 1
    _, first, of, pieces = np.unique(ids[begins], return_index=True, return_inverse=True, return_counts=True)
    piece = np.arange(len(of)) - first[of] + 1
    names = [
        f"{track:04d}_{number}" if of_many > 1 else f"{track:04d}"
        for track, number, of_many in zip(
            ids[begins].tolist(), piece.tolist(), pieces[of].tolist(), strict=True
        )
    ]
    return tracklet, names


def _parsed(path: Path) -> tuple[Float64[ndarray, "n 7"], list[int], dict[int, str]]:
    """The first columns of every line, the numbers of these lines, and what is wrong with others."""
    values, lines, faults, columns = array("d"), list[int](), dict[int, str](), 0
    with path.open("rb") as file:
        for line, raw in enumerate(iter(partial(file.readline, _LONGEST), b""), start=1):
            text = raw.decode("utf-8-sig", errors="backslashreplace").partition("#")[0].strip()
            if not text:
                continue
            columns = columns or text.count(",") + 1
            try:
                values.extend(_row(text, columns))
                lines.append(line)
            except ConfigError as error:
                faults[line] = str(error)
            if len(faults) >= _ENOUGH:
                break
    return np.array(values).reshape(-1, _READ), lines, faults


def _row(text: str, columns: int) -> list[float]:
    """The numbers of a line, confidence -1 where it has none; raises ConfigError."""
    if len(text) >= _LONGEST - 1:
        raise ConfigError(f"longer than {_LONGEST} characters; expected {_FORM}")
    cells = [cell.strip() for cell in text.split(",")]
    if len(cells) < _NEEDED:
        raise ConfigError(f"{len(cells)} column(s) between commas; expected {_FORM}")
    if len(cells) != columns:
        raise ConfigError(f"{len(cells)} columns, but the first line has {columns}; was the file cut off?")
    return [number(float, cell) for cell in (*cells[:_READ], "-1")[:_READ]]


def _out_of_range(table: Float64[ndarray, "n 7"], lines: list[int]) -> dict[int, str]:
    faults: dict[int, str] = {}
    for column, (name, low, whole, what) in enumerate(_RANGES):
        values = table[:, column]
        wrong = (values < low) | (values > _MOST) | (whole & (values != np.floor(values)))
        if name in ("width", "height"):
            wrong |= values == 0
        for row in np.flatnonzero(wrong).tolist():
            faults.setdefault(lines[row], f"{name} {values[row]:.10g}: must be {what}")
    return faults


def _twice(table: Float64[ndarray, "n 7"], lines: list[int]) -> dict[int, str]:
    order = np.lexsort((table[:, 1], table[:, 0]))
    same = (np.diff(table[order, :2], axis=0) == 0).all(axis=1)
    return {
        lines[order[k + 1]]: f"frame {table[order[k], 0]:.0f} has a box of id {table[order[k], 1]:.0f} "
        f"on line {lines[order[k]]} already; remove one of them"
        for k in np.flatnonzero(same).tolist()
    }

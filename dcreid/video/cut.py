"""Tracklets from the boxes of one camera, as the reader of `folder` wants them.

    <out>/train/c2/0007/c2_f0046985.jpg             camera 2, track 7, frame 46,985 of its video
    <out>/train/c2_f0090001/0007/c2_f0136985.jpg    the same of a later video, whose frames go on from 90,001

A video's folder appears when all of its tracklets are in it, or not at all. One frame is held at a time.
"""

from __future__ import annotations

import io
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray
from PIL import Image

from dcreid.data.readers.layout import guess_layout
from dcreid.data.tracklets import DataError
from dcreid.disk import located
from dcreid.video.frames import BrokenOff, Frame, Picture, opened
from dcreid.video.rules import Rules
from dcreid.video.tracks import Tracks, tracklets_of

_QUALITY = 95  # of a JPEG; colours at full resolution, which the clothes of small people need
# Why a box is left out.
UNSURE = "below --min-confidence"
OUTSIDE = "of which less than --inside lies in the picture"
SMALL = "lower than --min-height or narrower than --min-width"
BETWEEN = "passed over by --every"
SHORT = "in tracklets of fewer frames than --min-frames"
UNREADABLE = "in frames that cannot be read"
MISSING = "in frames behind the end of the video"


@dataclass
class Outcome:
    """What became of a camera's boxes: those left out, by reason, and `frames` make up all of them."""

    tracklets: int = 0
    frames: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    seen: int = 0  # frames of the video, up to the last one that was asked for
    broken_off: str = ""  # why the video could not be decoded any further


@dataclass(frozen=True)
class Source:
    """A video, the boxes in it, its camera's number, and that of its first frame on the camera's clock."""

    video: Path
    tracks: Tracks
    camera: int
    start: int = 1

    def folder(self, out: Path) -> Path:
        """Where its tracklets are to be."""
        first = "" if self.start == 1 else f"_f{self.start:07d}"
        return out / "train" / f"c{self.camera}{first}"


def check_place(out: Path, sources: Sequence[Source], replace: bool) -> None:
    """Raises DataError where `out` is another data set's, or has one of these and is to keep it."""
    if not os.path.lexists(out):
        return
    if not out.is_dir():
        raise DataError(f"--out {out}: not a folder; name one, new or made by this command")
    if (found := guess_layout(out)) != "folder":
        raise DataError(f"--out {out}: holds {found}; name a new folder, or one made by this command")
    there = [source.folder(out) for source in sources if os.path.lexists(source.folder(out))]
    if there and not replace:
        raise DataError(
            f"{there[0]} is there already; --camera N makes it another camera, --start N a later video of "
            "the same, --force cuts it anew"
        )


def cut_video(
    source: Source, out: Path, rules: Rules, progress: Callable[[int], object] | None = None
) -> Outcome:
    """Cuts the boxes out of a video, or folder of frames, and puts their tracklets in its folder.

    A folder that is there is replaced, once the new tracklets are complete. progress: called with the
    number of every frame that is cut from. Raises DataError where nothing is left, and OSError.
    """
    place = source.folder(out)
    with _made(place.with_name(f".{place.name}.partial")) as partial:
        with opened(source.video) as frames:
            outcome = _cut(frames, source, rules, partial, progress)
        if not outcome.tracklets:
            told = [f"{count:,} {why}" for why, count in outcome.left_out.most_common()]
            if outcome.broken_off:
                told.append(f"which breaks off after frame {outcome.seen:,} ({outcome.broken_off})")
            raise DataError(
                f"{source.video}: no tracklet is left of {len(source.tracks):,} boxes: {'; '.join(told)}"
            )
        _exchange(partial, place)
    return outcome


def _cut(
    frames: Iterator[Frame],
    source: Source,
    rules: Rules,
    folder: Path,
    progress: Callable[[int], object] | None,
) -> Outcome:
    tracks = source.tracks
    tracklet, names = tracklets_of(tracks, rules.max_gap)
    usable = np.zeros(len(names), dtype=np.int64)  # boxes of each tracklet that no other rule leaves out
    outcome, left_out, rows_of = Outcome(), Counter[str](), _rows_by_frame(tracks.frames)
    try:
        for number, frame in enumerate(frames, start=1):
            outcome.seen = number
            rows = rows_of.pop(number, range(0))
            picture = frame() if rows else None
            for row in rows:
                found = _piece(picture, tracks.boxes[row], float(tracks.confidence[row]), rules)
                if isinstance(found, str):
                    left_out[found] += 1
                    continue
                of = tracklet[row]
                usable[of] += 1
                if (usable[of] - 1) % rules.every:
                    left_out[BETWEEN] += 1
                    continue
                time = source.start + number - 1
                _write(found, folder / names[of] / f"c{source.camera}_f{time:07d}.jpg")
            if rows and progress is not None:
                progress(number)
            if not rows_of:
                break
    except BrokenOff as error:
        outcome.broken_off = str(error)
    left_out[MISSING] = sum(map(len, rows_of.values()))
    written = -(-usable // rules.every)
    short = (written > 0) & (written < rules.min_frames)
    for of in np.flatnonzero(short).tolist():
        shutil.rmtree(folder / names[of])
    left_out[SHORT] = int(written[short].sum())
    outcome.tracklets = int((written >= rules.min_frames).sum())
    outcome.frames = int(written.sum()) - left_out[SHORT]
    outcome.left_out = +left_out
    return outcome


def _rows_by_frame(frames: Int64[ndarray, " n"]) -> dict[int, range]:
    numbers, starts, counts = np.unique(frames, return_index=True, return_counts=True)
    return {
        number: range(start, start + count)
        for number, start, count in zip(numbers.tolist(), starts.tolist(), counts.tolist(), strict=True)
    }


def _piece(
    picture: Picture | None, box: Float64[ndarray, " 4"], confidence: float, rules: Rules
) -> Picture | str:
    """What of a box lies in the picture, or why it is left out."""
    if picture is None:
        return UNREADABLE
    if 0 <= confidence < rules.min_confidence:
        return UNSURE
    size = np.array(picture.shape[1::-1])
    start, end = np.clip([box[:2], box[:2] + box[2:]], 0, size)
    if (end - start).prod() < rules.inside * box[2:].prod():
        return OUTSIDE
    (left, top), (right, bottom) = np.rint([start, end]).astype(np.int64).tolist()
    if bottom - top < rules.min_height or right - left < rules.min_width:
        return SMALL
    return picture[top:bottom, left:right]


def _write(picture: Picture, path: Path) -> None:
    stream = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(picture))
    image.save(stream, "JPEG", quality=_QUALITY, subsampling="4:4:4")
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(stream.getvalue())
    except OSError as error:
        raise located(error, path, len(stream.getvalue())) from None


@contextmanager
def _made(folder: Path) -> Iterator[Path]:
    """A new folder, which goes when the work ends; when it fails, so do folders above made for it."""
    new = [above for above in folder.parents if not above.exists()]
    shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for above in new:
            with suppress(OSError):  # not empty
                above.rmdir()


def _exchange(new: Path, place: Path) -> None:
    """Puts a folder in the place of another, if there is one."""
    old = place.with_name(f".{place.name}.old")
    if place.exists():
        place.rename(old)
    new.rename(place)
    shutil.rmtree(old, ignore_errors=True)

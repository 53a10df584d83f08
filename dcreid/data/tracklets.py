"""Tracklets, splits and data sets: what every reader produces and the algorithm consumes.

Notation: a split has n tracklets and F frames; tracklet i owns the frames
`offsets[i]:offsets[i + 1]` of its split's `FrameSource`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dcreid.errors import InputError

JUNK = -1  # identity of tracklets that evaluation ignores (MARS)
DISTRACTOR = 0  # identity of gallery tracklets that match no query (MARS)
GALLERIES = ("official", "no_junk", "no_queries", "neither")

Ints = NDArray[np.int64]


class DataError(InputError):
    """A data set that cannot be used; the message names the file or folder and the mend."""


@runtime_checkable
class FrameSource(Protocol):
    """Where a split's F frames come from: files on disk or a renderer."""

    def __len__(self) -> int:
        """F, the number of frames."""
        ...

    def read(self, frames: Ints, height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Frames as (k, height, width, 3) RGB and, per frame, whether it could be read (k,)."""
        ...

    def name(self, frame: int) -> str:
        """What an error message calls the frame: its path, for files."""
        ...

    def fingerprint(self) -> str:
        """Hex digest that changes when the frames do; cheap (never reads all pixels)."""
        ...


@dataclass(frozen=True)
class Split:
    """n tracklets. `identities` is None when nobody labelled them; only the bound trains with them."""

    name: str
    frames: FrameSource
    offsets: Ints  # (n + 1,)
    cameras: Ints  # (n,)
    identities: Ints | None  # (n,)
    names: Sequence[str]  # (n,) tracklet names, for people
    unknown_cameras: int = 0  # tracklets whose entry in `cameras` is made up
    times: Ints | None = None  # (n, 2) first and last frame on a clock of the camera; not in the fingerprint

    def __post_init__(self) -> None:
        lengths = np.diff(self.offsets)
        if len(lengths) and lengths.min() < 1:
            raise DataError(f"{self.name}: tracklet {self.names[int(lengths.argmin())]} has no frames")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def cameras_known(self) -> bool:
        """Whether `cameras` says of every tracklet which camera saw it; what acts per camera needs all."""
        return not self.unknown_cameras

    @property
    def lengths(self) -> Ints:
        """(n,) frames per tracklet."""
        return np.diff(self.offsets)

    def of_rows(self, rows: Ints, name: str) -> Split:
        """Some tracklets, in this order, as a split of its own; its cameras are known or made up as here."""
        lengths = self.lengths[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        frames = np.repeat(self.offsets[rows] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return dataclasses.replace(
            self,
            name=name,
            frames=_chosen(self.frames, frames, offsets[:-1]),
            offsets=offsets,
            cameras=self.cameras[rows],
            identities=None if self.identities is None else self.identities[rows],
            names=[self.names[row] for row in rows.tolist()],
            times=None if self.times is None else self.times[rows],
        )


@dataclass(frozen=True)
class TrackletDataset:
    """A training split and, where there are labels to evaluate on, a test split.

    `query` and `gallery` are rows of `test`; a query may stand in the gallery too (the evaluator
    ignores its own camera). `protocol` names the gallery in every table.
    """

    name: str
    train: Split
    test: Split | None
    query: Ints
    gallery: Ints
    protocol: str
    problems: tuple[str, ...] = field(default=())

    @property
    def labelled(self) -> bool:
        """Whether retrieval can be measured: there are test tracklets with identities, and queries."""
        return self.test is not None and self.test.identities is not None and len(self.query) > 0

    def fingerprint(self) -> str:
        """16 hex digits of the data: frames, tracklets, cameras, identities, query and gallery rows."""
        digest = hashlib.sha256()
        for split in (self.train, self.test):
            if split is None:
                continue
            digest.update(split.frames.fingerprint().encode())
            for array in (split.offsets, split.cameras, split.identities):
                digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
        digest.update(self.query.tobytes() + b"|" + self.gallery.tobytes())
        return digest.hexdigest()[:16]

    def with_gallery(self, gallery: str) -> TrackletDataset:
        """The same data under another gallery: official, no_junk, no_queries or neither.

        On MARS these are the 12,180, 11,310, 10,200 and 9,330 rows in use (README, "Protocols").
        Raises DataError when no row is left, ValueError for another name.
        """
        if gallery not in GALLERIES:
            raise ValueError(f"gallery {gallery!r}: must be one of {', '.join(GALLERIES)}")
        if self.test is None or self.test.identities is None or gallery == "official":
            return self
        keep = np.ones(len(self.gallery), dtype=bool)
        if gallery in ("no_junk", "neither"):
            keep &= self.test.identities[self.gallery] != JUNK
        if gallery in ("no_queries", "neither"):
            keep &= ~np.isin(self.gallery, self.query)
        if not keep.any():
            raise DataError(f"{self.name}: gallery {gallery} leaves none of {len(keep):,} rows; use official")
        name = f"{self.name}, gallery {gallery} ({int(keep.sum()):,} rows)"
        return dataclasses.replace(self, gallery=self.gallery[keep], protocol=name)


def first_per_identity_and_camera(identities: Ints, cameras: Ints) -> Ints:
    """Rows of the first tracklet of each identity in each camera: queries. Junk and distractors have none."""
    _, first = np.unique(np.stack([identities, cameras], axis=1), axis=0, return_index=True)
    rows: Ints = np.sort(first)
    return rows[identities[rows] > 0]


class JpegFrames:
    """Frames in JPEG files: `root / paths[i]`."""

    def __init__(self, root: Path, paths: Sequence[str], tracklet_starts: Ints):
        self.root, self.paths, self.tracklet_starts = root, paths, tracklet_starts

    def __len__(self) -> int:
        return len(self.paths)

    def path(self, frame: int) -> Path:
        """The file of a frame."""
        return self.root / self.paths[frame]

    def name(self, frame: int) -> str:
        return str(self.path(frame))

    def fingerprint(self) -> str:
        """Of all file names and, for the first frame of every tracklet, its size in bytes."""
        digest = hashlib.sha256(os.fsencode("\n".join(self.paths)))  # names need not be UTF-8
        for frame in self.tracklet_starts.tolist():
            try:
                size = os.stat(self.path(frame)).st_size
            except OSError:
                size = -1
            digest.update(b"%d," % size)
        return digest.hexdigest()

    def read(self, frames: Ints, height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        from dcreid.data.jpeg import read_jpegs

        return read_jpegs([self.path(frame) for frame in frames.tolist()], height, width)


def _chosen(source: FrameSource, frames: Ints, tracklet_starts: Ints) -> FrameSource:
    if isinstance(source, JpegFrames):
        return JpegFrames(source.root, [source.paths[frame] for frame in frames.tolist()], tracklet_starts)
    return _ChosenFrames(source, frames)


class _ChosenFrames:
    """Some frames of a source that draws them: frame i is its frame `frames[i]`."""

    def __init__(self, source: FrameSource, frames: Ints):
        self.source, self.frames = source, frames

    def __len__(self) -> int:
        return len(self.frames)

    def name(self, frame: int) -> str:
        return self.source.name(int(self.frames[frame]))

    def fingerprint(self) -> str:
        return hashlib.sha256(self.source.fingerprint().encode() + self.frames.tobytes()).hexdigest()

    def read(self, frames: Ints, height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        return self.source.read(self.frames[frames], height, width)

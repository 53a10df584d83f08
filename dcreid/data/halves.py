"""Development halves: choosing a configuration without looking at the test split.

The training identities are parted into two halves at random, always alike. A run trains on the tracklets of
one half, without its identities as ever, and is measured on the other half's, people that it has not seen;
so what is best on both halves is chosen before the test split has been looked at.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from dcreid.data.tracklets import (
    DataError,
    FrameSource,
    Ints,
    JpegFrames,
    Split,
    TrackletDataset,
    first_per_identity_and_camera,
)

HALVES = ("first_half", "second_half")
_SEED = 0  # of the parting: the same people in every run, whatever its seed


def on_half(data: TrackletDataset, half: str) -> TrackletDataset:
    """Trains on the tracklets of one half of the training identities, `half` of HALVES; the other half tests.

    One tracklet of each identity and camera is a query; the gallery has all tracklets, queries included.
    Raises DataError where the training tracklets have no identities, or fewer than four.
    """
    identities = data.train.identities
    if identities is None:
        raise DataError(
            f"{data.name}: its training tracklets have no identities, so they cannot be parted by identity; "
            "leave --split at official"
        )
    people = np.unique(identities[identities > 0])
    if len(people) < 4:
        raise DataError(
            f"{data.name}: {len(people)} training identities cannot be parted into halves that a run can be "
            "measured on; leave --split at official"
        )
    mixed = np.random.default_rng(_SEED).permutation(people)
    first = np.isin(identities, mixed[: len(people) // 2])
    second = np.isin(identities, mixed[len(people) // 2 :])
    trained, tested = (first, second) if half == HALVES[0] else (second, first)
    test = _part(data.train, tested, "test")
    assert test.identities is not None
    name = half.replace("_", " ")
    return dataclasses.replace(
        data,
        train=_part(data.train, trained, "train"),
        test=test,
        query=first_per_identity_and_camera(test.identities, test.cameras),
        gallery=np.arange(len(test), dtype=np.int64),
        protocol=f"{data.name}, trained on the {name} of the training identities, measured on the other "
        f"({len(test):,} rows)",
    )


def _part(split: Split, chosen: np.ndarray, name: str) -> Split:
    """The chosen tracklets of a split, as a split of its own."""
    rows = np.flatnonzero(chosen)
    lengths = split.lengths[rows]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    place = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    frames = np.repeat(split.offsets[:-1][rows], lengths) + place
    return dataclasses.replace(
        split,
        name=name,
        frames=_frames(split.frames, frames, offsets[:-1]),
        offsets=offsets,
        cameras=split.cameras[rows],
        identities=None if split.identities is None else split.identities[rows],
        names=[split.names[row] for row in rows.tolist()],
        unknown_cameras=split.unknown_cameras,
    )


def _frames(source: FrameSource, frames: Ints, starts: Ints) -> FrameSource:
    if isinstance(source, JpegFrames):
        return JpegFrames(source.root, [source.paths[frame] for frame in frames.tolist()], starts)
    return _ChosenFrames(source, frames)


class _ChosenFrames:
    """Some of the frames of a source, which is not made of files."""

    def __init__(self, source: FrameSource, frames: Ints):
        self.source, self.frames = source, frames

    def __len__(self) -> int:
        return len(self.frames)

    def name(self, frame: int) -> str:
        return self.source.name(int(self.frames[frame]))

    def fingerprint(self) -> str:
        import hashlib

        return hashlib.sha256(self.source.fingerprint().encode() + self.frames.tobytes()).hexdigest()

    def read(self, frames: Ints, height: int, width: int):
        return self.source.read(self.frames[frames], height, width)

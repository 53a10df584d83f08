"""The embedded data set: drawn pedestrians seen by a few cameras, rendered on demand.

A frame is a function of its number alone: it comes out the same whichever frames are asked for
together, and at any size. An identity is seen by about √(its tracklets) of the cameras, as in MARS
(3 of 6), mostly more than once by each: tracklets of one visit look alike, and between cameras
colour, light, view and background change.

The test split has, per 100 tracklets of test identities, 40 distractors (identity 0) and 11 junk
tracklets (identity -1, badly framed detections): MARS's shares. One query per identity and camera.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dcreid.config import SyntheticConfig
from dcreid.data.synthetic.pedestrians import Ints, People, draw_people, dress
from dcreid.data.synthetic.renderer import DrawnFrames, draw_walks
from dcreid.data.synthetic.scenes import Cameras, build_cameras
from dcreid.data.tracklets import (
    DISTRACTOR,
    JUNK,
    DataError,
    Split,
    TrackletDataset,
    first_per_identity_and_camera,
)

# MARS's 625 training identities: "3x28" = 28 people with 3 tracklets each.
_MARS_COUNTS: Final = (
    "1x1 2x16 3x28 4x35 5x42 6x34 7x45 8x41 9x51 10x50 11x36 12x32 13x17 14x18 15x17 16x25 17x16 18x11 "
    "19x11 20x8 21x12 22x6 23x6 24x6 25x6 26x2 27x7 28x1 29x6 30x4 31x4 32x1 33x2 34x2 35x1 36x2 37x1 "
    "38x4 39x1 40x3 42x1 44x1 45x1 47x1 51x1 54x1 58x1 63x1 64x1 67x1 75x1 87x1 186x1 271x1"
)
_MOST_TRACKLETS, _MOST_FRAMES = 1_000_000, 20_000_000  # 16 times MARS; two gigabytes
_DISTRACTORS, _JUNK = 0.40, 0.11  # per tracklet of a test identity
# The renderer's spread at difficulty 1. At 64×32 on the default data (difficulty 0.5) the mAP is 32% for a
# resnet18 with random weights, and 60% after 60 labelled batches of 64 frames.
_HARDEST = 0.6


@dataclass(frozen=True)
class _Tracks:
    """n tracklets: whose they are and which camera saw them; arrays are (n,)."""

    identity: Ints  # -1 junk, 0 distractor
    person: Ints  # row of People
    camera: Ints  # from 0
    names: list[str]


def load_synthetic(config: SyntheticConfig) -> TrackletDataset:
    """Draws people, cameras and tracklets; pixels come only when frames are read.

    Training identities are numbered from 1, test identities go on from there; cameras from 1.
    """
    counts = mars_counts() if config.shape == "mars" else np.full(config.train_identities, config.tracklets)
    n_train, n_test = len(counts), config.test_identities
    labelled = n_test * config.tracklets
    _check_size(int(counts.sum()) + labelled, config)
    distractors, junk = round(_DISTRACTORS * labelled), round(_JUNK * labelled)
    rng = np.random.default_rng([config.seed, 0])
    cameras = build_cameras(config.cameras, _HARDEST * config.difficulty, rng)
    walkers = draw_people(n_train, config.lookalikes, rng)
    others = draw_people(n_test, config.lookalikes, rng, taken=walkers.traits)
    extras = draw_people(distractors + junk, 0.0, rng, taken=np.concatenate([walkers.traits, others.traits]))

    train = _split("train", config, walkers, cameras, _tracks(counts, 1, config.cameras, rng))
    tested = _tracks(np.full(n_test, config.tracklets), n_train + 1, config.cameras, rng)
    tracks = _with_strangers(tested, n_test, distractors, junk, config.cameras, rng)
    test = _split("test", config, dress(np.concatenate([others.traits, extras.traits])), cameras, tracks)
    return TrackletDataset(
        name="synthetic",
        train=train,
        test=test,
        query=first_per_identity_and_camera(tracks.identity, tracks.camera),
        gallery=np.arange(len(test), dtype=np.int64),
        protocol=f"synthetic gallery ({len(test):,} rows, junk ignored)",
    )


def _check_size(tracklets: int, config: SyntheticConfig) -> None:
    """Raises DataError before what no memory could hold is drawn."""
    frames = tracklets * config.frames
    if tracklets > _MOST_TRACKLETS or frames > _MOST_FRAMES:
        raise DataError(
            f"synthetic data: {tracklets:,} tracklets with {frames:,} frames, but {_MOST_TRACKLETS:,} with "
            f"{_MOST_FRAMES:,} are the most; lower --synthetic-train-identities, "
            "--synthetic-test-identities, --synthetic-tracklets or --synthetic-frames"
        )


def mars_counts() -> Ints:
    """Tracklets of each of MARS's 625 training identities, fewest first; 8,298 in all."""
    runs = [run.split("x") for run in _MARS_COUNTS.split()]
    return np.repeat([int(count) for count, _ in runs], [int(people) for _, people in runs])


def _tracks(counts: Ints, first_identity: int, cameras: int, rng: np.random.Generator) -> _Tracks:
    """`counts[i]` tracklets of person i, shared out among some of the cameras."""
    person = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(person)) - np.repeat(np.cumsum(counts) - counts, counts)
    visited = np.clip(np.ceil(np.sqrt(counts)), min(2, cameras), cameras).astype(np.int64)
    route = rng.random((len(counts), cameras)).argsort(axis=1)
    camera = route[person, number % visited[person]]
    identity = first_identity + person
    names = [
        f"person {who}, camera {where + 1}, tracklet {which + 1}"
        for who, where, which in zip(identity.tolist(), camera.tolist(), number.tolist(), strict=True)
    ]
    return _Tracks(identity, person, camera, names)


def _with_strangers(
    tracks: _Tracks, people: int, distractors: int, junk: int, cameras: int, rng: np.random.Generator
) -> _Tracks:
    """The tracklets, then one each of `distractors` and `junk` further people."""
    extra = distractors + junk
    camera = rng.integers(cameras, size=extra)
    kinds = [*((DISTRACTOR, i) for i in range(distractors)), *((JUNK, i) for i in range(junk))]
    names = [
        f"{'junk' if kind == JUNK else 'distractor'} {i + 1}, camera {where + 1}"
        for (kind, i), where in zip(kinds, camera.tolist(), strict=True)
    ]
    return _Tracks(
        np.concatenate([tracks.identity, np.array([kind for kind, _ in kinds], dtype=np.int64)]),
        np.concatenate([tracks.person, people + np.arange(extra)]),
        np.concatenate([tracks.camera, camera]),
        tracks.names + names,
    )


def _split(name: str, config: SyntheticConfig, people: People, cameras: Cameras, tracks: _Tracks) -> Split:
    # A stream of its own, so that the test split does not depend on the size of the training split.
    rng = np.random.default_rng([config.seed, 1 if name == "train" else 2])
    half = config.frames // 2
    lengths = rng.integers(config.frames - half, config.frames + half + 1, size=len(tracks.person))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    junk: NDArray[np.bool_] = tracks.identity == JUNK
    strength = _HARDEST * config.difficulty
    walks = draw_walks(tracks.person, tracks.camera, junk, cameras, len(people), strength, rng)
    content = f"{name} {json.dumps(dataclasses.asdict(config), sort_keys=True)}"
    jitter = 0.02 + 0.08 * strength
    frames = DrawnFrames(walks, people, cameras, offsets, tracks.names, jitter, content, rng)
    return Split(name, frames, offsets, tracks.camera + 1, tracks.identity, tracks.names)

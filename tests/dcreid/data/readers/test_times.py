"""When a camera saw a tracklet: read from names, or known to be unknown."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from tiny_runs import tiny

from dcreid.algorithm import Algorithm
from dcreid.data import load_dataset
from dcreid.data.__main__ import main
from dcreid.data.halves import on_half
from dcreid.data.readers.duke import load_duke
from dcreid.data.readers.folder import load_folder
from dcreid.data.readers.mars import load_mars
from dcreid.data.tracklets import TrackletDataset

Write = Callable[..., None]
# Camera, first and last frame of tracklets on a clock: 1 and 2 meet in camera 1, 4 and 5 in camera 2.
SEEN = [(1, 100, 130), (1, 130, 190), (1, 400, 430), (2, 90, 120), (2, 100, 110), (2, 5000, 5030)]


def seen(root: Path, write_frames: Write, spell: Callable[[int, int], str] | None = None) -> Path:
    """`SEEN` with a frame every ten; spell: a frame's name, of camera and time."""
    spell = spell or (lambda camera, time: f"c{camera}_f{time:07d}.jpg")
    for i, (camera, first, last) in enumerate(SEEN):
        names = [spell(camera, time) for time in range(first, last + 1, 10)]
        write_frames(root / f"train/{i:04d}", names)
    return root


@pytest.mark.parametrize(
    "spell",
    [
        lambda camera, time: f"0005_c{camera}_f{time:07d}.jpg",
        lambda camera, time: f"C{camera}F{time}.jpg",
        lambda camera, time: f"c{camera}_x{time}.png",
        lambda camera, time: f"0001C{camera}F{time // 10:04d}X{time:05d}.jpg",
        lambda camera, time: f"f7_cam{camera}_f{time:05d}.jpg",  # what is before the camera is no time
    ],
    ids=["Duke", "upper", "x", "both", "before"],
)
def test_frame_numbers_behind_the_camera(
    tmp_path: Path, write_frames: Write, spell: Callable[[int, int], str]
) -> None:
    times = load_folder(seen(tmp_path, write_frames, spell)).train.times
    assert times is not None and times.tolist() == [[first, last] for _, first, last in SEEN]


def test_the_camera_may_stand_in_the_tracklets_name(tmp_path: Path, write_frames: Write) -> None:
    for name, first in (("C1_a", 7), ("C1_b", 20)):
        write_frames(tmp_path / "train" / name, [f"f{first + k}.jpg" for k in range(4)])
    times = load_folder(tmp_path).train.times
    assert times is not None and times.tolist() == [[7, 10], [20, 23]]


@pytest.mark.parametrize(
    "names",
    [
        [["c1_f1.jpg", "c1_f2.jpg"], ["c1_f1.jpg", "c1_f9.jpg"]],  # begin anew
        [["c1_f1.jpg"], ["c1_f1.jpg"], ["c1_f4.jpg"], ["c2_f1.jpg"]],  # most of them; camera 2 says nothing
        [["c1_f1.jpg"], ["c1_frame5.jpg"]],
        [["c1_f1.jpg"], ["c1_f5.jpg", "c1_last.jpg"]],
        [["c1_f1.jpg"], ["a_f5.jpg"]],  # of an unknown camera
        [["c1_a3f92.jpg"], ["c1_b7f13.jpg"]],
    ],
)
def test_no_clock(tmp_path: Path, write_frames: Write, names: Sequence[Sequence[str]]) -> None:
    for i, frames in enumerate(names):
        write_frames(tmp_path / f"train/{i}", frames)
    assert load_folder(tmp_path).train.times is None


@pytest.mark.parametrize(
    "starts",
    [
        [(1, 1), (1, 1), (1, 6), (1, 7)],  # half of them may start together
        [(1, 1), (1, 5), (1, 9), (2, 1), (3, 1)],  # a camera's only tracklet says nothing
        [(1, 1), (2, 1), (2, 1), (2, 4), (2, 5)],  # each camera has a clock of its own
        [(1, 5)],
    ],
)
def test_a_clock(tmp_path: Path, write_frames: Write, starts: Sequence[tuple[int, int]]) -> None:
    for i, (camera, start) in enumerate(starts):
        write_frames(tmp_path / f"train/{i}", [f"c{camera}_f{start}.jpg"])
    times = load_folder(tmp_path).train.times
    assert times is not None and times[:, 0].tolist() == [start for _, start in starts]


def test_mars_has_no_clock(tmp_path: Path, official_mars: Path, write_frames: Write) -> None:
    assert load_mars(official_mars).train.times is None
    for tracklet in (1, 2, 3):
        write_frames(
            tmp_path / f"own/{tracklet}", [f"0001C1T000{tracklet}F{frame:03d}.jpg" for frame in (1, 2)]
        )
    assert load_folder(tmp_path / "own").train.times is None


@pytest.mark.parametrize("gap", ["_", ""])
def test_dukes_clock_is_the_frame_in_the_video(tmp_path: Path, write_frames: Write, gap: str) -> None:
    for part in ("train", "query", "gallery"):
        for i, (camera, first, last) in enumerate(SEEN):
            names = [
                f"0001{gap}C{camera}{gap}F{1 + place:04d}{gap}X{time:05d}.jpg"
                for place, time in enumerate(range(first, last + 1, 10))
            ]
            write_frames(tmp_path / part / "0001" / f"{i:04d}", names)
    times = load_duke(tmp_path).train.times
    assert times is not None and times.tolist() == [[first, last] for _, first, last in SEEN]


def test_frames_are_read_in_order_of_time(tmp_path: Path, write_frames: Write) -> None:
    """So that halves and thirds of a tracklet are of its time; digits need not be padded."""
    write_frames(tmp_path / "train/0", [f"c1_f{time}.jpg" for time in (1000, 9, 100, 99, 10)])
    for part in ("train", "query", "gallery"):
        names = [f"0001C6F{place}X{time}.jpg" for place, time in ((10, 129), (9, 128), (100, 1300), (1, 99))]
        write_frames(tmp_path / "duke" / part / "0001/0001", names)
    read = [load_folder(tmp_path).train.frames, load_duke(tmp_path / "duke").train.frames]
    own, duke = ([Path(frames.name(i)).stem for i in range(len(frames))] for frames in read)
    assert own == ["c1_f9", "c1_f10", "c1_f99", "c1_f100", "c1_f1000"]
    assert [name.partition("X")[2] for name in duke] == ["99", "128", "129", "1300"]


def test_time_is_no_part_of_the_fingerprint(tmp_path: Path, write_frames: Write) -> None:
    data = load_folder(seen(tmp_path, write_frames))
    without = dataclasses.replace(data, train=dataclasses.replace(data.train, times=None))
    assert data.train.times is not None and data.fingerprint() == without.fingerprint()


def test_halves_keep_each_tracklets_time(tmp_path: Path, write_frames: Write) -> None:
    data = load_folder(seen(tmp_path, write_frames))
    people = np.array([1, 2, 3, 4, 1, 2])
    data = dataclasses.replace(data, train=dataclasses.replace(data.train, identities=people))
    for half in ("first_half", "second_half"):
        parted = on_half(data, half)
        for split in (parted.train, parted.test):
            assert split is not None and split.times is not None and 0 < len(split) < 6
            expected = [list(SEEN[int(name)][1:]) for name in split.names]
            assert split.times.tolist() == expected


def test_inspect_says_whether_names_carry_time(
    tmp_path: Path, write_frames: Write, user_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["inspect", str(seen(tmp_path / "timed", write_frames)), "--frames", "0"])
    assert "2 pairs of training tracklets that one camera saw at the same time" in capsys.readouterr().out
    main(["inspect", str(user_folder), "--frames", "0"])
    assert "do not tell when a camera saw them" in capsys.readouterr().out


def test_a_run_on_such_data_scores_exclusivity(tmp_path: Path, write_frames: Write) -> None:
    """Against a plain count over all pairs, by the names of the tracklets."""
    seen(tmp_path, write_frames)
    config = tiny(**{"data.dataset": "folder", "merge.merge_rate": 0.17, "train.batch_size": 3})
    data: TrackletDataset = load_dataset(config.data, tmp_path)
    algorithm = Algorithm(config, data)
    scores = [step.exclusivity for step in algorithm]
    assert len(scores) == 5
    for labels, score in zip(algorithm.labels_history, scores, strict=True):
        class_of = dict(zip(algorithm.order.tolist(), labels.tolist(), strict=True))
        met = [
            (a, b)
            for a, b in combinations(range(6), 2)
            if SEEN[a][0] == SEEN[b][0] and SEEN[a][1] <= SEEN[b][2] and SEEN[b][1] <= SEEN[a][2]
        ]
        together = [(a, b) for a, b in combinations(range(6), 2) if class_of[a] == class_of[b]]
        expected = len(set(met) & set(together)) / len(together) / (len(met) / 15)
        assert met == [(0, 1), (3, 4)] and score == pytest.approx(expected)

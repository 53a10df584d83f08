"""From videos of drawn people who walk past two cameras to tracklets, held against what was drawn."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from walking import Camera, walking, write_frames

from dcreid.__main__ import main
from dcreid.commands.tracklets import _progress
from dcreid.config import DataConfig
from dcreid.data import load_dataset
from dcreid.data.__main__ import main as look
from dcreid.video.cut import Source
from dcreid.video.tracks import Tracks

RULES = ("--min-height", "30", "--min-width", "15", "--min-frames", "3")


@pytest.fixture(scope="module")
def cameras(tmp_path_factory: pytest.TempPathFactory) -> list[Camera]:
    """Two cameras, four people, each twice before both."""
    return walking(tmp_path_factory.mktemp("walking"), cameras=2, people=4, visits=2, frames=60)


def arguments(cameras: list[Camera], out: Path, *more: str, videos: tuple[Path, ...] = ()) -> list[str]:
    shown = [str(video) for video in videos or [camera.video for camera in cameras]]
    tracks = [str(camera.tracks) for camera in cameras]
    return ["tracklets", *shown, "--tracks", *tracks, "--out", str(out), *RULES, *more]


def files(out: Path) -> list[str]:
    return sorted(str(path.relative_to(out)) for path in out.rglob("*.*"))


def test_tracklets_are_what_was_drawn(
    cameras: list[Camera], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "data"
    assert main(arguments(cameras, out)) == 0
    said = capsys.readouterr().out
    wanted = {}
    for camera in cameras:
        width = camera.pictures.shape[2]
        for frame, track, left, top, w, h in camera.boxes.tolist():
            begin, end = max(left, 0), min(left + w, width)
            if end - begin >= 0.7 * w:
                name = f"train/c{camera.number}/{track:04d}/c{camera.number}_f{frame:07d}.jpg"
                wanted[name] = camera.pictures[frame - 1][top : top + h, begin:end]
        assert f"{camera.video}: {len(camera.boxes)} boxes of 8 tracks" in said
    assert files(out) == sorted(wanted)
    assert f"{len(wanted) - sum('/c1/' in name for name in wanted)} frames written" in said
    for name, drawn in wanted.items():
        found = np.asarray(Image.open(out / name)).astype(float)
        assert found.shape == drawn.shape and np.abs(found - drawn).mean() < 3
    assert "keep it as private as the videos" in said
    assert f"python -m dcreid.data inspect {out}" in said
    assert f"python study/run.py --dataset folder --data-root {out}" in said


def test_the_result_reads_with_cameras_and_times(
    cameras: list[Camera], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(arguments(cameras, tmp_path / "d", "--inside", "0")) == 0
    train = load_dataset(DataConfig(dataset="folder"), tmp_path / "d").train
    assert train.cameras_known and train.times is not None and len(train) == 16
    for name, number, times in zip(train.names, train.cameras.tolist(), train.times.tolist(), strict=True):
        camera, boxes = cameras[number - 1], cameras[number - 1].boxes
        shown = boxes[(boxes[:, 1] == int(name[3:])) & (boxes[:, 2] + boxes[:, 4] >= 15)]
        shown = shown[shown[:, 2] <= camera.pictures.shape[2] - 15]
        assert name[:3] == f"c{number}/" and times == [shown[0, 0], shown[-1, 0]]
    capsys.readouterr()
    assert look(["inspect", str(tmp_path / "d")]) == 0
    said = capsys.readouterr().out
    assert "pairs of training tracklets that one camera saw at the same time" in said and "readable" in said


def test_a_folder_of_frames_gives_the_same(cameras: list[Camera], tmp_path: Path):
    camera = cameras[0]
    write_frames(tmp_path / "img1", camera.pictures)
    assert main(arguments([camera], tmp_path / "video")) == 0
    assert main(arguments([camera], tmp_path / "frames", videos=(tmp_path / "img1",))) == 0
    assert files(tmp_path / "frames") == files(tmp_path / "video")
    for name in files(tmp_path / "video"):
        assert (tmp_path / "frames" / name).read_bytes() == (tmp_path / "video" / name).read_bytes()


def test_cameras_are_added_and_none_is_overwritten_unasked(
    cameras: list[Camera], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "d"
    assert main(arguments(cameras[:1], out)) == 0
    before = files(out)
    assert main(arguments(cameras[1:], out)) == 2
    assert "train/c1 is there already; --camera N" in capsys.readouterr().err
    assert files(out) == before
    assert main(arguments(cameras[1:], out, "--camera", "7")) == 0
    assert {name[:8] for name in files(out)} == {"train/c1", "train/c7"}
    assert load_dataset(DataConfig(dataset="folder"), out).train.cameras.max() == 7
    assert main(arguments(cameras[1:], out, "--force", "--every", "2")) == 0
    assert {name[:8] for name in files(out)} == {"train/c1", "train/c7"}
    assert files(out)[: len(before)] != before


def test_two_videos_of_a_camera_have_one_clock(cameras: list[Camera], tmp_path: Path):
    out = tmp_path / "d"
    assert main(arguments(cameras, out, "--camera", "1", "1", "--start", "1", "61")) == 0
    train = load_dataset(DataConfig(dataset="folder"), out).train
    assert len(train) == 16 and train.cameras.tolist() == [1] * 16 and train.times is not None
    later = np.array(["_f0000061/" in name for name in train.names])
    assert train.times[~later].max() <= 60 and train.times[later].min() > 60 and later.sum() == 8


def test_names_of_frames_that_leave_numbers_out_are_told(
    cameras: list[Camera], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    write_frames(tmp_path / "img1", cameras[0].pictures)
    (tmp_path / "img1/000060.png").rename(tmp_path / "img1/000070.png")
    assert main(arguments(cameras[:1], tmp_path / "d", videos=(tmp_path / "img1",))) == 0
    assert "in order, whatever their names say: number 60 is 000070" in capsys.readouterr().out


def test_what_was_left_out_is_told(cameras: list[Camera], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    short = shutil.copy(cameras[0].tracks, tmp_path / "t.txt")
    with open(short, "a") as file:
        file.write("61,99,1,1,40,80,0.9,-1,-1,-1\n62,99,1,1,40,80,0.9,-1,-1,-1\n")
    command = arguments(cameras[:1], tmp_path / "d", "--every", "2")
    command[command.index("--tracks") + 1] = str(short)
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "left out: 2 boxes in frames behind the end of the video" in said
    assert "the video ends with frame 60, the tracks with 62" in said
    assert (
        "boxes passed over by --every" in said and "of which less than --inside lies in the picture" in said
    )
    counted = [
        int(line.split("left out: ")[1].split()[0]) for line in said.splitlines() if "left out" in line
    ]
    assert sum(counted) + len(files(tmp_path / "d")) == len(cameras[0].boxes) + 2


def test_a_terminal_shows_how_far_it_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    found = Tracks(np.array([1, 2500]), np.array([1, 1]), np.ones((2, 4)), np.ones(2))
    source = Source(Path("a\x1b.mp4"), found, 1)
    assert _progress(source) is None  # not for a file or pipe
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    tell = _progress(source)
    assert tell is not None
    for frame in (1999, 2000, 2001):
        tell(frame)
    assert capsys.readouterr().err == "a\\x1b.mp4: frame 2,000 of 2,500\r"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--camera", "1"], "--camera: 1 for 2 VIDEO(s); give one for each, in order"),
        (["--camera", "3", "3"], "--camera: a number stands there twice"),
        (["--camera", "-1", "2"], "--camera"),
        (["--tracks", "x.txt"], "--tracks: 1 for 2 VIDEO(s)"),
        (["--start", "1", "1", "9"], "--start: 3 for 2 VIDEO(s)"),
        (["--start", "0", "1"], "argument --start: '0': must be a whole number from 1 on"),
        (["--every", "0"], "argument --every: '0': must be >= 1"),
        (["--inside", "1.5"], "argument --inside: '1.5': must be >= 0 and <= 1"),
        (["--max-gap", "1.5"], "argument --max-gap: '1.5' is not a whole number"),
    ],
)
def test_options_that_do_not_go(
    cameras: list[Camera], tmp_path: Path, capsys: pytest.CaptureFixture[str], change: list[str], said: str
):
    try:
        status = main(arguments(cameras, tmp_path / "d", *change))
    except SystemExit as end:
        status = int(str(end.code))
    assert status == 2 and said in capsys.readouterr().err and not (tmp_path / "d").exists()

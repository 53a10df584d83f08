"""Frames of videos and of folders, in order, upright, and what cannot be read of them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from walking import Camera, walking, write_frames, write_video

from dcreid.data.tracklets import DataError
from dcreid.video.frames import BrokenOff, Picture, left_out_numbers, opened


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Camera:
    """Forty frames of three people."""
    return walking(tmp_path_factory.mktemp("walking"))[0]


def frames(video: Path) -> list[Picture | None]:
    with opened(video) as found:
        return [frame() for frame in found]


def same(found: list[Picture | None], drawn: np.ndarray, tolerance: float = 0.0) -> None:
    assert len(found) == len(drawn)
    for picture, wanted in zip(found, drawn, strict=True):
        assert picture is not None and picture.shape == wanted.shape
        assert np.abs(picture.astype(float) - wanted).mean() <= tolerance


def test_a_video_without_loss_is_what_was_drawn(camera: Camera):
    same(frames(camera.video), camera.pictures)


def test_a_folder_of_frames_is_the_video(camera: Camera, tmp_path: Path):
    write_frames(tmp_path / "img1", camera.pictures[:12])
    (tmp_path / "img1/seqinfo.ini").write_text("no frame")
    same(frames(tmp_path / "img1"), camera.pictures[:12])


def test_frames_of_a_folder_are_in_natural_order(camera: Camera, tmp_path: Path):
    for number in range(1, 13):
        Image.fromarray(camera.pictures[number]).save(tmp_path / f"f{number}.png", compress_level=1)
    same(frames(tmp_path), camera.pictures[1:13])


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("000001 000002 000003", ""),
        ("0 1 2", ""),
        ("7 8 9", ""),
        ("000001 000003", "number 2 is 000003"),
        ("0 1 2 5", "number 4 is 5"),
        ("a1 a3", ""),
    ],
)
def test_numbers_that_names_leave_out_are_told(tmp_path: Path, names: str, said: str):
    for name in names.split():
        (tmp_path / f"{name}.jpg").write_bytes(b"")
    told = left_out_numbers(tmp_path)
    assert told.endswith(said) and bool(told) == bool(said)


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_usual_codecs(camera: Camera, tmp_path: Path, codec: str):
    write_video(tmp_path / "v.mp4", camera.pictures[:10], codec)
    same(frames(tmp_path / "v.mp4"), camera.pictures[:10], tolerance=6.0)


def test_a_video_filmed_sideways_is_turned_upright(camera: Camera, tmp_path: Path):
    sideways = np.rot90(camera.pictures[:3], axes=(1, 2))  # against the clock
    write_video(tmp_path / "v.mkv", sideways, turned=-90)
    same(frames(tmp_path / "v.mkv"), camera.pictures[:3])


def test_a_photograph_taken_sideways_is_turned_upright(camera: Camera, tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees with the clock
    Image.fromarray(np.rot90(camera.pictures[0])).save(tmp_path / "1.png", exif=exif)
    same(frames(tmp_path), camera.pictures[:1])


def test_frames_that_cannot_be_read_count_all_the_same(camera: Camera, tmp_path: Path):
    write_frames(tmp_path / "d", camera.pictures[:5])
    (tmp_path / "d/000002.png").write_bytes((tmp_path / "d/000002.png").read_bytes()[:900])
    (tmp_path / "d/000003.png").unlink()
    os.mkfifo(tmp_path / "d/000003.png")
    (tmp_path / "d/000004.png").write_bytes(b"")
    found = frames(tmp_path / "d")
    assert [picture is None for picture in found] == [False, True, True, True, False]
    same([found[4]], camera.pictures[4:5])


def test_a_damaged_picture_of_a_video_is_none(camera: Camera, tmp_path: Path):
    write_video(tmp_path / "v.avi", camera.pictures, "mpeg4")
    content = bytearray((tmp_path / "v.avi").read_bytes())
    with av.open(str(tmp_path / "v.avi")) as container:
        start = next(iter(container.demux(video=0))).pos
    content[start + 2000 : start + 2500] = bytes(500)
    (tmp_path / "v.avi").write_bytes(content)
    found = frames(tmp_path / "v.avi")
    assert len(found) == len(camera.pictures) and found[0] is None and found[20] is not None


def test_a_video_that_breaks_off(camera: Camera, tmp_path: Path):
    write_video(tmp_path / "v.mp4", camera.pictures, "libx264")
    content = bytearray((tmp_path / "v.mp4").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 500] = bytes(500)
    (tmp_path / "v.mp4").write_bytes(content)
    found = []
    with opened(tmp_path / "v.mp4") as pictures, pytest.raises(BrokenOff, match="Invalid data"):
        for frame in pictures:
            found.append(frame())
    assert 0 < len(found) < len(camera.pictures)
    same(found[:5], camera.pictures[:5], tolerance=6.0)


def test_a_title_that_is_no_utf8_does_no_harm(camera: Camera, tmp_path: Path):
    with av.open(str(tmp_path / "v.mkv"), "w") as container:
        container.metadata["title"] = "café"
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width = camera.pictures.shape[1:3]
        stream.pix_fmt = "bgr0"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(camera.pictures[0], format="rgb24")))
        container.mux(stream.encode())
    content = (tmp_path / "v.mkv").read_bytes()
    (tmp_path / "v.mkv").write_bytes(content.replace("café".encode(), b"caf\xe9!"))
    same(frames(tmp_path / "v.mkv"), camera.pictures[:1])


def test_what_is_no_video_is_named(tmp_path: Path):
    (tmp_path / "text.mp4").write_text("<html>404 Not Found</html>")
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), dtype=np.int16), layout="mono")
        sound.rate = 8000
        container.mux(stream.encode(sound))
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "MOT17-02/img1").mkdir(parents=True)
    for name, said in (
        ("none.mp4", "none.mp4: no such file"),
        ("text.mp4", "text.mp4: not a video that FFmpeg can open .*copied whole"),
        ("sound.wav", "sound.wav: holds no video stream"),
        ("pipe", "pipe: not a file"),
        ("MOT17-02/img1", r"img1: no frames \(.jpg, .jpeg, .png\) in this folder; give a video, or"),
        ("MOT17-02", "MOT17-02: no frames .*; give .*MOT17-02/img1"),
    ):
        with pytest.raises(DataError, match=said), opened(tmp_path / name):
            pass


def test_without_pyav_the_extra_is_named(camera: Camera, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DataError, match=r"PyAV, which is not installed: pip install -e '.\[video\]'"):
        frames(camera.video)
    write_frames(tmp_path / "img1", camera.pictures[:2])
    same(frames(tmp_path / "img1"), camera.pictures[:2])

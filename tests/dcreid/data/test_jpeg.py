"""Frames whole and broken: what is decoded, and what is said about the rest."""

from __future__ import annotations

import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.io import encode_jpeg, encode_png

from dcreid.data.jpeg import _jpeg_size, _png_size, explain, explain_all, read_jpegs

PIXELS = torch.randint(0, 256, (3, 16, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def _png(pixels: torch.Tensor = PIXELS) -> bytes:
    return bytes(encode_png(pixels).numpy().tobytes())


def _grey() -> bytes:
    return bytes(encode_jpeg(PIXELS[:1]).numpy().tobytes())


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda whole: whole, None),
        (lambda whole: whole + b"trailing bytes", None),
        (lambda whole: _grey(), None),
        (lambda whole: _png(), None),  # a PNG named .jpg
        (lambda whole: b"", "zero bytes"),
        (lambda whole: whole[: len(whole) // 2], "truncated JPEG"),
        (lambda whole: whole[:-2], "truncated JPEG"),
        (lambda whole: whole[:2], "truncated JPEG"),
        (lambda whole: whole[:2] + b"\xff\xc0\x00\x01" + whole[6:], "damaged JPEG"),
        (lambda whole: _png()[: len(_png()) // 2], "damaged PNG"),
        (lambda whole: b"<html>404 Not Found</html>", "neither JPEG nor PNG"),
        (lambda whole: bytes(500), "neither JPEG nor PNG"),
    ],
)
def test_reason(tmp_path: Path, jpeg: bytes, damage: Callable[[bytes], bytes], reason: str | None) -> None:
    path = tmp_path / "frame.jpg"
    path.write_bytes(damage(jpeg))
    assert explain(path) == reason
    pixels, readable = read_jpegs([path], 16, 8)
    assert readable.tolist() == [reason is None]
    assert bool(pixels.any()) == (reason is None)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    assert explain(tmp_path / "gone.jpg") == "missing"
    assert explain(tmp_path) == "not a file"


def test_deep_png_is_refused(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 1, 1, 16, 0, 0, 0, 0)  # 1 × 1, 16 bits, grey
    path = tmp_path / "deep.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0\x12\x34"))
        + chunk(b"IEND", b"")
    )
    assert explain(path) == "PNG with more than 8 bits per channel"


def test_png_pixels_arrive_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "frame.png"
    path.write_bytes(_png())
    pixels, _ = read_jpegs([path], 16, 8)
    assert np.array_equal(pixels[0], PIXELS.permute(1, 2, 0).numpy())


def test_frames_are_brought_to_size(tmp_path: Path) -> None:
    path = tmp_path / "frame.png"
    left = torch.zeros(3, 40, 20, dtype=torch.uint8)
    left[0, :, :10] = 200
    path.write_bytes(_png(left))
    pixels, _ = read_jpegs([path], 8, 4)
    assert pixels.shape == (1, 8, 4, 3)
    assert (pixels[0, :, 0, 0] == 200).all() and (pixels[0, :, 3] == 0).all() and not pixels[..., 1:].any()


def test_many_frames_keep_their_order(tmp_path: Path) -> None:
    paths = [tmp_path / f"{frame}.png" for frame in range(70)]
    for grey, path in enumerate(paths):
        if grey % 9:
            path.write_bytes(_png(torch.full((3, 4, 4), grey, dtype=torch.uint8)))
    pixels, readable = read_jpegs(paths, 4, 4)
    expected = [grey if grey % 9 else 0 for grey in range(70)]
    assert pixels[:, 0, 0, 0].tolist() == expected
    assert readable.tolist() == [bool(grey % 9) for grey in range(70)]
    assert list(explain_all(paths)) == [None if grey % 9 else "missing" for grey in range(70)]


def test_no_frames() -> None:
    pixels, readable = read_jpegs([], 4, 4)
    assert pixels.shape == (0, 4, 4, 3) and readable.shape == (0,)
    assert list(explain_all([])) == []


@pytest.mark.parametrize("kind", ["pipe", "device", "socket", "folder"])
def test_what_is_no_file_is_never_opened(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "001.jpg"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        monkeypatch.chdir(tmp_path)
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("001.jpg")
    monkeypatch.setattr(np, "fromfile", lambda *_, **__: pytest.fail("opened"))
    assert explain(path) == "not a file"


def _size_in_header(whole: bytes, width: int, height: int) -> bytes:
    place = whole.index(b"\xff\xc0") + 5
    return whole[:place] + struct.pack(">HH", height, width) + whole[place + 4 :]


@pytest.mark.parametrize("before", [b"", b"\xff\xfe\x00\x06abcd", b"\xff\xff\xff\xfe\x00\x02", b"\xff\x01"])
def test_a_picture_that_its_header_makes_huge_is_not_decoded(
    tmp_path: Path, jpeg: bytes, before: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dcreid.data.jpeg.decode_jpeg", lambda *_, **__: pytest.fail("decoded"))
    path = tmp_path / "001.jpg"
    path.write_bytes(b"\xff\xd8" + before + _size_in_header(jpeg, 65_000, 60_000)[2:])
    assert explain(path) == "JPEG of 65,000 × 60,000 pixels"


def test_the_size_of_a_picture_is_as_the_decoder_finds_it(tmp_path: Path, jpeg: bytes) -> None:
    data = np.frombuffer(jpeg, dtype=np.uint8)
    assert _jpeg_size(data) == (8, 16)
    assert _png_size(np.frombuffer(_png(), dtype=np.uint8)) == (8, 16)
    for length in range(len(jpeg)):
        assert _jpeg_size(data[:length]) in {(0, 0), (8, 16)}


def test_a_file_too_large_for_a_frame_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "fromfile", lambda *_, **__: pytest.fail("read"))
    path = tmp_path / "001.jpg"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert explain(path) == "1,048,576 MiB"

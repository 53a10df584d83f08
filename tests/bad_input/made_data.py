"""Data sets that bad inputs are about: folders of tiny frames, and a MARS."""

from __future__ import annotations

import functools
import io
import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bad_input.made import Make

# (identity, camera, frames) of the tracklets
_TRAIN = ((1, 1, 3), (1, 2, 2), (3, 1, 4))
_TEST = ((-1, 1, 1), (0, 2, 2), (2, 1, 3), (2, 3, 2), (4, 1, 2), (4, 2, 2))
_QUERY = (3, 5)


@functools.cache
def image(kind: str = "JPEG", mode: str = "RGB", **options: Any) -> bytes:
    """A picture of 16 × 8 pixels."""
    from PIL import Image

    stream = io.BytesIO()
    Image.new(mode, (8, 16)).save(stream, kind, **options)
    return stream.getvalue()


def png(width: int, height: int, depth: int = 8) -> bytes:
    """A PNG file of these measures, with the pixels of the first row at most."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1 + min(width, 64) * depth // 8))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def large_jpeg() -> bytes:
    """A JPEG file whose header says 65,000 × 65,000."""
    whole = image()
    place = whole.index(b"\xff\xc0") + 5
    return whole[:place] + struct.pack(">HH", 65_000, 65_000) + whole[place + 4 :]


def animated() -> bytes:
    """A GIF file of two frames."""
    from PIL import Image

    stream, frames = io.BytesIO(), [Image.new("P", (8, 16), value) for value in (0, 1)]
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    return stream.getvalue()


def tracklet(folder: str, count: int = 3) -> Make:
    """`<folder>/001.jpg` and so on."""

    def make(here: Path) -> None:
        (here / folder).mkdir(parents=True, exist_ok=True)
        for number in range(1, count + 1):
            (here / folder / f"{number:03d}.jpg").write_bytes(image())

    return make


def cameras(here: Path) -> None:
    """A user's folder `d` with three tracklets to train on, two queries and a gallery of four."""
    for folder in ("train/a", "train/b", "train/c"):
        tracklet(f"d/{folder}")(here)
    for folder in ("query/1/C1_1", "query/2/C1_1"):
        tracklet(f"d/{folder}")(here)
    for folder in ("gallery/1/C2_1", "gallery/2/C2_1", "gallery/3/C1_1", "gallery/3/C2_1"):
        tracklet(f"d/{folder}")(here)


def frame(content: bytes | Callable[[], bytes], name: str = "d/train/a/001.jpg") -> Make:
    """The folder `cameras` (unless `d` is there) with another frame."""

    def make(here: Path) -> None:
        if not (here / "d").exists():
            cameras(here)
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(content() if callable(content) else content)

    return make


def in_place(name: str, kind: Callable[[Path], object]) -> Make:
    """Something that is no file in the place of a file."""

    def make(here: Path) -> None:
        path = here / name
        if path.exists():
            path.unlink()
        path.parent.mkdir(parents=True, exist_ok=True)
        kind(path)

    return make


def fifo(path: Path) -> None:
    """A pipe that nobody writes to."""
    os.mkfifo(path)


def device(path: Path) -> None:
    """A link to a device that never ends."""
    path.symlink_to("/dev/zero")


def dangling(path: Path) -> None:
    """A link to nothing."""
    path.symlink_to("nowhere")


def unix_socket(path: Path) -> None:
    """A socket."""
    with socket.socket(socket.AF_UNIX) as made:
        here = os.getcwd()
        os.chdir(path.parent)  # addresses of sockets are short
        made.bind(path.name)
        os.chdir(here)


def loop(path: Path) -> None:
    """A link to the folder above its own."""
    path.symlink_to("..")


def duke(here: Path) -> None:
    """`d` as a DukeMTMC-VideoReID."""
    for folder, camera in (
        ("train/0005/1", 1),
        ("train/0006/1", 1),
        ("query/0001/1", 1),
        ("gallery/0001/1", 2),
    ):
        person = folder.split("/")[1]
        path = here / "d" / folder
        path.mkdir(parents=True)
        for number in (1, 2):
            (path / f"{person}C{camera}F{number}X{number}.jpg").write_bytes(image())


def mars(here: Path) -> None:
    """MARS in `m`, in the layout of its makers."""
    root = here / "m"
    (root / "info").mkdir(parents=True)
    for part, tracks in (("train", _TRAIN), ("test", _TEST)):
        names, rows = [], []
        for number, (identity, camera, frames) in enumerate(tracks, start=1):
            person = "00-1" if identity == -1 else f"{identity:04d}"
            rows.append((len(names) + 1, len(names) + frames, identity, camera))
            names += [f"{person}C{camera}T{number:04d}F{f:03d}.jpg" for f in range(1, frames + 1)]
        for name in names:
            folder = root / f"bbox_{part}" / name[:4]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(image())
        (root / "info" / f"{part}_name.txt").write_text("\n".join(names) + "\n")
        mat(f"m/info/tracks_{part}_info.mat", rows)(here)
    mat("m/info/query_IDX.mat", [_QUERY])(here)


def mat(name: str, content: Any) -> Make:
    """A .mat file of one variable, or of those in a dictionary."""

    def make(here: Path) -> None:
        import scipy.io

        scipy.io.savemat(here / name, content if isinstance(content, dict) else {"table": content})

    return make


def in_duke(*changes: Make) -> Make:
    """The folder `duke` after some changes."""

    def make(here: Path) -> None:
        for change in (duke, *changes):
            change(here)

    return make


def in_mars(*changes: Make) -> Make:
    """MARS after some changes."""

    def make(here: Path) -> None:
        for change in (mars, *changes):
            change(here)

    return make


def in_cameras(*changes: Make) -> Make:
    """The folder `cameras` after some changes."""

    def make(here: Path) -> None:
        for change in (cameras, *changes):
            change(here)

    return make

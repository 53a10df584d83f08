"""Frames from image files: decoded on a few threads, resized, and told apart when broken.

torchvision's decoders release the GIL, so plain threads keep the cores busy. A JPEG that ends early
is an error there (not a grey-bottomed picture, as with a lenient decoder), which is what lets a
broken download be found.
"""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate
from torchvision.io import ImageReadMode, decode_jpeg, decode_png

_JPEG, _PNG = b"\xff\xd8", b"\x89PNG"
_SIZE_MARKERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15
_SIZE_LENGTH = 8  # of such a header without any component
_BARE_MARKERS = {0x01, *range(0xD0, 0xD9)}  # without a length
# A header may say 65,500 × 65,500 in a file of a few bytes, and the decoder takes the memory for that first.
_MOST_PIXELS, _MOST_BYTES = 1 << 26, 1 << 28
_FRAMES_PER_TASK = 16  # a task per frame spends more on the queue than a small frame takes to decode


class FrameError(Exception):
    """A frame that cannot be read; the message is one phrase, without the path."""


def read_jpegs(paths: Sequence[Path], height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Decodes k JPEG or PNG files to RGB and brings them to one size (antialiased bilinear).

    Returns uint8 (k, height, width, 3) and bool (k,): False marks a missing, empty, truncated or
    otherwise unreadable file, whose frame is all zeros.
    """
    pixels = np.zeros((len(paths), height, width, 3), dtype=np.uint8)
    readable = np.zeros(len(paths), dtype=np.bool_)

    def read(rows: range) -> None:
        for row in rows:
            try:
                frame = resize(_decode(paths[row]), height, width)
            except FrameError:
                continue
            pixels[row], readable[row] = frame.permute(1, 2, 0).numpy(), True

    list(_pool(os.getpid()).map(read, _tasks(len(paths))))
    return pixels, readable


def explain(path: Path) -> str | None:
    """What is wrong with a frame, in one phrase ("zero bytes", "truncated JPEG"); None if it decodes."""
    try:
        _decode(path)
    except FrameError as error:
        return str(error)
    return None


def explain_all(paths: Sequence[Path]) -> Iterator[str | None]:
    """`explain` of every path, in order, on the decoding threads; yields as results come in."""

    def check(rows: range) -> list[str | None]:
        return [explain(paths[row]) for row in rows]

    for phrases in _pool(os.getpid()).map(check, _tasks(len(paths))):
        yield from phrases


def _tasks(count: int) -> list[range]:
    return [range(start, min(start + _FRAMES_PER_TASK, count)) for start in range(0, count, _FRAMES_PER_TASK)]


@functools.cache
def _pool(process: int) -> ThreadPoolExecutor:
    # By process id: the threads of a pool made before a fork do not exist in the child.
    threads = min(16, os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count() or 1)
    return ThreadPoolExecutor(threads, thread_name_prefix=f"frames-{process}")


def _decode(path: Path) -> torch.Tensor:
    """RGB uint8 (3, h, w); raises FrameError."""
    data = _content(path)
    head = data[:4].tobytes()
    if head.startswith(_JPEG):
        kind, decoder, size = "JPEG", decode_jpeg, _jpeg_size(data)
    elif head == _PNG:
        kind, decoder, size = "PNG", decode_png, _png_size(data)
    else:
        raise FrameError("neither JPEG nor PNG")
    if size[0] * size[1] > _MOST_PIXELS:
        raise FrameError(f"{kind} of {size[0]:,} × {size[1]:,} pixels")
    return _decode_with(decoder, data, kind)


def _content(path: Path) -> NDArray[np.uint8]:
    """The bytes of a regular file; a pipe or device is never opened. Raises FrameError."""
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise FrameError("not a file")
        if found.st_size > _MOST_BYTES:
            raise FrameError(f"{found.st_size / 2**20:,.0f} MiB")
        data = np.fromfile(path, dtype=np.uint8)
    except FileNotFoundError:
        raise FrameError("missing") from None
    except OSError as error:
        raise FrameError(f"not readable ({error.strerror or error})") from None
    if not len(data):
        raise FrameError("zero bytes")
    return data


def _png_size(data: NDArray[np.uint8]) -> tuple[int, int]:
    """(width, height) as the header has it; zeros where it is cut."""
    header = data[16:24].tobytes()
    return int.from_bytes(header[:4]), int.from_bytes(header[4:])


def _jpeg_size(data: NDArray[np.uint8]) -> tuple[int, int]:
    """(width, height) of the first frame header (SOF); zeros where there is none."""
    place = 2
    while place + 9 <= len(data) and data[place] == 0xFF:
        marker = int(data[place + 1])
        length = int.from_bytes(data[place + 2 : place + 4].tobytes())
        if marker in _SIZE_MARKERS and length >= _SIZE_LENGTH:
            height, width = data[place + 5 : place + 9].view(">u2")
            return int(width), int(height)
        if marker == 0xFF:  # one more of them than is needed
            place += 1
        elif marker in _BARE_MARKERS:
            place += 2
        else:
            place += 2 + length
    return 0, 0


def _decode_with(decoder: object, data: NDArray[np.uint8], kind: str) -> torch.Tensor:
    try:
        frame: torch.Tensor = decoder(torch.from_numpy(data), mode=ImageReadMode.RGB)  # type: ignore[operator]
    except RuntimeError as error:
        how = "truncated" if "truncated" in str(error) or "incomplete" in str(error) else "damaged"
        raise FrameError(f"{how} {kind}") from None
    if frame.dtype != torch.uint8:
        raise FrameError(f"{kind} with more than 8 bits per channel")
    return frame


def resize(frame: torch.Tensor, height: int, width: int) -> torch.Tensor:
    if frame.shape[1:] == (height, width):
        return frame
    return interpolate(frame[None], size=(height, width), mode="bilinear", antialias=True)[0]

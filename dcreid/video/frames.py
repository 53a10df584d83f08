"""The frames of a video file, or of a folder of pictures, one after another.

Frames are counted from 1 in the order in which they are shown, whatever their times or names say, as
trackers count them. Videos are decoded by PyAV, whose wheels bring FFmpeg with them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image, ImageOps

from dcreid.data.readers.walk import IMAGE_SUFFIXES, in_order, is_number, scan
from dcreid.data.tracklets import DataError

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer

Picture: TypeAlias = UInt8[ndarray, "h w 3"]
# Gives the picture (RGB, upright), or None where it cannot be read; what nobody asks for is not converted.
Frame: TypeAlias = Callable[[], Picture | None]


class BrokenOff(Exception):
    """A video that cannot be decoded any further; the message is the reason in one phrase."""


@contextmanager
def opened(video: Path) -> Iterator[Iterator[Frame]]:
    """The frames of a video file or of a folder of pictures, which may raise BrokenOff.

    Raises DataError where there is none, or nothing that shows pictures.
    """
    if not os.path.lexists(video):
        raise DataError(f"{video}: no such file; give a video, or a folder of frames")
    if video.is_dir():
        yield _pictures(video)
        return
    if not video.is_file():
        raise DataError(f"{video}: not a file; give a video, or a folder of frames")
    with _container(video) as container:
        yield _decoded(container)


def left_out_numbers(video: Path) -> str:
    """What to say where the frames of a folder are numbered, but not one after another; else empty."""
    stems = [Path(name).stem for name in _names(video)] if video.is_dir() else []
    if not all(map(is_number, stems)):
        return ""
    for frame, stem in enumerate(stems, start=1):
        if int(stem) != int(stems[0]) + frame - 1:
            return f"frames are counted in order, whatever their names say: number {frame} is {stem}"
    return ""


def _pictures(folder: Path) -> Iterator[Frame]:
    names = _names(folder)
    if not names:
        inner = folder / "img1"
        mend = f"give {inner}" if inner.is_dir() else "give a video, or a folder of frames"
        raise DataError(f"{folder}: no frames ({', '.join(IMAGE_SUFFIXES)}) in this folder; {mend}")
    return (partial(_read, folder / name) for name in names)


def _names(folder: Path) -> list[str]:
    return in_order(name for name in scan(folder)[0] if name.lower().endswith(IMAGE_SUFFIXES))


def _read(path: Path) -> Picture | None:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


@contextmanager
def _container(video: Path) -> Iterator[InputContainer]:
    try:
        import av
    except ImportError:
        raise DataError(
            f"{video}: videos are decoded by PyAV, which is not installed: pip install -e '.[video]' "
            "(a folder of frames needs none)"
        ) from None
    name = str(video.absolute())  # which is no URL, whatever the video is called
    try:
        try:
            container = av.open(name)
        except UnicodeDecodeError:  # a title that is no UTF-8; PyAV 19 does without this option
            container = av.open(name, metadata_errors="replace")
    except (av.error.FFmpegError, ValueError) as error:
        raise DataError(
            f"{video}: not a video that FFmpeg can open ({_reason(error)}); was it copied whole?"
        ) from None
    with container:
        if not container.streams.video:
            raise DataError(f"{video}: holds no video stream; give a video, or a folder of frames")
        yield container


def _decoded(container: InputContainer) -> Iterator[Frame]:
    from av.error import FFmpegError

    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    try:
        for frame in container.decode(stream):
            yield partial(_rgb, frame)
    except FFmpegError as error:
        raise BrokenOff(_reason(error)) from None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _rgb(frame: VideoFrame) -> Picture | None:
    if frame.is_corrupt:
        return None
    # Telephones film sideways and say so; players and OpenCV turn the picture upright.
    return np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))

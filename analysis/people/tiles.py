"""Tracklets on a page: a small picture each, in a border that says what is known of it, with a line below."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from analysis.page.frame import Pictures, render
from dcreid.data.jpeg import read_jpegs
from dcreid.data.tracklets import Ints, Split

SHOWN = (48, 96)  # pixels of a picture on the page, width and height
_STORED = (64, 128)  # in the file: sharper on fine screens
_QUALITY = 60  # of WebP
Pixels: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True)
class Tile:
    """kind: right, wrong, ignored, query or "". text: below the picture; name: what a pointer shows."""

    kind: str
    name: str
    text: str
    picture: Markup | None = None  # None: the name stands there
    gap: bool = False  # something is left out before it
    distance: float | None = None  # from the query


def people(tiles: Sequence[Tile]) -> Markup:
    """Tiles side by side."""
    return render("people-tiles.html", tiles=tiles)


class Thumbnails:
    """Pictures of a split's tracklets, each read from its middle frame where it lies, when it is written.

    split: None where its frames are not at hand. of: tells data sets on one page apart.
    """

    def __init__(self, split: Split | None, pictures: Pictures, of: str):
        self._split, self._pictures, self._of = split, pictures, of

    @property
    def shown(self) -> bool:
        """Whether there are any."""
        return self._split is not None and self._pictures.shown

    def __call__(self, tracklet: int, alt: str) -> Markup | None:
        """The picture of a tracklet; None without pictures."""
        split = self._split
        if split is None or not self.shown:
            return None
        name = f"{self._of} {split.name} {tracklet}"
        return self._pictures.show(name, SHOWN, lambda: _webp(_middle(split, tracklet)), alt)


def picture_of_file(path: Path, pictures: Pictures, alt: str) -> Markup | None:
    """The picture in a JPEG or PNG file; None without pictures, or where there is no such file."""
    if not pictures.shown or not path.is_file():
        return None
    return pictures.show(str(path), SHOWN, lambda: _webp(_read_file(path)), alt)


def drawn_picture(name: str, draw: Callable[[], Pixels], pictures: Pictures, alt: str) -> Markup | None:
    """A picture that `draw` makes in the stored size; None without pictures."""
    if not pictures.shown:
        return None
    return pictures.show(name, SHOWN, lambda: _webp(draw()), alt)


def drawn(split: Split, frame: int) -> Pixels:
    """A frame of a split in the stored size."""
    pixels: Pixels = _read(split, np.array([frame], dtype=np.int64))[0][0]
    return pixels


def _middle(split: Split, tracklet: int) -> Pixels:
    """The middle frame, or the first that can be read; black where none can."""
    first, end = int(split.offsets[tracklet]), int(split.offsets[tracklet + 1])
    pixels, readable = _read(split, np.array([(first + end) // 2], dtype=np.int64))
    if not readable[0]:
        pixels, readable = _read(split, np.arange(first, end, dtype=np.int64))
    shown: Pixels = pixels[readable.argmax()]
    return shown


def _read(split: Split, frames: Ints) -> tuple[Pixels, NDArray[np.bool_]]:
    return split.frames.read(frames, _STORED[1], _STORED[0])


def _read_file(path: Path) -> Pixels:
    pixels: Pixels = read_jpegs([path], _STORED[1], _STORED[0])[0][0]
    return pixels


def _webp(pixels: Pixels) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "WEBP", quality=_QUALITY)
    return content.getvalue()

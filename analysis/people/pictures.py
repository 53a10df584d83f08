"""Tracklets as pictures: rank lists and contact sheets, one frame per tracklet in a coloured border.

Green is right, red is wrong, blue is the query or, in a class, an identity that
nobody knows; a tick or a cross under the frame says the same without colour. Without labels a query's
neighbours are grey and have no mark.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from analysis.page.typeset import number
from analysis.people.rank_lists import IGNORED, RIGHT, WRONG, RankList
from dcreid.commandline import visible
from dcreid.data.store import FrameStore
from dcreid.data.tracklets import Ints, Split

QUERY, NEAR = "query", "near"  # near: nobody knows whether it is right
_BORDERS = {RIGHT: "#009E4F", WRONG: "#C8102E", QUERY: "#0072B2", NEAR: "#9A9A9A"}
_MARKS = {RIGHT: "✓ ", WRONG: "× ", QUERY: "", NEAR: ""}
_HEIGHT, _BORDER, _GAP, _TEXT = 128, 4, 6, 16  # pixels
_FONT = "DejaVuSans.ttf"


@dataclass(frozen=True)
class Tile:
    """One tracklet in a row."""

    tracklet: int
    kind: str
    text: str


def sheet(rows: Sequence[tuple[str, Sequence[Tile]]], store: FrameStore, title: str) -> Image.Image:
    """A picture with one row per (heading, tiles)."""
    height, width = store.frames.shape[1:3]
    cell = round(_HEIGHT * width / height) + 2 * _BORDER + _GAP, _HEIGHT + 2 * _BORDER + _TEXT + _GAP
    cell = max(cell[0], 100), cell[1]
    columns = max((len(tiles) for _, tiles in rows), default=1)
    row_height = cell[1] + _TEXT
    size = max(columns * cell[0] + _GAP, 640), 2 * _TEXT + row_height * len(rows) + _GAP
    canvas = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(canvas), _font()
    draw.text((_GAP, 4), title, fill="black", font=font)
    for place, (heading, tiles) in enumerate(rows):
        y = 2 * _TEXT + place * row_height
        draw.text((_GAP, y), heading, fill="#333333", font=font)
        for column, tile in enumerate(tiles):
            corner = _GAP + column * cell[0], y + _TEXT + 2
            canvas.paste(_framed(store, tile), corner)
            under = corner[0], corner[1] + _HEIGHT + 2 * _BORDER
            draw.text(under, _MARKS[tile.kind] + tile.text, fill=_BORDERS[tile.kind], font=font)
    return canvas


def rank_sheet(
    lists: Sequence[RankList], split: Split, query: Ints, gallery: Ints, store: FrameStore, title: str
) -> Image.Image:
    """Queries, one a row, with their nearest that count and, wherever it ranks, the first match."""
    identities, cameras = split.identities, split.cameras
    assert identities is not None

    def caption(tracklet: int) -> str:
        who = {-1: "junk", 0: "distr."}.get(int(identities[tracklet]), str(identities[tracklet]))
        return f"{who} c{cameras[tracklet]}"

    rows = []
    for one in lists:
        q = int(query[one.query])
        tiles = [Tile(q, QUERY, caption(q))]
        tiles += [
            Tile(int(gallery[g]), kind, f"{rank}. {caption(int(gallery[g]))}")
            for g, kind, rank in zip(one.gallery.tolist(), one.kinds, one.ranks, strict=True)
            if kind != IGNORED
        ]
        average = f"{100 * one.average_precision:.1f} %"
        heading = f"query {visible(split.names[q])}: AP {average}, first match at rank {one.first_right}"
        heading += f", {one.ignored} ignored" if one.ignored else ""
        rows.append((heading, tiles))
    return sheet(rows, store, title)


def neighbour_sheet(
    lists: Sequence[tuple[int, Ints]], split: Split, store: FrameStore, title: str
) -> Image.Image:
    """Tracklets, one a row, with those that are nearest to each; nothing says whether these are right."""

    rows = []
    for tracklet, nearest in lists:
        tiles = [Tile(tracklet, QUERY, _camera(split, tracklet))]
        tiles += [Tile(near, NEAR, _camera(split, near)) for near in nearest.tolist()]
        rows.append((f"tracklet {visible(split.names[tracklet])}", tiles))
    return sheet(rows, store, title)


def class_sheet(
    classes: Sequence[Ints], split: Split, store: FrameStore, title: str, most: int = 12
) -> Image.Image:
    """Classes, one a row; a tracklet is right if it is of the class's commonest identity."""
    rows = []
    for members in classes:
        kind_of, heading = _class_kinds(members, split)
        shown = members[np.linspace(0, len(members) - 1, min(most, len(members))).astype(np.int64)]
        tiles = []
        for i in shown.tolist():
            who = "" if split.identities is None else f"{split.identities[i]} "
            tiles.append(Tile(i, kind_of(i), f"{who}{_camera(split, i)}"))
        rows.append((heading, tiles))
    return sheet(rows, store, title)


def _class_kinds(members: Ints, split: Split) -> tuple[Callable[[int], str], str]:
    identities = split.identities
    heading = number(len(members), "tracklet")
    if split.cameras_known:
        heading += f", {number(len(np.unique(split.cameras[members])), 'camera')}"
    if identities is None:
        return (lambda tracklet: QUERY), heading
    values, counts = np.unique(identities[members], return_counts=True)
    commonest = values[counts.argmax()]
    heading += f", {number(len(values), 'person')}, purity {counts.max() / len(members):.2f}"
    return (lambda tracklet: RIGHT if identities[tracklet] == commonest else WRONG), heading


def _camera(split: Split, tracklet: int) -> str:
    """`c2`; nothing where cameras are made up."""
    return f"c{split.cameras[tracklet]}" if split.cameras_known else ""


def _framed(store: FrameStore, tile: Tile) -> Image.Image:
    middle = int(store.starts[tile.tracklet] + store.lengths[tile.tracklet] // 2)
    frame = Image.fromarray(store.frames[middle].numpy())
    frame = frame.resize((round(frame.width * _HEIGHT / frame.height), _HEIGHT), Image.Resampling.BICUBIC)
    framed = Image.new("RGB", (frame.width + 2 * _BORDER, _HEIGHT + 2 * _BORDER), _BORDERS[tile.kind])
    framed.paste(frame, (_BORDER, _BORDER))
    return framed


def _font() -> ImageFont.FreeTypeFont:
    """DejaVu Sans as matplotlib brings it along."""
    from matplotlib import get_data_path

    return ImageFont.truetype(f"{get_data_path()}/fonts/ttf/{_FONT}", 11)

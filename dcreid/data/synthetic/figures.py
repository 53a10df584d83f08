"""Drawing walking figures: every body part is a band around a centre line, row by row of the frame.

A part is given by its centre and half width in every row, so that a pixel costs seven additions and
multiplications per part, and only rows that hold the part are touched. Edges are as soft as the
blur and a pixel together, which is what keeps 64×32 frames free of jags.

Notation: k frames, h × w pixels. Box coordinates: y from 0 to 1 down the frame, x from -0.25 to
0.25 across it (bounding boxes are twice as high as wide). Figure coordinates: y from 0 (crown) to
1 (soles), x from the middle of the body. θ is the walking direction: 0 towards the camera, π away
from it, π/2 to the right of the frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dcreid.data.synthetic import pedestrians as who
from dcreid.data.synthetic.pedestrians import F32, Ints, People

Rows = F32 | np.float32 | float  # something per frame and row, (k, h) or broadcast to it
_SHADOW_DEPTH = 0.4
# Half widths of the body seen from the front and from the side, at these heights of the figure.
_TORSO_Y = (0.130, 0.150, 0.170, 0.20, 0.30, 0.40, 0.50, 0.72)
_TORSO_FRONT = (0.022, 0.050, 0.088, 0.112, 0.104, 0.092, 0.102, 0.114)
_TORSO_SIDE = (0.022, 0.040, 0.058, 0.072, 0.080, 0.075, 0.082, 0.090)


@dataclass(frozen=True)
class Figures:
    """k figures in k frames; every array is (k,)."""

    person: Ints
    theta: F32
    phase: F32  # of the gait, radians
    x: F32  # middle of the body, box coordinates
    top: F32  # crown, box coordinates
    scale: F32  # height of the figure in boxes
    stretch: F32  # how much wider the detector's box draws it
    tilt: F32  # 0 = seen from eye height, 0.4 = from above: large head, short legs

    def of(self, frames: NDArray[np.bool_] | Ints) -> Figures:
        """The figures of some of the frames."""
        return Figures(*(getattr(self, field.name)[frames] for field in fields(self)))


class _Part(NamedTuple):
    group: int  # whose colour it takes
    centre: Rows  # figure x
    half: Rows  # half width
    cover: F32  # (k, h) how much of the row the part covers


class _Leg(NamedTuple):
    centre: F32
    half: F32
    knee: F32
    sole: F32
    ankle_x: F32


def draw(figures: Figures, people: People, colours: F32, softness: F32, free: F32, image: F32) -> None:
    """Paints the figures (k) behind what is already painted.

    colours: (k, 11, 3); softness: (k,) width of an edge in boxes; free: (k, h, w) the share of
    every pixel that nothing covers yet, reduced here; image: (k, 3, h, w), added to.
    """
    k, h, w = free.shape
    t = (rows(h)[None, :] - figures.top[:, None]) / figures.scale[:, None]  # (k, h)
    tilt = figures.tilt[:, None]
    y = t + tilt * t * (t - 1)
    widen = (figures.scale * figures.stretch)[:, None] * (1 + tilt * (0.5 - t))
    sharp = 1 / softness[:, None]
    columns_sharp = (columns(w)[None, :] * sharp)[:, None, :]  # (k, 1, w)
    layers = np.zeros((k, who.SHADOW + 1, h, w), dtype=np.float32)
    for part in _parts(figures, people, y, softness[:, None] / figures.scale[:, None]):
        used = np.flatnonzero(part.cover.max(axis=0))
        if not len(used):
            continue
        band = slice(int(used[0]), int(used[-1]) + 1)
        centre = ((figures.x[:, None] + widen * part.centre) * sharp)[:, band, None]
        half = (widen * part.half * sharp + np.float32(0.5))[:, band, None]
        inside = np.subtract(columns_sharp, centre)
        np.abs(inside, out=inside)
        np.subtract(half, inside, out=inside)
        np.clip(inside, 0, part.cover[:, band, None], out=inside)
        inside *= free[:, band]
        free[:, band] -= inside
        layers[:, part.group, band] += inside
    accent = layers[:, who.UPPER] * _pattern(figures, people, y, softness, w)
    layers[:, who.ACCENT] += accent
    layers[:, who.UPPER] -= accent
    paint = np.matmul(colours.transpose(0, 2, 1), layers.reshape(k, who.SHADOW + 1, h * w))
    image += paint.reshape(k, 3, h, w)


def rows(h: int) -> F32:
    """Box y of the middle of every row (h,)."""
    return (np.arange(h, dtype=np.float32) + np.float32(0.5)) / np.float32(h)


def columns(w: int) -> F32:
    """Box x of the middle of every column (w,)."""
    return ((np.arange(w, dtype=np.float32) + np.float32(0.5)) / np.float32(w) - np.float32(0.5)) / 2


def _parts(f: Figures, people: People, y: F32, soft: F32) -> Iterator[_Part]:
    """All parts, front to back; y (k, h) figure coordinates, soft (k, 1)."""
    p = f.person
    side, front = np.sin(f.theta)[:, None], np.cos(f.theta)[:, None]
    broad = people.breadth[p, None]
    y = y + np.float32(0.01) * np.cos(2 * f.phase)[:, None]  # the head bobs twice a stride
    lean = np.float32(0.035) * side * (1 - y)
    from_behind = _gate(front < -0.3)
    bag, hair = people.bag[p, None], people.hairstyle[p, None]
    torso_front, torso_side = _profile(y, _TORSO_FRONT), _profile(y, _TORSO_SIDE)
    torso = broad * np.sqrt((front * torso_front) ** 2 + (side * torso_side) ** 2)
    hem = np.where(people.long_coat[p, None], np.float32(0.70), np.float32(0.55))
    arms = [_arm(f, people, y, soft, near) for near in (True, False)]
    legs = [_leg(f.phase, y, side, front, broad, near) for near in (True, False)]

    yield from arms[0]
    tote = _between(y, 0.50, 0.66, soft) * _gate(bag == who.TOTE)
    yield _Part(who.BAG, lean - 0.12 * front - 0.03 * side, np.full_like(y, 0.055), tote)
    pouch = _between(y, 0.42, 0.56, soft) * _gate(bag == who.SHOULDER_BAG)
    yield _Part(who.BAG, lean + 0.095 * front - 0.05 * side, np.full_like(y, 0.06), pouch)
    strap = _between(y, 0.17, 0.46, soft) * _gate(bag == who.SHOULDER_BAG) * _gate(np.abs(front) > 0.2)
    yield _Part(who.BAG, lean + 0.55 * front * (y - 0.31), np.full_like(y, 0.012), strap)
    pack = _between(y, 0.18, 0.44, soft) * _gate(bag == who.BACKPACK)
    yield _Part(who.BAG, lean, 0.095 * np.abs(front) + 0.01, pack * from_behind)
    yield from _head(y, soft, side, front, lean, hair)
    yield _Part(who.UPPER, lean, torso, _between(y, 0.135, hem, soft))
    yield _Part(who.SKIN, lean + 0.008 * side, np.full_like(y, 0.027), _between(y, 0.10, 0.18, soft))
    mane = _between(y, 0.06, np.where(hair == who.LONG, np.float32(0.26), np.float32(0.16)), soft)
    mane *= _gate(hair != who.CROPPED)
    yield _Part(who.HAIR, lean - 0.015 * side, np.full_like(y, 0.058), mane)
    yield from _lower_body(y, soft, broad, people.garment[p, None], legs)
    yield from arms[1]
    hump = pack * (1 - from_behind)
    yield _Part(who.BAG, lean - 0.10 * side, 0.06 * np.abs(side) + 0.105 * np.abs(front), hump)
    ground = np.sqrt(np.maximum(1 - ((y - 0.99) / 0.035) ** 2, 0)).astype(np.float32)
    yield _Part(who.SHADOW, 0.05, 0.17 * ground, np.float32(_SHADOW_DEPTH) * _gate(ground > 0))


def _head(y: F32, soft: F32, side: F32, front: F32, lean: F32, hair: Ints) -> Iterator[_Part]:
    round_ = np.sqrt(np.maximum(1 - ((y - 0.07) / 0.072) ** 2, 0)).astype(np.float32)
    skull = _between(y, -0.002, 0.142, soft)
    behind = np.clip(-front * 2, 0, 1)
    long = _gate(hair == who.LONG) * behind
    yield _Part(who.HAIR, lean, np.full_like(y, 0.056), _between(y, 0.07, 0.25, soft) * _gate(long > 0.5))
    line = 0.045 + 0.085 * np.clip(0.1 - front, 0, 1)  # the hair line: the less face, the lower
    fringe = np.minimum(skull, _between(y, -0.05, line, soft))
    yield _Part(who.HAIR, lean - 0.004 * side, 0.056 * round_, fringe)
    nape = 0.026 * np.abs(side)  # half width of the hair at the back of the head, seen from the side
    middle = lean - np.sign(side) * (0.056 - nape) * round_
    yield _Part(who.HAIR, middle, nape * round_, skull * _gate(np.abs(side) > 0.25))
    yield _Part(who.SKIN, lean + 0.008 * side, 0.050 * round_, skull)


def _lower_body(y: F32, soft: F32, broad: F32, garment: Ints, legs: list[_Leg]) -> Iterator[_Part]:
    skirt = _between(y, 0.46, 0.70, soft) * _gate(garment == who.SKIRT)
    yield _Part(who.LOWER, 0.0, broad * (0.085 + 0.16 * (y - 0.46)), skirt)
    for leg, cloth, skin in zip(legs, (who.LOWER, who.FAR_LOWER), (who.SKIN, who.FAR_SKIN), strict=True):
        shoe = _between(y, leg.sole - 0.045, leg.sole, soft)
        yield _Part(who.SHOES, leg.ankle_x, np.full_like(y, 0.038), shoe)
        hem = np.where(garment == who.TROUSERS, leg.sole - 0.02, leg.knee + 0.01)
        dressed = _between(y, 0.46, hem, soft) * _gate(garment != who.SKIRT)
        yield _Part(cloth, leg.centre, leg.half + 0.006, dressed)
        yield _Part(skin, leg.centre, 0.8 * leg.half, _between(y, 0.48, leg.sole, soft))


def _leg(phase: F32, y: F32, side: F32, front: F32, broad: F32, near: bool) -> _Leg:
    phase = phase if near else phase + np.float32(np.pi)
    swing = np.float32(0.42) * np.sin(phase)[:, None]
    bend = np.float32(0.55) * np.maximum(np.cos(phase), 0)[:, None]  # knees bend on the way forward
    hip = np.float32(0.045) * front * broad * np.float32(1 if near else -1)
    knee_x, knee_y = hip + 0.23 * np.sin(swing) * side, 0.50 + 0.23 * np.cos(swing)
    ankle_x, ankle_y = knee_x + 0.25 * np.sin(swing - bend) * side, knee_y + 0.25 * np.cos(swing - bend)
    centre, half = _limb(
        y, (hip, knee_x, ankle_x), (np.float32(0.50), knee_y, ankle_y), (0.056, 0.042, 0.030)
    )
    return _Leg(centre, half * broad, knee_y, ankle_y + np.float32(0.02), ankle_x + np.float32(0.015) * side)


def _arm(f: Figures, people: People, y: F32, soft: F32, near: bool) -> list[_Part]:
    side, front = np.sin(f.theta)[:, None], np.cos(f.theta)[:, None]
    broad = people.breadth[f.person, None]
    swing = np.float32(-0.38 if near else 0.38) * np.sin(f.phase)[:, None]
    shoulder = (np.float32(0.108) if near else np.float32(-0.108)) * np.abs(front) * broad + 0.02 * side
    elbow_x, elbow_y = shoulder + 0.15 * np.sin(swing) * side, 0.18 + 0.17 * np.cos(swing)
    elbow_x = elbow_x + (0.018 if near else -0.018) * np.abs(front)
    wrist_x, wrist_y = elbow_x + 0.15 * np.sin(swing + 0.3) * side, elbow_y + 0.15 * np.cos(swing + 0.3)
    xs, ys = (shoulder, elbow_x, wrist_x), (np.float32(0.18), elbow_y, wrist_y)
    centre, half = _limb(y, xs, ys, (0.036, 0.031, 0.024))
    cuff = np.where(people.long_sleeves[f.person, None], wrist_y - 0.01, elbow_y - 0.05)
    cloth, skin = (who.UPPER, who.SKIN) if near else (who.FAR_UPPER, who.FAR_SKIN)
    return [
        _Part(cloth, centre, half + 0.004, _between(y, 0.16, cuff, soft)),
        _Part(skin, centre, half - 0.002, _between(y, cuff, wrist_y + 0.04, soft)),
    ]


def _limb(y: F32, xs: tuple[F32, ...], ys: tuple[Rows, ...], radii: tuple[float, ...]) -> tuple[F32, F32]:
    """Centre and half width (k, h) of a limb of two segments that runs downwards."""
    (x0, x1, x2), (y0, y1, y2), (r0, r1, r2) = xs, ys, radii
    upper, lower = np.clip((y - y0) / (y1 - y0), 0, 1), np.clip((y - y1) / (y2 - y1), 0, 1)
    slope: F32 = np.where(y < y1, (x1 - x0) / (y1 - y0), (x2 - x1) / (y2 - y1))
    half = (r0 + (r1 - r0) * upper + (r2 - r1) * lower) * np.sqrt(1 + slope * slope)
    half *= np.sqrt(np.clip((y - y0) / r0 + 0.6, 0, 1))  # round at the top
    return x0 + (x1 - x0) * upper + (x2 - x1) * lower, half


def _between(y: F32, first: Rows, last: Rows, soft: F32) -> F32:
    """1 where first < y < last, with edges as wide as soft; (k, h)."""
    inside: F32 = np.minimum(y - first, last - y) / soft
    inside += np.float32(0.5)
    np.clip(inside, 0, 1, out=inside)
    return inside


def _profile(y: F32, halves: tuple[float, ...]) -> F32:
    half: F32 = np.interp(y, _TORSO_Y, halves).astype(np.float32)
    return half


def _gate(where: NDArray[np.bool_]) -> F32:
    return where.astype(np.float32)


# Patterns are r·R(v) + q·Q(u) + rq·R·Q, with R and Q waves (rate > 0) or windows (low, high):
#      r    q    rq   rate R, low, high   rate Q, low, high
_PATTERNS: Final = np.array(
    [
        (0.0, 0.0, 0.0, 0.0, 0.0, 1.00, 0.0, -1.0, 1.0),  # plain
        (1.0, 0.0, 0.0, 6.0, 0.0, 1.00, 0.0, -1.0, 1.0),  # stripes
        (0.0, 0.9, 0.0, 0.0, 0.0, 1.00, 2.5, -1.0, 1.0),  # pinstripes
        (0.5, 0.5, 0.0, 5.0, 0.0, 1.00, 2.0, -1.0, 1.0),  # checks
        (1.0, 0.0, 0.0, 0.0, 0.5, 9.00, 0.0, -1.0, 1.0),  # halves
        (1.0, 0.0, 0.0, 0.0, -9.0, 0.30, 0.0, -1.0, 1.0),  # yoke
        (1.0, 0.0, 0.0, 0.0, 0.35, 0.60, 0.0, -1.0, 1.0),  # band
        (0.0, 0.0, 1.0, 0.0, -9.0, 9.00, 0.0, -0.36, 0.36),  # open jacket
        (0.0, 0.0, 1.0, 0.0, 0.22, 0.52, 0.0, -0.5, 0.5),  # logo
    ],
    dtype=np.float32,
)


def _pattern(f: Figures, people: People, y: F32, softness: F32, w: int) -> F32:
    """(k, h, w): the share of the second colour in the upper garment's pixels."""
    kind = people.pattern[f.person]
    table = _PATTERNS[kind].T[:, :, None]  # (9, k, 1)
    turned = np.where(kind >= who.OPEN_JACKET, np.clip(2 * np.cos(f.theta) + 0.3, 0, 1), 1)  # chest only
    size = (f.scale * f.stretch * np.float32(0.118) * people.breadth[f.person])[:, None]
    u = (columns(w)[None, :] - f.x[:, None]) / size
    u -= np.float32(0.35) * (np.sin(f.theta) * _gate(kind >= who.OPEN_JACKET))[:, None]  # chest turns away
    v = (y - np.float32(0.15)) / np.float32(0.40)
    soft = softness[:, None]
    r = _wave_or_window(v, table[3], table[4], table[5], soft / (f.scale[:, None] * np.float32(0.40)))
    q = _wave_or_window(u, table[6], table[7], table[8], soft / size)
    r, q = r[:, :, None], q[:, None, :]
    cr, cq, crq = table[:3, :, :, None] * turned.astype(np.float32)[None, :, None, None]
    share: F32 = q * (cq + crq * r)
    share += cr * r
    return share


def _wave_or_window(s: F32, rate: F32, low: F32, high: F32, soft: F32) -> F32:
    contrast = np.clip(0.3 / (rate * soft + 1e-3), 0, 3)  # stripes finer than the blur turn even
    wave = 0.5 + 0.5 * np.clip(contrast * np.sin(2 * np.pi * rate * s), -1, 1)
    window = _between(s, low, high, soft)
    either: F32 = np.where(rate > 0, wave, window).astype(np.float32)
    return either

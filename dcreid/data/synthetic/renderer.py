"""Frames of drawn pedestrians: a tracklet's walk, what gets in its way, and the pixels.

People walk past their street, through light and shade, and turn; most of what tells two tracklets
of a person apart therefore changes within a tracklet too, and can be learned to be ignored there.

Notation: n tracklets, F frames, k of them asked for, h × w pixels. Everything random is drawn once
per tracklet or frame, when the source is made; reading a frame draws nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dcreid.data.synthetic.figures import Figures, columns, draw, rows
from dcreid.data.synthetic.pedestrians import F32, Ints, People
from dcreid.data.synthetic.scenes import Cameras

RENDERER: Final = 1  # part of the fingerprint: raise it when the same numbers give other pixels
_PIXELS_AT_ONCE: Final = 1 << 15  # 16 frames of 64 × 32: a working set that stays in the cache
_GRAIN_STARTS: Final = 1 << 14
NOTHING, PILLAR, LOW_OBJECT, PASSER_IN_FRONT, PASSER_BEHIND = range(5)


@dataclass(frozen=True)
class Walks:
    """n tracklets: what stays the same or moves steadily over a tracklet's frames; arrays are (n,)."""

    person: Ints
    camera: Ints
    theta: F32
    turn: F32  # change of theta per frame
    phase: F32
    pace: F32  # radians of gait per frame
    x: F32  # box coordinates, as are top and scale; see dcreid.data.synthetic.figures
    top: F32
    scale: F32
    stretch: F32
    light: F32
    shade: F32  # how much the light changes along the way
    side_light: F32  # brighter to the right, per box
    fold: F32  # phase of the folds in the clothes
    street_x: F32
    street_y: F32
    zoom: F32
    drift: F32  # street passed per frame, as a share of it
    obstacle: Ints  # NOTHING … PASSER_BEHIND
    obstacle_x: F32
    obstacle_speed: F32  # boxes per frame
    obstacle_top: F32
    obstacle_shade: F32
    passer: Ints  # the person who passes, for PASSER_*


def draw_walks(
    person: Ints, camera: Ints, junk: NDArray[np.bool_], cameras: Cameras, people: int, strength: float,
    rng: np.random.Generator,
) -> Walks:  # fmt: skip
    """A walk for each of n tracklets (`person`, `camera`, `junk`: (n,)); junk ones are badly framed.

    Tracklets of one person in one camera are pieces of one visit: light and place stay about the same.
    """
    n, d = len(person), np.float32(strength)
    _, first, visits = np.unique(person * len(cameras) + camera, return_index=True, return_inverse=True)
    visit = first[visits]  # the first tracklet of the same visit

    def normal(spread: float) -> F32:
        return (spread * rng.normal(size=n)).astype(np.float32)

    def uniform(low: float, high: float) -> F32:
        return rng.uniform(low, high, size=n).astype(np.float32)

    back = (uniform(0.0, 1.0) < min(0.5, 0.7 * strength))[visit]  # seen from the other side
    theta = cameras.heading[camera] + np.where(back, np.float32(np.pi), np.float32(0))
    theta += (0.1 + 0.3 * d) * normal(1.0)[visit]
    hit = uniform(0.0, 1.0) < 0.1 + 0.5 * d
    side = np.sign(uniform(-1.0, 1.0))
    return Walks(
        person=person,
        camera=camera,
        theta=theta,
        turn=(0.02 + 0.10 * d) * normal(1.0),
        phase=uniform(0.0, 2 * np.pi),
        pace=uniform(0.5, 1.0),
        x=np.where(junk, side * uniform(0.10, 0.2), normal(0.008) + d * normal(0.03)),
        top=np.where(junk, uniform(-0.5, 0.4), 0.05 + normal(0.006) + d * normal(0.045)),
        scale=cameras.scale[camera] * np.exp(np.where(junk, 0.35, 0.01 + 0.07 * d) * normal(1.0)),
        stretch=1.25 + normal(0.04) + d * normal(0.08),
        light=np.exp((0.03 + 0.3 * d) * normal(1.0)[visit]),
        shade=(0.03 + 0.6 * d) * uniform(0.3, 1.0),
        side_light=(0.2 + d) * normal(1.0),
        fold=uniform(0.0, 2 * np.pi),
        street_x=uniform(0.0, 1.0)[visit],
        street_y=uniform(0.0, 1.0)[visit],
        zoom=uniform(0.75, 1.0)[visit],
        drift=uniform(0.03, 0.09) * side,
        obstacle=np.where(hit, rng.integers(PILLAR, PASSER_BEHIND + 1, size=n), NOTHING),
        obstacle_x=side * uniform(0.08, 0.4),
        obstacle_speed=-side * uniform(0.0, 0.08),
        obstacle_top=uniform(0.55, 0.85),
        obstacle_shade=uniform(0.1, 0.7),
        passer=(person + rng.integers(1, people, size=n)) % people,
    )


class DrawnFrames:
    """The F frames of n walks; tracklet i owns the frames `offsets[i]:offsets[i + 1]`.

    `identity` names the content for the fingerprint; `rng` draws what differs from frame to frame.
    """

    def __init__(
        self, walks: Walks, people: People, cameras: Cameras, offsets: Ints, names: Sequence[str],
        jitter: float, content: str, rng: np.random.Generator,
    ):  # fmt: skip
        self.walks, self.people, self.cameras = walks, people, cameras
        self.offsets, self.names, self.content = offsets, names, content
        self._wobble = rng.normal(size=(len(self), 5)).astype(np.float32) * np.float32(jitter)
        self._grain_start = rng.integers(_GRAIN_STARTS, size=len(self))
        grain = rng.normal(size=(1 << 16) + 1).astype(np.float32)
        self._grain = (grain[1:] + grain[:-1]) * np.float32(0.7)  # smeared along the row, as video is

    def __len__(self) -> int:
        return int(self.offsets[-1])

    def name(self, frame: int) -> str:
        tracklet = int(np.searchsorted(self.offsets, frame, side="right")) - 1
        return f"synthetic {self.names[tracklet]}, frame {frame - int(self.offsets[tracklet]) + 1}"

    def fingerprint(self) -> str:
        return hashlib.sha256(f"{self.content} renderer {RENDERER}".encode()).hexdigest()

    def read(self, frames: Ints, height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Frames as (k, height, width, 3) RGB; all can be read. IndexError outside 0 … F - 1."""
        frames = np.asarray(frames, dtype=np.int64)
        if len(frames) and not (frames.min() >= 0 and frames.max() < len(self)):
            raise IndexError(f"synthetic frames are numbered 0 to {len(self) - 1}")
        pixels = np.empty((len(frames), height, width, 3), dtype=np.uint8)
        at_once = max(1, _PIXELS_AT_ONCE // (height * width))
        for first in range(0, len(frames), at_once):
            some = slice(first, first + at_once)
            pixels[some] = self._render(frames[some], height, width)
        return pixels, np.ones(len(frames), dtype=np.bool_)

    def _render(self, frames: Ints, h: int, w: int) -> NDArray[np.uint8]:
        tracklet = np.searchsorted(self.offsets, frames, side="right") - 1
        walks = Walks(**{name: values[tracklet] for name, values in vars(self.walks).items()})
        step = (frames - self.offsets[tracklet]).astype(np.float32)
        wobble = self._wobble[frames]
        blur, pixel = self.cameras.blur[walks.camera], max(1 / h, 0.5 / w)
        softness = np.sqrt(blur**2 + np.float32(pixel) ** 2)
        light = walks.light * np.exp(walks.shade * np.sin(0.8 * step + walks.fold) + 0.3 * wobble[:, 4])
        image = np.zeros((len(frames), 3, h, w), dtype=np.float32)
        free = np.ones((len(frames), h, w), dtype=np.float32)
        walker = _walker(walks, self.cameras, self.people, step, wobble)
        passer = _passer(walks, walker, self.people, step)

        self._objects(walks, step, softness, light, free, image)
        self._figures(passer, walks, walks.obstacle == PASSER_IN_FRONT, softness, light, free, image)
        others = 1 - free
        self._figures(walker, walks, np.ones(len(frames), dtype=np.bool_), softness, light, free, image)
        others += free  # the share of each pixel that is not the walker
        _shade(image, others, walks, walker)
        self._figures(passer, walks, walks.obstacle == PASSER_BEHIND, softness, light, free, image)
        street_x = 1 - np.abs((walks.street_x + walks.drift * step) % 2 - 1)  # to and fro along the street
        street = self.cameras.street(walks.camera, street_x, walks.street_y, walks.zoom, h, w)
        street *= (free * light[:, None, None])[:, None]
        image += street
        image += self._noise(frames, walks.camera, h, w)
        return _to_bytes(image)

    def _figures(
        self, figures: Figures, walks: Walks, where: NDArray[np.bool_], softness: F32, light: F32, free: F32,
        image: F32,
    ) -> None:  # fmt: skip
        """Draws the figures of the frames `where`, in place."""
        chosen = np.flatnonzero(where)
        if not len(chosen):
            return
        figures = figures.of(chosen)
        colours = self.cameras.see(self.people.colours[figures.person], walks.camera[chosen], light[chosen])
        some_free, some_image = free[chosen], image[chosen]
        draw(figures, self.people, colours, softness[chosen], some_free, some_image)
        free[chosen], image[chosen] = some_free, some_image

    def _objects(self, walks: Walks, step: F32, softness: F32, light: F32, free: F32, image: F32) -> None:
        """A pillar beside the person, or something low in front of the legs."""
        chosen = np.flatnonzero((walks.obstacle == PILLAR) | (walks.obstacle == LOW_OBJECT))
        if not len(chosen):
            return
        h, w = free.shape[1:]
        soft = softness[chosen, None]
        x = (walks.obstacle_x + walks.obstacle_speed * step)[chosen, None]
        across = np.clip((0.07 - np.abs(columns(w)[None, :] - x)) / soft + 0.5, 0, 1)
        down = np.clip((rows(h)[None, :] - walks.obstacle_top[chosen, None]) / soft + 0.5, 0, 1)
        pillar = (walks.obstacle[chosen] == PILLAR)[:, None]
        across, down = np.where(pillar, across, 1), np.where(pillar, 1, down)
        cover = (down[:, :, None] * across[:, None, :]).astype(np.float32)
        grey = np.repeat(walks.obstacle_shade[chosen, None, None], 3, axis=2)
        colour = self.cameras.see(grey, walks.camera[chosen], light[chosen])  # (k, 1, 3)
        image[chosen] += cover[:, None] * colour[:, 0, :, None, None]
        free[chosen] -= cover

    def _noise(self, frames: Ints, camera: Ints, h: int, w: int) -> F32:
        grain = np.resize(self._grain, max(len(self._grain), h * w + _GRAIN_STARTS))
        windows = np.lib.stride_tricks.sliding_window_view(grain, h * w)
        noise: F32 = windows[self._grain_start[frames]] * self.cameras.noise[camera][:, None]
        return noise.reshape(len(frames), 1, h, w)


def _walker(walks: Walks, cameras: Cameras, people: People, step: F32, wobble: F32) -> Figures:
    return Figures(
        person=walks.person,
        theta=walks.theta + walks.turn * step + wobble[:, 3],
        phase=walks.phase + walks.pace * step,
        x=walks.x + 0.3 * wobble[:, 0],
        top=walks.top + 0.3 * wobble[:, 1],
        scale=walks.scale * people.height[walks.person] * np.exp(0.5 * wobble[:, 2]),
        stretch=walks.stretch,
        tilt=cameras.tilt[walks.camera],
    )


def _passer(walks: Walks, walker: Figures, people: People, step: F32) -> Figures:
    """Somebody else, beside the walker, going the other way."""
    front = np.where(walks.obstacle == PASSER_IN_FRONT, np.float32(1.04), np.float32(0.8))
    return Figures(
        person=walks.passer,
        theta=walks.theta + np.float32(2.2),
        phase=walker.phase + np.float32(1.3),
        x=walks.obstacle_x + walks.obstacle_speed * step,
        top=walker.top + np.float32(0.02),
        scale=front * walks.scale * people.height[walks.passer],
        stretch=walker.stretch,
        tilt=walker.tilt,
    )


def _shade(image: F32, others: F32, walks: Walks, walker: Figures) -> None:
    """Light from one side, and folds in the clothes, on the walker only; in place."""
    h, w = image.shape[2:]
    across = columns(w)[None, :] - walker.x[:, None]  # (k, w)
    down = rows(h)[None, :] - walker.top[:, None]  # (k, h)
    fold = walks.fold[:, None]
    creases, seams = np.sin((15 + fold) * down + fold), np.sin((26 - 2 * fold) * across + fold)
    shade = 0.12 * creases[:, :, None] * seams[:, None, :]
    shade += (walks.side_light[:, None] * across)[:, None, :]
    shade *= 1 - others
    image *= 1 + shade[:, None]


def _to_bytes(image: F32) -> NDArray[np.uint8]:
    """(k, 3, h, w) in [0, 1], overwritten, to (k, h, w, 3)."""
    image *= 255
    np.clip(image, 0, 255, out=image)
    return image.astype(np.uint8).transpose(0, 2, 3, 1)

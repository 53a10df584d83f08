"""What the cameras of the embedded data set see and how: colour cast, light, view, and the street.

At strength 0 all cameras are one; towards 1 their casts, headings and backgrounds move apart.
Notation: c cameras, k frames of h × w pixels; colours are RGB in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from dcreid.data.synthetic.figures import columns, rows
from dcreid.data.synthetic.pedestrians import F32, Ints

SCENE_ROWS, SCENE_COLUMNS = 256, 512  # pixels of a street
BOX = 200  # pixels of the street that a bounding box is high
_LUMA: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_KNEE: Final = np.float32(0.75)  # highlights are compressed from here on
_GROUNDS: Final = np.array(
    [(0.55, 0.54, 0.51), (0.46, 0.47, 0.50), (0.60, 0.53, 0.44), (0.42, 0.47, 0.38)], dtype=np.float32
)
_WALLS: Final = np.array(
    [(0.30, 0.34, 0.26), (0.55, 0.42, 0.36), (0.68, 0.67, 0.64), (0.34, 0.36, 0.42)], dtype=np.float32
)


@dataclass(frozen=True)
class Cameras:
    """c cameras; every array starts with (c,)."""

    matrix: F32  # (c, 3, 3) saturation and colour cast
    haze: F32  # (c, 3)
    gamma: F32
    heading: F32  # walking direction that most people have before it, radians
    tilt: F32  # see dcreid.data.synthetic.figures
    blur: F32  # in boxes
    scale: F32  # usual height of a person in boxes
    noise: F32  # standard deviation of a pixel
    streets: NDArray[np.uint8]  # (c, SCENE_ROWS, SCENE_COLUMNS, 3), as the camera renders them

    def __len__(self) -> int:
        return len(self.gamma)

    def see(self, colours: F32, camera: Ints, light: F32) -> F32:
        """Colours (k, g, 3) under light (k,) as the cameras (k,) render them."""
        linear = np.matmul(colours * light[:, None, None], self.matrix[camera].transpose(0, 2, 1))
        haze = self.haze[camera][:, None]
        seen = haze + (1 - haze) * linear
        seen = np.where(seen > _KNEE, _KNEE + (1 - _KNEE) * np.tanh((seen - _KNEE) / (1 - _KNEE)), seen)
        rendered: F32 = np.power(np.clip(seen, 0, 1), self.gamma[camera][:, None, None])
        return rendered

    def street(self, camera: Ints, x: F32, y: F32, zoom: F32, h: int, w: int) -> F32:
        """(k, 3, h, w): the piece of street in each frame.

        x, y: (k,) where the box lies, 0 to 1 over what the street allows; zoom: (k,) up to 1.
        """
        height = zoom * BOX
        top, left = y * (SCENE_ROWS - height), x * (SCENE_COLUMNS - height / 2)
        row = (top[:, None] + rows(h)[None, :] * height[:, None]).astype(np.int64)  # (k, h)
        column = (left[:, None] + (columns(w)[None, :] + 0.25) * height[:, None]).astype(np.int64)
        start = (camera[:, None] * SCENE_ROWS + row) * SCENE_COLUMNS
        pixels = self.streets.reshape(-1, 3).take(start[:, :, None] + column[:, None, :], axis=0)
        planes: F32 = pixels.transpose(0, 3, 1, 2).astype(np.float32, order="C")
        planes *= np.float32(1 / 255)
        return planes


def build_cameras(n: int, strength: float, rng: np.random.Generator) -> Cameras:
    """n cameras; the same draws at every strength, so that it moves each of them along a line."""
    spread = rng.uniform(-1, 1, size=(n, 12)).astype(np.float32) * np.float32(strength)
    streets = np.stack([_street(rng) for _ in range(n)])
    own = np.float32(min(1.0, 2 * strength))
    streets = own * streets + (1 - own) * streets[:1]
    saturation = (1 + 0.1 * strength + 0.6 * spread[:, 0])[:, None, None]
    gain = np.exp(0.4 * spread[:, 1:4] + 0.35 * spread[:, 4:5])
    cameras = Cameras(
        matrix=gain[:, :, None] * (saturation * np.eye(3, dtype=np.float32) + (1 - saturation) * _LUMA),
        haze=0.22 * np.abs(spread[:, 5:6]) * np.array([0.9, 1.0, 1.1], dtype=np.float32),
        gamma=np.exp(0.45 * spread[:, 6]),
        heading=0.7 + 2.2 * spread[:, 7],
        tilt=0.18 + 0.18 * spread[:, 8],
        blur=0.009 + 0.016 * np.abs(spread[:, 9]),
        scale=0.90 + 0.06 * spread[:, 10],
        noise=0.015 + 0.02 * np.abs(spread[:, 11]),
        streets=np.empty(0, dtype=np.uint8),
    )
    light = np.ones(n, dtype=np.float32)
    seen = cameras.see(streets.reshape(n, -1, 3), np.arange(n), light)
    pixels = (seen * 255).astype(np.uint8).reshape(n, SCENE_ROWS, SCENE_COLUMNS, 3)
    return Cameras(**{**vars(cameras), "streets": pixels})


def _street(rng: np.random.Generator) -> F32:
    """A street in white light: a wall or hedge above, paving below, things standing about."""
    y, x = np.mgrid[0:SCENE_ROWS, 0:SCENE_COLUMNS].astype(np.float32)
    horizon = rng.uniform(0.10, 0.35) * SCENE_ROWS
    ground, wall = (choice[rng.integers(4)] * rng.uniform(0.75, 1.25) for choice in (_GROUNDS, _WALLS))
    above = np.clip((horizon - y) / 3 + 0.5, 0, 1)[:, :, None]
    texture = 1 + 0.16 * _cloud(rng, 6, 12) + 0.10 * _cloud(rng, 40, 80)
    joints = _grooves(y / rng.uniform(16, 40), 0.08)
    joints += _grooves((x - SCENE_COLUMNS / 2) / (y + 120) * 10, 0.06)  # they run away from the camera
    nearness = 0.85 + 0.3 * y / SCENE_ROWS
    paving = ground * (nearness * (texture - 0.18 * np.minimum(joints, 1)))[:, :, None]
    posts = _grooves(x / rng.uniform(30, 90), 0.25)
    facade = wall * (1 + 0.3 * _cloud(rng, 16, 24) - 0.35 * posts)[:, :, None]
    scene: F32 = above * facade + (1 - above) * paving
    for _ in range(int(rng.integers(5, 10))):
        scene = _stand_something(scene, x, y, horizon, rng)
    np.clip(scene, 0, 1, out=scene)
    return scene


def _stand_something(scene: F32, x: F32, y: F32, horizon: float, rng: np.random.Generator) -> F32:
    """A parked car, a bin, a tree or a sign, standing on the ground with its shadow."""
    foot, middle = horizon + rng.uniform(0, 0.45) * SCENE_ROWS, rng.uniform(0, SCENE_COLUMNS)
    height, width = rng.uniform(15, 90), float(rng.choice([5, 9, 25, 55]))
    colour = (rng.uniform(0.05, 0.85) + rng.uniform(-0.08, 0.08, size=3)).astype(np.float32)
    for shade, bottom in ((scene * np.float32(0.6), foot + 6), (colour, foot)):
        down = np.minimum(y - (bottom - height), bottom - y)
        inside = np.clip(np.minimum(width - np.abs(x - middle), down) / 2 + 0.5, 0, 1)[:, :, None]
        scene = scene * (1 - inside) + shade * inside
    return scene


def _cloud(rng: np.random.Generator, n_rows: int, n_columns: int) -> F32:
    """Smooth noise with that many bumps down and across the street."""
    coarse = rng.normal(size=(n_rows, n_columns)).astype(np.float32)
    zoomed: F32 = scipy.ndimage.zoom(coarse, (SCENE_ROWS / n_rows, SCENE_COLUMNS / n_columns), order=1)
    return zoomed


def _grooves(position: F32, width: float) -> F32:
    inside: F32 = (np.abs(position - np.round(position)) < width / 2).astype(np.float32)
    return inside

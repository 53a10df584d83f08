"""Frames on the device: varied at random for training, and normalised as the backbone expects them.

Notation: s tracklets, f frames of each, (h, w) frame size; u units of g frames that are varied alike.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped, UInt8
from numpy import ndarray
from torch import Tensor
from torch.nn import functional

_CROP_ASPECTS = (2.0, 3.0)  # height to width, as in BUC's and DBC's code
_TRIES = 10
MEAN = (0.485, 0.456, 0.406)  # of ImageNet, as torchvision's weights expect
STD = (0.229, 0.224, 0.225)


def augment(
    frames: UInt8[Tensor, "s f h w 3"],
    flip: float,
    shift: float,
    rng: np.random.Generator,
    *,
    crop: float = 1.0,
    per: str = "tracklet",
    batch: int | None = None,
    share: slice = slice(None),
) -> UInt8[Tensor, "s f h w 3"]:
    """Crops, mirrors and shifts each tracklet (or with `per` = frame, each frame).

    crop: smallest area of a window, of height to width 2 to 3, that is resized to the frame; 1 = none.
    flip: probability of mirroring. shift: largest share of height and width to shift by; uncovered
    borders repeat the edge. Random numbers are drawn for the whole batch of tracklets, of which `frames`
    are the share.
    """
    s, f, h, w, _ = frames.shape
    drawn = s if batch is None else batch, f if per == "frame" else 1
    mirrored = (rng.random(drawn) < flip)[share].flatten()
    down = rng.integers(-int(shift * h), int(shift * h), size=drawn, endpoint=True)[share].flatten()
    right = rng.integers(-int(shift * w), int(shift * w), size=drawn, endpoint=True)[share].flatten()
    rows = np.clip(np.arange(h) + down[:, None], 0, h - 1)  # (u, h)
    columns = np.clip(np.arange(w) + right[:, None], 0, w - 1)  # (u, w)
    columns[mirrored] = columns[mirrored, ::-1]

    varied = frames.reshape(s * drawn[1], f // drawn[1], h, w, 3)  # (u, g, h, w, 3)
    if crop < 1.0:
        windows = _windows(drawn, (h, w), crop, rng)
        varied = _resized(varied, windows[:, share].reshape(4, -1, 1), rows, columns)
    else:
        varied = _gathered(varied, rows, columns)
    return varied.reshape(frames.shape)


def _windows(
    drawn: tuple[int, int], size: tuple[int, int], smallest: float, rng: np.random.Generator
) -> Int[ndarray, "4 b g"]:
    """Top, left, height and width of random windows in a frame of `size` (h, w).

    Area, as a share from `smallest` up, and height to width are uniform; what does not fit is drawn anew,
    ten times at most, and then is the whole frame.
    """
    area = size[0] * size[1] * rng.uniform(smallest, 1.0, (*drawn, _TRIES))
    aspect = rng.uniform(*_CROP_ASPECTS, (*drawn, _TRIES))
    sides = np.rint(np.sqrt([area * aspect, area / aspect])).astype(np.int64)  # (2, b, g, tries)
    limits = np.array(size)[:, None, None]
    fits = (sides <= limits[..., None]).all(axis=0)
    first = np.take_along_axis(sides, fits.argmax(axis=-1)[None, ..., None], axis=-1)[..., 0]
    sides = np.where(fits.any(axis=-1), first, limits)
    places = (rng.random((2, *drawn)) * (limits - sides + 1)).astype(np.int64)
    return np.concatenate([places, sides])


def _gathered(
    units: UInt8[Tensor, "u g h w 3"], rows: Int[ndarray, "u h"], columns: Int[ndarray, "u w"]
) -> UInt8[Tensor, "u g h w 3"]:
    """Pixel (y, x) shows (rows[y], columns[x])."""
    # Two gathers, so that the first copies whole rows of pixels.
    at = torch.arange(len(units), device=units.device)[:, None]
    moved = units.transpose(1, 2)[at, _on_device(rows, units)]  # (u, h, g, w, 3)
    moved = moved.permute(0, 3, 2, 1, 4)[at, _on_device(columns, units)]  # (u, w, g, h, 3)
    return moved.permute(0, 2, 3, 1, 4)


def _resized(
    units: UInt8[Tensor, "u g h w 3"],
    windows: Int[ndarray, "4 u 1"],
    rows: Int[ndarray, "u h"],
    columns: Int[ndarray, "u w"],
) -> UInt8[Tensor, "u g h w 3"]:
    """Pixel (y, x) shows (rows[y], columns[x]) of the window, resized to the frame bilinearly."""
    u, g, h, w, _ = units.shape
    top, left, height, width = windows
    y = _on_device(_places(rows, top, height, h), units)[:, :, None].expand(u, h, w)
    x = _on_device(_places(columns, left, width, w), units)[:, None, :].expand(u, h, w)
    pixels = units.permute(0, 1, 4, 2, 3).reshape(u, 3 * g, h, w).float()
    places = torch.stack([x, y], dim=-1)
    seen = functional.grid_sample(pixels, places, padding_mode="border", align_corners=True)
    return seen.round_().to(torch.uint8).view(u, g, 3, h, w).permute(0, 1, 3, 4, 2)


def _places(
    index: Int[ndarray, "u k"], start: Int[ndarray, "u 1"], length: Int[ndarray, "u 1"], count: int
) -> Float[ndarray, "u k"]:
    """Where pixel `index` of a side of `count`, to which a part was resized, lies in the whole side.

    As `grid_sample` counts: -1 is its first pixel and 1 its last.
    """
    place = np.clip(start + (index + 0.5) * length / count - 0.5, start, start + length - 1)
    return np.asarray(2 * place / (count - 1) - 1, dtype=np.float32)


def _on_device(values: Shaped[ndarray, "u k"], frames: Tensor) -> Shaped[Tensor, "u k"]:
    return torch.from_numpy(values).to(frames.device, non_blocking=True)


def normalise(
    frames: UInt8[Tensor, "b h w 3"], channels_last: bool, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "b 3 h w"]:
    """uint8 RGB to the network's input: scaled to [0, 1], ImageNet's mean and deviation removed."""
    b, h, w, _ = frames.shape
    mean, scale = _mean_and_scale(frames.device)
    # In place on whole rows of pixels: on a CPU nine times as fast as by colour into new memory.
    rows = frames.to(torch.float32, memory_format=torch.contiguous_format).view(b, h, 3 * w)
    rows.sub_(mean.repeat(w)).mul_(scale.repeat(w))
    pixels = rows.view(b, h, w, 3).to(dtype).permute(0, 3, 1, 2)
    return pixels.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


@functools.cache
def _mean_and_scale(device: torch.device) -> tuple[Float[Tensor, " 3"], Float[Tensor, " 3"]]:
    """Cached per device: making a tensor of Python numbers on a GPU waits for all of its work."""
    with torch.inference_mode(False):
        return torch.tensor(MEAN, device=device) * 255, 1 / (torch.tensor(STD, device=device) * 255)

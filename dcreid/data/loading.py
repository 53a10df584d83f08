"""From the frame store to the network: which frames, how they are varied, and in what batches.

Frames stay uint8 until they are on the device; cropping, mirroring and normalising happen there.
Copies out of the memory map run on a thread of their own, one batch ahead of the network, and go to
a GPU from pinned memory on a stream of their own. Nothing here makes the host wait for a GPU.

Notation: b tracklets per batch, f frames of each, (h, w) frame size.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from torch import Tensor

from dcreid.data.store import FrameStore
from dcreid.parallel import ONE_PROCESS, Ranks

_MEAN = (0.485, 0.456, 0.406)  # of ImageNet, as torchvision's weights expect
_STD = (0.229, 0.224, 0.225)

Item = TypeVar("Item")
Result = TypeVar("Result")


def sample_frames(
    lengths: Int[ndarray, " b"], count: int, sampling: str, rng: np.random.Generator
) -> Int[ndarray, "b f"]:
    """Positions of `count` frames in tracklets of these lengths, in time order.

    segments: the tracklet is cut into `count` equal parts and one frame drawn from each; random:
    each frame drawn from all. Tracklets shorter than `count` repeat frames.
    """
    share = rng.random((len(lengths), count))
    if sampling == "segments":
        share = (np.arange(count) + share) / count
    elif sampling == "random":
        share.sort(axis=1)
    else:
        raise ValueError(f"sampling = {sampling!r}: must be segments or random")
    return np.asarray(np.minimum((share * lengths[:, None]).astype(np.int64), lengths[:, None] - 1))


def evenly_spaced(store: FrameStore, most: int) -> tuple[Int[ndarray, " k"], Int[ndarray, " n"]]:
    """Rows of at most `most` evenly spaced frames per tracklet (0 = all), and how many of each there are."""
    starts, lengths = store.starts, store.lengths
    kept = lengths if most == 0 else np.minimum(lengths, most)
    owner = np.repeat(np.arange(len(lengths)), kept)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(kept) - kept, kept)
    return starts[owner] + (2 * place + 1) * lengths[owner] // (2 * kept[owner]), kept


def batches_of(order: Int[ndarray, " n"], size: int) -> list[Int[ndarray, " b"]]:
    """Cuts an epoch into batches; a last batch of one (batch norm needs two) joins the one before."""
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    if len(batches) > 1 and len(batches[-1]) == 1:
        last = batches.pop()
        batches[-1] = np.concatenate([batches[-1], last])
    return batches


def training_batches(
    store: FrameStore,
    *,
    batch_size: int,
    frames: int,
    sampling: str,
    rng: np.random.Generator,
    device: torch.device,
    ranks: Ranks = ONE_PROCESS,
) -> Iterator[tuple[UInt8[Tensor, "s f h w 3"], Int[Tensor, " b"]]]:
    """One epoch: every tracklet once in random order, as (frames on the device, tracklets on the CPU).

    The frames are those of this rank's share of the batch, the tracklets those of all of it.
    """
    plans = []
    for tracklets in batches_of(rng.permutation(len(store)), batch_size):
        within = sample_frames(store.lengths[tracklets], frames, sampling, rng)
        rows = store.starts[tracklets][:, None] + within
        plans.append((tracklets, rows[ranks.share(len(tracklets))]))

    sender = _Sender(device)

    def load(plan: tuple[Int[ndarray, " b"], Int[ndarray, "s f"]]) -> tuple[_Sent, Tensor]:
        tracklets, rows = plan
        picked = sender.picked(store.frames, rows.flatten())
        return sender.send(picked.view(*rows.shape, *picked.shape[1:])), torch.from_numpy(tracklets)

    for sent, drawn in _one_ahead(load, iter(plans)):
        yield sender.arrived(sent), drawn


def frame_runs(
    store: FrameStore, rows: Int[ndarray, " k"], batch: int, device: torch.device
) -> Iterator[UInt8[Tensor, "b h w 3"]]:
    """The frames `rows`, in order and in large batches that do not care for tracklet borders."""

    sender = _Sender(device)

    def load(part: Int[ndarray, " b"]) -> _Sent:
        if part[-1] - part[0] + 1 == len(part):  # a sequential run: one copy, no index
            return sender.send(sender.run(store.frames, int(part[0]), len(part)))
        return sender.send(sender.picked(store.frames, part))

    for sent in _one_ahead(load, (rows[start : start + batch] for start in range(0, len(rows), batch))):
        yield sender.arrived(sent)


_Sent: TypeAlias = tuple[Tensor, torch.cuda.Event | None]


class _Sender:
    """Brings frames to the device; a CPU gets them as they lie in the store where it can.

    `picked`, `run` and `send` are the loader thread's, `arrived` is for the thread that computes. NumPy
    copies, which starts no threads: a second OpenMP team beside the network's takes its cores away.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def picked(self, frames: UInt8[Tensor, "F h w 3"], rows: Int[ndarray, " b"]) -> UInt8[Tensor, "b h w 3"]:
        if rows.size and not 0 <= rows.min() <= rows.max() < len(frames):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(frames)} frames")
        picked = self._room(len(rows), frames)
        np.take(frames.numpy(), rows, axis=0, out=picked.numpy(), mode="clip")  # "raise" would copy twice
        return picked

    def run(self, frames: UInt8[Tensor, "F h w 3"], start: int, count: int) -> UInt8[Tensor, "b h w 3"]:
        part = frames[start : start + count]
        if self.stream is None:
            return part
        sent = self._room(count, frames)
        np.copyto(sent.numpy(), part.numpy())
        return sent

    def _room(self, count: int, frames: UInt8[Tensor, "F h w 3"]) -> UInt8[Tensor, "b h w 3"]:
        return torch.empty((count, *frames.shape[1:]), dtype=torch.uint8, pin_memory=self.stream is not None)

    def send(self, frames: Tensor) -> _Sent:
        if self.stream is None:
            return frames, None
        with torch.cuda.stream(self.stream):
            return frames.to(self.device, non_blocking=True), self.stream.record_event()

    def arrived(self, sent: _Sent) -> Tensor:
        frames, event = sent
        if event is not None:
            computing = torch.cuda.current_stream(self.device)
            computing.wait_event(event)
            frames.record_stream(computing)  # not given to another batch before it was used
        return frames


def _one_ahead(load: Callable[[Item], Result], items: Iterator[Item]) -> Iterator[Result]:
    with ThreadPoolExecutor(1, thread_name_prefix="loader") as pool:
        waiting = [pool.submit(load, item) for _, item in zip(range(2), items, strict=False)]
        while waiting:
            result = waiting.pop(0).result()
            item = next(items, None)
            if item is not None:
                waiting.append(pool.submit(load, item))
            yield result


def augment(
    frames: UInt8[Tensor, "s f h w 3"],
    flip: float,
    shift: float,
    rng: np.random.Generator,
    *,
    batch: int | None = None,
    share: slice = slice(None),
) -> UInt8[Tensor, "s f h w 3"]:
    """Mirrors each tracklet with probability `flip` and moves it by up to `shift` of height and width.

    A tracklet is varied as a whole, as a camera would; uncovered borders repeat the edge. Random
    numbers are drawn for a batch of so many tracklets, of which `frames` are the share.
    """
    b, h, w = frames.shape[0], frames.shape[2], frames.shape[3]
    drawn = b if batch is None else batch
    mirrored = (rng.random(drawn) < flip)[share]
    down = rng.integers(-int(shift * h), int(shift * h), size=drawn, endpoint=True)[share]
    right = rng.integers(-int(shift * w), int(shift * w), size=drawn, endpoint=True)[share]
    rows = np.clip(np.arange(h) + down[:, None], 0, h - 1)  # (b, h)
    columns = np.clip(np.arange(w) + right[:, None], 0, w - 1)  # (b, w)
    columns[mirrored] = columns[mirrored, ::-1]
    # Rows of w pixels move as blocks in the first gather; the second reorders pixels.
    at = torch.arange(b, device=frames.device)[:, None]
    moved = frames.transpose(1, 2)[at, _like(rows, frames)]  # (b, h, f, w, 3)
    moved = moved.permute(0, 3, 2, 1, 4)[at, _like(columns, frames)]  # (b, w, f, h, 3)
    return moved.permute(0, 2, 3, 1, 4)


def _like(indices: Int[ndarray, "b k"], frames: Tensor) -> Int[Tensor, "b k"]:
    return torch.from_numpy(indices).to(frames.device, non_blocking=True)


def normalise(
    frames: UInt8[Tensor, "b h w 3"], channels_last: bool, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "b 3 h w"]:
    """uint8 RGB to the network's input: scaled to [0, 1], ImageNet's mean and deviation removed."""
    b, h, w, _ = frames.shape
    mean, scale = _mean_and_scale(frames.device)
    # Whole rows of pixels in place: on a CPU nine times as fast as three colours at a time in new memory.
    rows = frames.to(torch.float32, memory_format=torch.contiguous_format).view(b, h, 3 * w)
    rows.sub_(mean.repeat(w)).mul_(scale.repeat(w))
    pixels = rows.view(b, h, w, 3).to(dtype).permute(0, 3, 1, 2)
    return pixels.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


@functools.cache
def _mean_and_scale(device: torch.device) -> tuple[Float[Tensor, " 3"], Float[Tensor, " 3"]]:
    """Made once per device: to build a tensor from Python numbers on a GPU waits for what it is doing."""
    with torch.inference_mode(False):
        return torch.tensor(_MEAN, device=device) * 255, 1 / (torch.tensor(_STD, device=device) * 255)

"""From the frame store to the device, in batches.

Copies out of the memory map run on a thread of their own, one batch ahead of the network, and go to
a GPU from pinned memory on a stream of their own. Nothing here makes the host wait for a GPU.

Notation: b tracklets (or frames) per batch, s of this rank's share, f frames of each, (h, w) frame size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias, TypeVar

import numpy as np
import torch
from jaxtyping import Int, UInt8
from numpy import ndarray
from torch import Tensor

from dcreid.data.sampling import sample_frames
from dcreid.data.store import FrameStore
from dcreid.parallel import ONE_PROCESS, Ranks

Item = TypeVar("Item")
Result = TypeVar("Result")


def training_batches(
    store: FrameStore,
    batches: Iterable[Int[ndarray, " _"]],
    *,
    frames: int,
    sampling: str,
    rng: np.random.Generator,
    device: torch.device,
    ranks: Ranks = ONE_PROCESS,
) -> Iterator[tuple[UInt8[Tensor, "s f h w 3"], Int[Tensor, " b"]]]:
    """One epoch of these batches of tracklets, as (frames on the device, tracklets on the CPU).

    A tracklet that comes more than once has frames of its own each time. With several ranks the frames
    are those of this rank's share of the batch, the tracklets all of it.
    """
    plans = []
    for tracklets in batches:
        within = sample_frames(store.lengths[tracklets], frames, sampling, rng)
        rows = store.starts[tracklets][:, None] + within
        plans.append((tracklets, rows[ranks.share(len(tracklets))]))

    sender = _Sender(device)

    def load(plan: tuple[Int[ndarray, " b"], Int[ndarray, "s f"]]) -> tuple[_Sent, Tensor]:
        tracklets, rows = plan
        pixels = sender.gather(store.frames, rows.flatten())
        return sender.send(pixels.view(*rows.shape, *pixels.shape[1:])), torch.from_numpy(tracklets)

    for sent, whole_batch in _one_ahead(load, iter(plans)):
        yield sender.receive(sent), whole_batch


def frame_runs(
    store: FrameStore, rows: Int[ndarray, " k"], batch: int, device: torch.device
) -> Iterator[UInt8[Tensor, "b h w 3"]]:
    """The frames `rows`, in order and in batches of `batch` frames, whatever tracklets they belong to."""
    sender = _Sender(device)

    def load(part: Int[ndarray, " b"]) -> _Sent:
        if part[-1] - part[0] + 1 == len(part):  # consecutive frames: one copy, no index
            return sender.send(sender.consecutive(store.frames, int(part[0]), len(part)))
        return sender.send(sender.gather(store.frames, part))

    for sent in _one_ahead(load, (rows[start : start + batch] for start in range(0, len(rows), batch))):
        yield sender.receive(sent)


_Sent: TypeAlias = tuple[Tensor, torch.cuda.Event | None]


class _Sender:
    """Copies frames to the device; a CPU gets consecutive frames without a copy.

    The loader thread calls `gather`, `consecutive` and `send`, the computing thread `receive`. NumPy
    does the copying because it starts no threads: a second OpenMP team would take cores from the network.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def gather(self, frames: UInt8[Tensor, "F h w 3"], rows: Int[ndarray, " b"]) -> UInt8[Tensor, "b h w 3"]:
        if rows.size and not 0 <= rows.min() <= rows.max() < len(frames):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(frames)} frames")
        gathered = self._empty(len(rows), frames)
        np.take(frames.numpy(), rows, axis=0, out=gathered.numpy(), mode="clip")  # "raise" would copy twice
        return gathered

    def consecutive(self, frames: UInt8[Tensor, "F h w 3"], start: int, b: int) -> UInt8[Tensor, "b h w 3"]:
        part = frames[start : start + b]
        if self.stream is None:
            return part
        pinned = self._empty(b, frames)
        np.copyto(pinned.numpy(), part.numpy())
        return pinned

    def _empty(self, b: int, frames: UInt8[Tensor, "F h w 3"]) -> UInt8[Tensor, "b h w 3"]:
        return torch.empty((b, *frames.shape[1:]), dtype=torch.uint8, pin_memory=self.stream is not None)

    def send(self, frames: Tensor) -> _Sent:
        if self.stream is None:
            return frames, None
        with torch.cuda.stream(self.stream):
            return frames.to(self.device, non_blocking=True), self.stream.record_event()

    def receive(self, sent: _Sent) -> Tensor:
        frames, event = sent
        if event is not None:
            computing = torch.cuda.current_stream(self.device)
            computing.wait_event(event)
            frames.record_stream(computing)  # not given to another batch before it was used
        return frames


def _one_ahead(load: Callable[[Item], Result], items: Iterator[Item]) -> Iterator[Result]:
    """load(item) for every item in order, each loaded while the one before is in use."""
    with ThreadPoolExecutor(1, thread_name_prefix="loader") as pool:
        waiting = [pool.submit(load, item) for _, item in zip(range(2), items, strict=False)]
        while waiting:
            result = waiting.pop(0).result()
            item = next(items, None)
            if item is not None:
                waiting.append(pool.submit(load, item))
            yield result

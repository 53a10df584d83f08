"""The frame store: every frame of a split decoded and resized once per machine, then memory-mapped.

A run reads each frame some ninety times, and all runs on a machine read the same frames; decoding them
every time would keep the network waiting. The store is one flat file of (F, height, width, 3) uint8
RGB, named by a digest of its content. The first process that needs it builds it under a lock, in a
temporary folder that is renamed at the end. Frames that cannot be read are left out and reported.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import math
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch
from filelock import FileLock
from jaxtyping import UInt8
from numpy.typing import NDArray
from torch import Tensor

from dcreid.data.jpeg import explain
from dcreid.data.tracklets import DataError, Ints, JpegFrames, Split
from dcreid.disk import allocate, located, size_text

_VERSION = 2  # of the layout and of how frames are decoded and resized
_FRAMES_AT_ONCE = 2048
_RETRIED = 256  # frames left out that are tried again when a store is opened
_SPARE_DISK = 1 << 30  # bytes that are left free on the cache's disk; on small ones a twentieth of it
_MEND = "choose another disk with --cache, or smaller frames with --height and --width"
_log = logging.getLogger("dcreid")


@dataclass(frozen=True)
class FrameStore:
    """n tracklets, F readable frames; tracklet i owns `frames[starts[i]:starts[i] + lengths[i]]`."""

    frames: UInt8[Tensor, "F h w 3"]
    starts: Ints  # (n,)
    lengths: Ints  # (n,)
    problems: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.starts)

    def reordered(self, order: Ints) -> FrameStore:
        """The same frames with tracklet `order[i]` in place i."""
        return dataclasses.replace(self, starts=self.starts[order], lengths=self.lengths[order])


def store_bytes(split: Split, height: int, width: int) -> int:
    """Size of the store on disk."""
    return len(split.frames) * height * width * 3


def open_store(split: Split, height: int, width: int, cache: Path | None) -> FrameStore:
    """The store of a split at one frame size, made first if `cache` does not hold it yet.

    cache: folder for stores, shared by all runs on the machine; None keeps the frames in memory.
    Raises DataError when the disk is too small or a tracklet has no readable frame.
    """
    if cache is None:
        frames, filled = np.empty((len(split.frames), height, width, 3), dtype=np.uint8), 0

        def keep(pixels: NDArray[np.uint8]) -> None:
            nonlocal filled
            frames[filled : filled + len(pixels)] = pixels
            filled += len(pixels)

        offsets, problems = _leave_out(split, _read(split, height, width, keep))
        return _store(torch.from_numpy(frames[: offsets[-1]]), offsets, problems)
    folder = cache / "frames" / f"{_key(split)}-{height}x{width}"
    if not _usable(folder, split):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not _usable(folder, split):
                _build(split, height, width, folder)
    return _open(folder, height, width)


def _usable(folder: Path, split: Split) -> bool:
    """Whether the store is complete, and the frames that it leaves out are still unreadable."""
    if not (folder / "index.json").is_file():
        return False
    left_out = json.loads((folder / "index.json").read_text())["left_out"]
    if not left_out:
        return True
    _, readable = split.frames.read(np.array(left_out[:_RETRIED], dtype=np.int64), 16, 8)
    return not readable.any()


def _key(split: Split) -> str:
    digest = hashlib.sha256(f"{_VERSION} {split.frames.fingerprint()} ".encode())
    digest.update(np.ascontiguousarray(split.offsets).tobytes())
    return f"{split.name}-{digest.hexdigest()[:16]}"


def _open(folder: Path, height: int, width: int) -> FrameStore:
    index = json.loads((folder / "index.json").read_text())
    offsets = np.array(index["offsets"], dtype=np.int64)
    size = int(offsets[-1]) * height * width * 3
    path = folder / "frames.bin"
    if path.stat().st_size < size:
        raise DataError(f"{path}: {path.stat().st_size:,} bytes instead of {size:,}; delete {folder}")
    # A private mapping: all processes share the pages, and none can change the file.
    frames = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)
    return _store(frames.view(-1, height, width, 3), offsets, tuple(index["problems"]))


def _store(frames: Tensor, offsets: Ints, problems: tuple[str, ...]) -> FrameStore:
    return FrameStore(frames, offsets[:-1], np.diff(offsets), problems)


def _build(split: Split, height: int, width: int, folder: Path) -> None:
    size = store_bytes(split, height, width)
    text = f"frame store of {split.name}: {len(split.frames):,} frames at {height}×{width}"
    disk = shutil.disk_usage(folder.parent)
    spare = min(_SPARE_DISK, disk.total // 20)
    if size + spare > disk.free:
        raise DataError(
            f"{text}: {folder.parent}: {size_text(size)} needed, {size_text(disk.free)} free "
            f"({size_text(spare)} are kept spare); {_MEND}"
        )
    _log.info("%s, %s, packed once at %s", text, size_text(size), folder)
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _write(split, height, width, partial)
        shutil.rmtree(folder, ignore_errors=True)  # a store without its index, left by a crash
        os.replace(partial, folder)
    except OSError as error:
        told = located(error, partial / "frames.bin", size)
        raise DataError(f"{text}: {told.filename}: {told.strerror}; {_MEND}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(split: Split, height: int, width: int, folder: Path) -> None:
    """Writes frames and index. Raises OSError: no room, which is found out before any frame is decoded."""
    with (folder / "frames.bin").open("wb") as file:
        allocate(file, store_bytes(split, height, width))
        readable = _read(split, height, width, lambda pixels: file.write(np.ascontiguousarray(pixels).data))
        file.truncate(file.tell())
        _sync(file)
    offsets, problems = _leave_out(split, readable)
    left_out = np.flatnonzero(~readable).tolist()
    index = {"offsets": offsets.tolist(), "problems": problems, "left_out": left_out}
    with (folder / "index.json").open("wb") as file:
        file.write(json.dumps(index).encode())
        _sync(file)


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _read(
    split: Split, height: int, width: int, keep: Callable[[NDArray[np.uint8]], object]
) -> NDArray[np.bool_]:
    """Passes the readable frames to `keep`, in order and some at a time; returns which those are (F,)."""
    readable = np.zeros(len(split.frames), dtype=np.bool_)
    for rows in _chunks(len(split.frames)):
        pixels, good = split.frames.read(rows, height, width)
        keep(pixels if good.all() else pixels[good])
        readable[rows] = good
    return readable


def _chunks(count: int) -> Iterator[Ints]:
    for chunk in range(math.ceil(count / _FRAMES_AT_ONCE)):
        start = chunk * _FRAMES_AT_ONCE
        yield np.arange(start, min(start + _FRAMES_AT_ONCE, count), dtype=np.int64)


def _leave_out(split: Split, readable: NDArray[np.bool_]) -> tuple[Ints, tuple[str, ...]]:
    """Offsets of the readable frames (n + 1,), and a message about the others."""
    kept = np.concatenate([[0], np.cumsum(readable)])[split.offsets].astype(np.int64)
    bad = np.flatnonzero(~readable)
    if not len(bad):
        return kept, ()
    lost = np.flatnonzero(np.diff(kept) == 0)
    if len(lost):
        first = int(split.offsets[lost[0]])
        raise DataError(
            f"{split.name}: tracklet {split.names[int(lost[0])]} has no readable frame; first: "
            f"{_complaint(split, first)} ({len(lost):,} such tracklets); restore or remove it"
        )
    first_three = ", ".join(_complaint(split, int(frame)) for frame in bad[:3])
    more = f" and {len(bad) - 3:,} more" if len(bad) > 3 else ""
    left_out = f"{len(bad):,} of {len(readable):,} frames cannot be read, left out: {first_three}{more}"
    problem = f"{split.name}: {left_out}"
    _log.warning(problem)
    return kept, (problem,)


def _complaint(split: Split, frame: int) -> str:
    name = split.frames.name(frame)
    why = explain(Path(name)) if isinstance(split.frames, JpegFrames) else None
    return f"{name} ({why})" if why else name

"""The clock that merge steps are timed by, and the peak of GPU memory."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from dcreid.parallel import Ranks

_log = logging.getLogger("dcreid")


class Clock:
    """Times and memory of rank 0, read when the device has finished what it was given."""

    def __init__(self, device: torch.device, ranks: Ranks):
        self._cuda, self._device, self._ranks = device.type == "cuda", device, ranks

    @contextmanager
    def timed(self, seconds: dict[str, float], part: str) -> Iterator[None]:
        """Sets seconds[part] to the duration of the block, and logs that it begins."""
        _log.info("%s", part)
        started = self._now()
        yield
        seconds[part] = self._now() - started

    def _now(self) -> float:
        if self._cuda:
            torch.cuda.synchronize(self._device)
        return self._ranks.on_rank_0(time.perf_counter)

    def reset_peak_memory(self) -> None:
        """Starts a new measurement of the peak."""
        if self._cuda:
            torch.cuda.reset_peak_memory_stats(self._device)

    def peak_memory(self) -> int | None:
        """Bytes on rank 0's GPU since the last reset; None without CUDA."""
        if not self._cuda:
            return None
        return self._ranks.on_rank_0(lambda: int(torch.cuda.max_memory_allocated(self._device)))

"""How much memory a device has left for this process."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import torch


def free_bytes(device: torch.device) -> float:
    """Free memory of a CUDA device, or of a Linux host within its cgroup's limit; elsewhere infinite."""
    if device.type == "cuda":
        # PyTorch caches freed memory, and uses it or returns it before an allocation fails.
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return float(torch.cuda.mem_get_info(device)[0] + kept)
    return host_free_bytes() if device.type == "cpu" else math.inf


def host_free_bytes(root: Path = Path("/")) -> float:
    """Free memory of the host, or what its cgroups leave, whichever is less; infinite where unknown."""
    available = _numbers(root / "proc/meminfo").get("MemAvailable:", math.inf) * 1024
    return min([available, *_left_by_cgroups(root)])


def _left_by_cgroups(root: Path) -> Iterator[float]:
    """Limit minus usage of this process's cgroup and of those above it, versions 1 and 2.

    Cached files count as free: the kernel drops them where memory is needed.
    """
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if not controllers:
            top, limit, usage, cache = "", "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            top, limit, usage = "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            cache = "total_inactive_file"
        else:
            continue
        base = root / "sys/fs/cgroup" / top
        own = base / path.lstrip("/")
        # A container may see the path of the host, which is not there: its limit stands at `base`.
        for folder in (own, *own.parents):
            if folder.is_relative_to(base):
                used = _number(folder / usage) - _numbers(folder / "memory.stat").get(cache, 0.0)
                yield _number(folder / limit) - used if math.isfinite(used) else math.inf


def _number(path: Path) -> float:
    """The number in a file; infinite for "max" and where there is none."""
    text = "".join(_lines(path))
    return float(text) if text.isdigit() else math.inf


def _numbers(path: Path) -> dict[str, float]:
    """First to second word of every line."""
    return {words[0]: float(words[1]) for line in _lines(path) if len(words := line.split()) > 1}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []

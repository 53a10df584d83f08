"""What the benchmarks share: repeated timing, peak memory, tables, fitted exponents, JSON."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

T = TypeVar("T")
_CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
_clock = _CLOCKS["wall"]


def options(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that every benchmark has."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of which the median counts (default: 3)")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 = PyTorch's choice")
    parser.add_argument(
        "--clock",
        choices=tuple(_CLOCKS),
        default="wall",
        help="cpu counts this process only, all its threads together: for a shared machine, with --threads 1",
    )
    parser.add_argument("--quick", action="store_true", help="small sizes: about 20 seconds in all")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the numbers there as well")
    return parser


def set_up(args: argparse.Namespace) -> None:
    """Threads and clock as the options say; tells what the numbers are measured on."""
    global _clock
    _clock = _CLOCKS[args.clock]
    if args.threads:
        torch.set_num_threads(args.threads)
    load = ", ".join(f"{mean:.1f}" for mean in os.getloadavg())
    where = f"{_machine(args.device)}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    print(f"{where}, {args.clock} clock; load before {load}")


def _machine(device: str) -> str:
    return torch.cuda.get_device_name() if device != "cpu" else platform.processor() or platform.machine()


def timed(run: Callable[[], T], repeats: int, device: str = "cpu") -> tuple[float, T]:
    """Median seconds of `repeats` runs (after one more on CUDA, to warm up), and the last result."""
    seconds = []
    for turn in range(repeats + (device != "cpu")):
        synchronise(device)
        start = _clock()
        result = run()
        synchronise(device)
        if turn or device == "cpu":
            seconds.append(_clock() - start)
    return statistics.median(seconds), result


def in_turn(
    runs: dict[str, Callable[[], object]], repeats: int, device: str = "cpu", warm: bool = True
) -> dict[str, float]:
    """Median seconds of each run; they take turns, so that another load on the machine meets all of them.

    warm: every run goes once before it counts.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeats + warm):
        for name, run in runs.items():
            synchronise(device)
            start = _clock()
            run()
            synchronise(device)
            if turn >= warm:
                seconds[name].append(_clock() - start)
    return {name: statistics.median(each) for name, each in seconds.items()}


def synchronise(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def peak_bytes(run: Callable[[], object], device: str = "cpu") -> float:
    """Memory that `run` needed beyond what was held before; NaN where Linux does not tell."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return float(torch.cuda.max_memory_allocated() - before)
    try:
        Path("/proc/self/clear_refs").write_text("5")  # sets the peak back to what is held now
        before = _resident("VmRSS")
        run()
        return float(_resident("VmHWM") - before)
    except (OSError, StopIteration):
        return math.nan


def held_bytes() -> float:
    """Memory of this process now; NaN where Linux does not tell."""
    try:
        return float(_resident("VmRSS"))
    except (OSError, StopIteration):
        return math.nan


def _resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """The p of seconds ∝ size^p, by least squares on logarithms; NaN where there is nothing to fit."""
    if len(sizes) < 2 or any(math.isnan(spent) for spent in seconds):
        return math.nan
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints rows under a title, numbers to the right."""
    text = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(head), *text]) for i in range(len(head))]
    print(f"\n{title}")
    for row in [list(head), ["-" * width for width in widths], *text]:
        cells = [
            value.ljust(width) if i == 0 else value.rjust(width)
            for i, (value, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip(), flush=True)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def write_json(path: Path | None, benchmark: str, results: dict[str, Any], args: argparse.Namespace) -> None:
    """Results with what they were measured on."""
    if path is None:
        return
    content = {
        "benchmark": benchmark,
        "options": {key: str(value) for key, value in vars(args).items()},
        "machine": _machine(args.device),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "results": results,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
    print(f"\nnumbers: {path}")

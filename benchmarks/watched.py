"""Runs study/run.py and measures it from outside: CPU time of its processes, times of its ledger's events."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
_LOOK_EVERY = 0.5  # seconds; what a process uses after its last look is not seen
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Watched:
    """A study that was run."""

    seconds: float  # of the whole command
    began: float  # time.time() at its start
    cpu_seconds: dict[str, float]  # by kind: trials, driver, Ray's own
    events: list[dict[str, Any]] = field(default_factory=list)

    def first(self, event: str, **wanted: Any) -> float:
        """Seconds from the command to the first such event."""
        for entry in self.events:
            row = entry.get("row") or {}
            if entry["event"] == event and all(row.get(key) == value for key, value in wanted.items()):
                return float(entry["time"]) - self.began
        raise LookupError(f"the ledger has no {event} {wanted}")


def run_study(folder: Path, options: list[str]) -> Watched:
    """Runs study/run.py in `folder`. Raises RuntimeError with its output where it fails."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(REPOSITORY / "study" / "run.py"), "--name", "study", *options]
    began, cpu = time.time(), dict[int, tuple[str, float]]()
    with (folder / "output.txt").open("w") as output:
        run = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        while run.poll() is None:
            cpu |= _look(run.pid)
            time.sleep(_LOOK_EVERY)
    seconds = time.time() - began
    if run.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{(folder / 'output.txt').read_text()}")
    kinds: dict[str, float] = {"trials": 0.0, "driver": 0.0, "Ray's own": 0.0}
    for kind, spent in cpu.values():
        kinds[kind] += spent
    lines = (folder / "studies" / "study" / "ledger.jsonl").read_text().splitlines()
    return Watched(seconds, began, kinds, [json.loads(line) for line in lines])


def _look(root: int) -> dict[int, tuple[str, float]]:
    """Kind and CPU seconds of a process and all that it has started; nothing where Linux does not say."""
    found, waiting = dict[int, tuple[str, float]](), [root]
    while waiting:
        pid = waiting.pop()
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
            name = Path(f"/proc/{pid}/cmdline").read_bytes()
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        except OSError:
            continue
        user, system = stat.rpartition(")")[2].split()[11:13]
        kind = "driver" if pid == root else "trials" if name.startswith(b"ray::Implicit") else "Ray's own"
        found[pid] = kind, (int(user) + int(system)) / _TICK
        waiting += [int(child) for child in children.split()]
        waiting += _started_by_threads(pid)
    return found


def _started_by_threads(pid: int) -> list[int]:
    """Children of the other threads."""
    try:
        threads = [thread for thread in os.listdir(f"/proc/{pid}/task") if thread != str(pid)]
        texts = [Path(f"/proc/{pid}/task/{thread}/children").read_text() for thread in threads]
    except OSError:
        return []
    return [int(child) for text in texts for child in text.split()]

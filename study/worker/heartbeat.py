"""Signs of life of a trial: a small file in its storage that the driver looks at.

It is written after epochs and, by a thread of its own, for as long as the thread that works uses
processor time. A process that is stopped, a mount that has died and a deadlock leave that clock still;
packing frames, a long epoch and waiting for another trial's lock do not.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from typing import Any

from study.record.storage import Storage

NAME = "progress.json"
_EPOCH_INTERVAL = 2.0  # seconds between notes about the epoch
_PULSE = 30.0  # seconds between signs of life at most; on object stores also between notes about the epoch
_ALIVE = 1e-3  # seconds of processor time that count as one


class Heartbeat:
    """Beats while it is entered, for the thread that enters it. `epoch` serves as `on_epoch`.

    timeout: the driver's, in seconds; there are four beats in it at least.
    """

    def __init__(self, storage: Storage, timeout: float):
        self._storage = storage
        self._pulse = min(_PULSE, timeout / 4)
        self._interval = min(self._pulse, _PULSE if "://" in storage.root else _EPOCH_INTERVAL)
        self._note: dict[str, Any] = {"stage": None, "epoch": 0, "epochs": 0}
        self._written = 0.0
        self._one_at_a_time, self._stop = threading.Lock(), threading.Event()

    def __enter__(self) -> Heartbeat:
        self._write()
        if hasattr(time, "pthread_getcpuclockid"):  # elsewhere epochs and reports have to do
            clock = time.pthread_getcpuclockid(threading.get_ident())
            threading.Thread(target=self._beat, args=(clock,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()

    def epoch(self, stage: int, epoch: int, epochs: int) -> None:
        """Notes the epoch for the driver's table, unless it has just done so."""
        self._note = {"stage": stage, "epoch": epoch, "epochs": epochs}
        if time.time() - self._written >= self._interval:
            self._write()

    def _beat(self, clock: int) -> None:
        used = time.clock_gettime(clock)
        while not self._stop.wait(self._pulse):
            try:
                before, used = used, time.clock_gettime(clock)
            except OSError:  # the thread has ended
                return
            if used - before > _ALIVE:
                self._write()

    def _write(self) -> None:
        """A disk that refuses this is reported where it matters, at the checkpoint."""
        with self._one_at_a_time, contextlib.suppress(OSError):
            self._written = time.time()
            self._storage.write(NAME, json.dumps(self._note | {"time": self._written}).encode())

"""Several processes for one trial: Tune's worker is the first rank and starts the others on its node.

They live and die together. When the worker ends, however it ends, the pipe from it closes and the
others end; when another dies, the worker leaves the trial with the reason, which Tune tries again from
its checkpoint. Where it cannot leave, waiting on a GPU for a rank that is no more, it ends itself,
and the next attempt reports the reason.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from torch import distributed

from dcreid.disk import located
from dcreid.parallel import ONE_PROCESS, Ranks, process_group
from study.job import Job
from study.record.patience import Patience, PatientStorage
from study.record.storage import Storage
from study.worker.cuda import device_of

READY = "ready"
_GRACE = 10.0  # seconds in which the worker may leave a trial whose other ranks have died
_DEATH = "rank.txt"  # in the trial's storage: why the attempt before had to end itself
_log = logging.getLogger("dcreid.study")


class RankError(RuntimeError):
    """Another rank of the trial has failed; the message says which and why."""


@contextlib.contextmanager
def trial_ranks(job: Job, patience: Patience | None = None) -> Iterator[Ranks]:
    """The ranks of a trial, this process being the first. Raises RankError, inside as well.

    patience: with the trial's storage, as in `trial_rows`.
    """
    size = job.processes
    if size == 1:
        yield ONE_PROCESS
        return
    storage = PatientStorage(job.storage, patience or Patience(job.patience))
    before = storage.read(_DEATH)
    if before is not None:
        _log.warning("the attempt before ended: %s", before.decode())
        storage.delete(_DEATH)
    with tempfile.TemporaryDirectory(prefix="dcreid-ranks-") as folder:
        _check_room(Path(folder, "room"))
        meeting = Path(folder, "meeting").as_uri()
        with (
            _Others(job, meeting),
            process_group(device_of(job, 0), meeting, 0, size) as ranks,
        ):
            yield ranks


def _check_room(path: Path) -> None:
    """Raises OSError, with the path: PyTorch would name no file."""
    try:
        path.write_bytes(bytes(4096))
    except OSError as error:
        raise located(error, path, 4096) from None


class _Others:
    """Ranks 1, 2, … as child processes, none of which outlives the context."""

    def __init__(self, job: Job, meeting: str):
        self._job, self._meeting = job, meeting
        self._children: list[subprocess.Popen[str]] = []
        self._deaths: list[str] = []
        self._died, self._over = threading.Event(), threading.Event()

    def __enter__(self) -> _Others:
        try:
            for rank in range(1, self._job.processes):
                self._children.append(_start(self._job, rank, self._meeting))
            for rank, child in enumerate(self._children, start=1):
                assert child.stdout is not None
                if child.stdout.readline().strip() != READY:
                    raise RankError(self._death(rank, child, ""))
        except BaseException:
            self._end()
            raise
        for rank, child in enumerate(self._children, start=1):
            threading.Thread(target=self._watch, args=(rank, child), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        # What a message to a rank that is no more raises says nothing of why it is no more.
        lost = type(error) is RuntimeError or isinstance(error, distributed.DistError)
        dead = lost and self._died.wait(_GRACE)
        self._end()
        if dead:
            raise RankError(self._deaths[0]) from error

    def _watch(self, rank: int, child: subprocess.Popen[str]) -> None:
        assert child.stdout is not None
        output = child.stdout.read()
        if child.wait() == 0:
            return
        self._deaths.append(self._death(rank, child, output))
        self._died.set()
        if not self._over.wait(_GRACE):
            with contextlib.suppress(OSError):
                Storage(self._job.storage).write(_DEATH, self._deaths[0].encode())
            os._exit(1)

    def _death(self, rank: int, child: subprocess.Popen[str], output: str) -> str:
        code = child.wait()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        last = output.strip().splitlines()[-1:]  # libraries may have printed before
        return f"rank {rank} of {self._job.processes} {last[0] if last else how}"

    def _end(self) -> None:
        for child in self._children:
            child.kill()
        for child in self._children:
            child.wait()


def _start(job: Job, rank: int, meeting: str) -> subprocess.Popen[str]:
    """A process that runs study/worker/rank_process.py for as long as its standard input is open."""
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "study.worker.rank_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,  # a Ctrl-C in the terminal is the driver's
    )
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it has died already, which is found out next
        order = {"job": dataclasses.asdict(job), "rank": rank, "meeting": meeting}
        child.stdin.write(json.dumps(order) + "\n")
        child.stdin.flush()
    return child

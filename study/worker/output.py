"""What a worker prints, kept in its trial's storage: warnings, tracebacks, the last words of native code.

While a trial runs, standard output and error of its process, and of the ranks that it starts, go to
`output.log`, each attempt under a line of its own. On a disk this is the file that they write to, so what
a killed worker has printed is there. On an object store it is a file in the cache of the worker's node,
uploaded with every row and at the end; what a killed worker printed since is uploaded by the next attempt on
that node.
"""

from __future__ import annotations

import contextlib
import faulthandler
import hashlib
import itertools
import logging
import os
import re
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from study.errors import StorageError
from study.job import Job
from study.plan import OUTPUT
from study.record.storage import Storage

_LIMIT = 1 << 20  # bytes that are kept of it
_LOOK = 5.0  # seconds between looks at its size
_LEFT = 7 * 86400.0  # seconds that a file in the cache is kept for the next attempt
_HEAD = re.compile(rb"(?m)^(?=--- attempt (\d+) )")
_log = logging.getLogger("dcreid")


@contextlib.contextmanager
def worker_output(job: Job) -> Iterator[WorkerOutput]:
    """Keeps what this process prints. A disk that refuses this does not stop the trial."""
    output = WorkerOutput(job)
    with contextlib.suppress(OSError, StorageError):
        output.open()
    try:
        yield output
    except Exception as error:
        output.tell(error)
        raise
    finally:
        output.close()


class WorkerOutput:
    """Standard output and error of a trial under way."""

    def __init__(self, job: Job):
        self.job = job
        self._path: Path | None = None  # the file that is written to; None = none could be opened
        self._uploaded: bytes | None = None  # what an object store had before; None = not known yet
        self._saved: tuple[int, int] | None = None  # where standard output and error went before
        self._over = threading.Event()

    def open(self) -> None:
        """Redirects. Raises OSError, StorageError."""
        self._storage = Storage(self.job.storage)
        there = self._storage.local(OUTPUT)
        path = there or _in_cache(self.job)
        path.parent.mkdir(parents=True, exist_ok=True)
        earlier = path.read_bytes() if path.is_file() else b""
        if there is None:
            _drop_old(path.parent)
            with contextlib.suppress(OSError):  # it is asked again with the first row
                self._uploaded = self._storage.read(OUTPUT) or b""
            earlier += self._uploaded or b""
        self._head = _head(self.job, 1 + max((int(number) for number in _HEAD.findall(earlier)), default=0))
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.write(number, self._head)
        self._path, self._file = path, os.fdopen(number, "w", buffering=1, errors="backslashreplace")
        self._handler = logging.StreamHandler(self._file)
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        _log.addHandler(self._handler)
        self._level = _log.level
        _log.setLevel(logging.INFO)  # what it is doing: training, features, merging, …
        _flush()
        self._saved = os.dup(1), os.dup(2)
        for standard in (1, 2):
            os.dup2(number, standard)
        faulthandler.enable(file=2)  # Ray has done so for one thread
        threading.Thread(target=self._watch, daemon=True).start()

    def tell(self, error: BaseException) -> None:
        """Writes down an error with its traceback."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                traceback.print_exception(error, file=self._file)

    def keep(self) -> bool:
        """Uploads, where the storage is no disk; returns whether that was done."""
        if self._path is None or self._path == self._storage.local(OUTPUT):
            return False
        try:
            if self._uploaded is None:
                self._uploaded = self._storage.read(OUTPUT) or b""
            content = _merged(self._uploaded, self._path.read_bytes())
            self._storage.write(OUTPUT, _shortened(content, self._head))
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Gives standard output and error back."""
        self._over.set()
        if self._path is None:
            return
        _flush()
        if self._saved is not None:
            for number, standard in zip(self._saved, (1, 2), strict=True):
                os.dup2(number, standard)
                os.close(number)
        _log.removeHandler(self._handler)
        _log.setLevel(self._level)
        with contextlib.suppress(OSError):
            self._file.close()
        self._cut()
        if self.keep():
            self._path.unlink(missing_ok=True)

    def _watch(self) -> None:
        while not self._over.wait(_LOOK):
            self._cut()

    def _cut(self) -> None:
        """Drops the older half of a file that has grown too long; its writers go on at the new end."""
        assert self._path is not None
        with contextlib.suppress(OSError):
            if self._path.stat().st_size > _LIMIT:
                with self._path.open("r+b") as file:
                    content = _shortened(file.read(), self._head)
                    file.seek(0)
                    file.write(content)
                    file.truncate()


def _in_cache(job: Job) -> Path:
    """Where a worker of this node writes, when the trial's storage is no disk."""
    digest = hashlib.sha256(job.storage.encode()).hexdigest()[:16]
    return Path(job.cache, "output", f"{digest}.log")


def _drop_old(folder: Path) -> None:
    """Removes what workers have left that nobody came back for."""
    for left in folder.glob("*.log"):
        if time.time() - left.stat().st_mtime > _LEFT:
            left.unlink(missing_ok=True)


def _head(job: Job, attempt: int) -> bytes:
    now = datetime.now().isoformat(" ", "milliseconds")
    where = f"process {os.getpid()} on {socket.gethostname()}"
    return f"--- attempt {attempt} at trial {job.trial}, {now}, {where}\n".encode()


def _merged(uploaded: bytes, here: bytes) -> bytes:
    """The attempts that were uploaded, with all of those that stand in the file of this node."""
    attempts = _attempts(uploaded)
    for whole in _attempts(here):
        head = whole.partition(b"\n")[0]
        known = [i for i, attempt in enumerate(attempts) if attempt.partition(b"\n")[0] == head]
        if known:
            attempts[known[0]] = whole
        else:
            attempts.append(whole)
    return b"".join(attempts)


def _attempts(content: bytes) -> list[bytes]:
    starts = [match.start() for match in _HEAD.finditer(content)]
    ends = [0, *starts, len(content)]
    return [content[a:b] for a, b in itertools.pairwise(ends) if b > a]


def _shortened(content: bytes, head: bytes) -> bytes:
    """All of it, or the newest whole lines that come to half of `_LIMIT`, under the newest head."""
    if len(content) <= _LIMIT:
        return content
    kept = content[-_LIMIT // 2 :].partition(b"\n")[2]
    return b"--- (older lines were dropped)\n" + (b"" if head in kept else head) + kept


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()

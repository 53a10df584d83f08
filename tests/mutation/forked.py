"""Programs that each run in a process of their own, forked from one that has imported what is heavy.

Importing torch, Ray and Optuna takes longer than most of what is run here. One process imports them,
starts no thread, and forks a child for every program. A program works in a copy of the repository: the
child finds the project's packages there and nowhere else, and what it prints is kept there.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

# Imported once, before the first fork. None of them may start a thread.
HEAVY = (
    *("numpy", "scipy.stats", "scipy.cluster.hierarchy", "torch", "torchvision", "pandas", "pyarrow"),
    *("matplotlib.pyplot", "optuna", "cmaes", "sqlalchemy", "ray", "ray.tune", "rich.console", "jaxtyping"),
    *("beartype", "pytest", "hypothesis", "filelock"),
)
OUTCOME, LOG = "outcome.json", "log.txt"
_PACKAGES = ("dcreid", "search_spaces", "study", "analysis")


@dataclass(frozen=True)
class Outcome:
    """What running tests, or a mutant's program, came to.

    by: the first test that failed. error: type and message of what it failed with. value: whether that
    was an assertion about a value.
    """

    seconds: float
    by: str | None = None
    error: str | None = None
    value: bool = False


# What a child runs in its copy, and how the copy is made and taken away again.
Work: TypeAlias = Callable[[Path], Outcome]
Program: TypeAlias = Callable[[], contextlib.AbstractContextManager[tuple[Path, Work]]]


def in_copy(place: Path, work: Work) -> Program:
    """A program in a copy that stays."""
    return lambda: contextlib.nullcontext((place, work))


def forked(programs: Sequence[Program], jobs: int, limit: float) -> Iterator[tuple[int, Outcome]]:
    """Runs every program in a child of its own, `jobs` at a time; yields its number and outcome."""
    waiting, running = list(enumerate(programs)), dict[int, tuple[int, float, Path, contextlib.ExitStack]]()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                i, program = waiting.pop(0)
                stack = contextlib.ExitStack()
                place, work = stack.enter_context(program())
                running[_fork(i, place, work)] = i, time.monotonic() + limit, place, stack
            for pid, (i, deadline, place, stack) in list(running.items()):
                ended = os.waitpid(pid, os.WNOHANG)[0] != 0
                if not ended and time.monotonic() < deadline:
                    continue
                if not ended:
                    _kill(pid)
                del running[pid]
                outcome = _read(place, i) if ended else Outcome(limit, None, f"no end within {limit:g} s")
                stack.close()
                yield i, outcome
            time.sleep(0.02)
    finally:
        for pid, (*_, stack) in running.items():
            _kill(pid)
            stack.close()


def _fork(number: int, place: Path, work: Work) -> int:
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setpgid(0, 0)
        log = os.open(place / f"{number}-{LOG}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        here = Path(__file__).resolve().parents[1]
        sys.path[:] = [
            str(place),
            str(place / "tests"),
            str(place / "tests" / "helpers"),
            *(p for p in sys.path if Path(p or ".").resolve() not in (here, here / "helpers")),
        ]
        os.environ["PYTHONPATH"] = str(place)
        os.chdir(place)
        try:
            outcome = work(place)
        except BaseException as error:
            traceback.print_exc()
            outcome = Outcome(0.0, None, f"{type(error).__name__}: {error}")
        (place / f"{number}-{OUTCOME}").write_text(json.dumps(vars(outcome)))
    finally:
        sys.stdout.flush()
        os._exit(0)


def _read(place: Path, number: int) -> Outcome:
    path = place / f"{number}-{OUTCOME}"
    return (
        Outcome(**json.loads(path.read_text())) if path.is_file() else Outcome(0.0, None, "the process died")
    )


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def import_heavy(names: Sequence[str] = HEAVY) -> None:
    """What children need and never change. One thread each: they share the cores."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    os.environ.setdefault("MPLBACKEND", "agg")
    for name in names:
        importlib.import_module(name)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    sys.dont_write_bytecode = False  # compiled once, in the copy that all others are made from
    gc.collect()
    gc.freeze()  # children, whose tests end with a collection, need not look at any of it
    if threading.active_count() > 1:
        raise RuntimeError(f"{threading.enumerate()} run before the first fork")


def check_place(place: Path) -> None:
    """The project is installed as well: what ran must have been the copy."""
    for name in _PACKAGES:
        module = sys.modules.get(name)
        if module is not None and not Path(str(module.__file__)).is_relative_to(place):
            raise RuntimeError(f"{name} came from {module.__file__}, not from {place}")

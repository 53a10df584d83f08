"""Runs bad inputs: as commands of their own, or in children of a process that has imported what is heavy."""

from __future__ import annotations

import contextlib
import os
import runpy
import shlex
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

from mutation.forked import HEAVY, Outcome, Program, Work, forked, import_heavy

from bad_input.case import Answer, Case, fallen_short

REPOSITORY = Path(__file__).resolve().parents[2]
# Beside what they import from elsewhere: modules of the commands.
_OURS = ("study.command.driver", "study.show.status_text", "dcreid.data.inspection", "analysis.report")
Verdict: TypeAlias = tuple[Case, list[str], str]  # in what the case fell short, and what the command said


def as_commands(cases: Sequence[Case], scratch: Path, jobs: int, limit: float) -> Iterator[Verdict]:
    """Every case as a user types it."""

    def judged(number: int) -> Verdict:
        case = cases[number]
        with _made(case, scratch / str(number)) as (here, before):
            answer = _command(case, here, limit)
            answer = Answer(answer.status, answer.out, answer.err, tuple(_changes(before, here)))
        return case, fallen_short(case, answer), answer.out + answer.err

    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(judged, range(len(cases)))


def in_children(cases: Sequence[Case], scratch: Path, jobs: int, limit: float) -> Iterator[Verdict]:
    """Every case in a fork of this process."""
    import_heavy((*HEAVY, *_OURS))
    programs = [_program(case, scratch / str(number)) for number, case in enumerate(cases)]
    for number, outcome in forked(programs, jobs, limit):
        faults = (outcome.error or "").splitlines()
        yield cases[number], faults, outcome.by or ""


# --- the folder


@contextlib.contextmanager
def _made(case: Case, place: Path) -> Iterator[tuple[Path, dict[str, object]]]:
    """The folder that a case is run in, and what is in it before."""
    here = place / "here"
    here.mkdir(parents=True)
    case.prepare(here)
    yield here, _contents(here)


def _contents(folder: Path) -> dict[str, object]:
    """Every path with what tells a change, links as they are."""
    found = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        found[str(path.relative_to(folder))] = path.is_dir() or (status.st_size, status.st_mtime_ns)
    return found


def _changes(before: dict[str, object], folder: Path) -> Iterable[str]:
    after = _contents(folder)
    return (name for name in sorted({*before, *after}) if before.get(name) != after.get(name))


# --- a command


def _command(case: Case, here: Path, limit: float) -> Answer:
    start = [str(REPOSITORY / case.command)] if case.command.endswith(".py") else ["-m", case.command]
    command = [sys.executable, *start, *case.argv(here)]
    if case.output:
        command = ["bash", "-c", f"set -o pipefail; {shlex.join(command)} {case.output}"]
    process = subprocess.Popen(
        command,
        cwd=here,
        env=_environment(case),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=limit)
        status: int | None = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        status = None
    return Answer(status, out.decode(errors="replace"), err.decode(errors="replace"))


def _environment(case: Case) -> dict[str, str]:
    """This process's, one thread, the project from this repository, and the case's changes."""
    paths = [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
    changed = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}
    everything: dict[str, str | None] = {**os.environ, **changed, **case.environment}
    return {name: value for name, value in everything.items() if value is not None}


# --- a child


def _program(case: Case, place: Path) -> Program:
    @contextlib.contextmanager
    def opened() -> Iterator[tuple[Path, Work]]:
        with _made(case, place) as (here, before):
            yield place, lambda _: _in_child(case, here, before)

    return opened


def _in_child(case: Case, here: Path, before: dict[str, object]) -> Outcome:
    """Runs the command with its output in files. The outcome's `error` is in what it fell short."""
    began, place = time.monotonic(), here.parent
    log = os.dup(2)
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(place / name, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, number)
    sys.path[:3] = [str(REPOSITORY)]
    os.environ.clear()
    os.environ.update(_environment(case))
    os.chdir(here)
    status = _main(case, here)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(log, 1)
    os.dup2(log, 2)
    out, err = ((place / name).read_bytes().decode(errors="replace") for name in ("out", "err"))
    faults = fallen_short(case, Answer(status, out, err, tuple(_changes(before, here))))
    return Outcome(time.monotonic() - began, out + err, "\n".join(faults) or None)


def _main(case: Case, here: Path) -> int:
    """The status with which the command would end."""
    sys.argv = [case.command, *case.argv(here)]
    try:
        if case.command.endswith(".py"):
            runpy.run_path(str(REPOSITORY / case.command), run_name="__main__")
        else:
            runpy.run_module(case.command, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0

"""Faults of meaning put into copies of the program one at a time, and the tests that notice them.

A `Mutant` is one changed line. `run` makes a copy of the repository, runs all neighbourhoods on it as it
is (a suite that is red without any fault tells nothing), then makes one more copy for every mutant and
runs the mutant's neighbourhood there. A mutant is killed by a test that fails with an AssertionError, or
because something did not raise; any other exception says that the program breaks, which users would
notice without tests: such a mutant counts as badly chosen. The working tree is only read.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from mutation.forked import LOG, OUTCOME, Outcome, Program, Work, check_place, forked, in_copy

_NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "studies", "build", "dist", "docs")


@dataclass(frozen=True)
class Mutant:
    """One line with another meaning.

    find: text that occurs once in `file`; it may reach over several lines, to say which one is meant, but
    `replacement` changes one of them. tests: files or node ids of pytest that ought to notice.
    """

    name: str
    area: str
    file: str
    find: str
    replacement: str
    tests: tuple[str, ...]

    def applied(self, source: str) -> str:
        """The source with the fault. Raises LookupError where its line is gone."""
        count = source.count(self.find)
        if count != 1:
            raise LookupError(f"the line is gone: {self.file} holds {self.find!r} {count} times")
        return source.replace(self.find, self.replacement)

    def line(self, source: str) -> int:
        """Number of the line that changes."""
        before, after = (text.splitlines() for text in (source, self.applied(source)))
        (changed,) = (i for i, (old, new) in enumerate(zip(before, after, strict=True), 1) if old != new)
        return changed


# Name, text, what stands in its place; and the tests, where they are not those of the others.
Fault: TypeAlias = tuple[str, str, str] | tuple[str, str, str, str]


def of(area: str, file: str, tests: str, *faults: Fault) -> list[Mutant]:
    """Mutants of one file and neighbourhood (between spaces)."""
    return [
        Mutant(name, area, file, find, replacement, tuple((own[0] if own else tests).split()))
        for name, find, replacement, *own in faults
    ]


def gone(mutants: Iterable[Mutant], repository: Path) -> list[str]:
    """What is said of mutants whose line is not there exactly once."""
    told = []
    for mutant in mutants:
        try:
            mutant.applied((repository / mutant.file).read_text())
        except (LookupError, FileNotFoundError) as error:
            told.append(f"{mutant.name}: {error.args[-1]}")
    return told


def base_of(
    mutants: Sequence[Mutant], repository: Path, scratch: Path, say: Callable[[str], None]
) -> Path | None:
    """A copy without any mutant; None where a mutant's line is gone, which is said."""
    lost = gone(mutants, repository)
    if lost:
        say("\n".join(lost))
        return None
    base = scratch / "as-it-is"
    copy(repository, base)
    return base


def run(
    mutants: Sequence[Mutant],
    repository: Path,
    scratch: Path,
    *,
    jobs: int = 2,
    limit: float = 180.0,
    say: Callable[[str], None] = print,
) -> int:
    """0 if every mutant is killed; else 1, saying which lines are gone, which tests are red, who survived."""
    base = base_of(mutants, repository, scratch, say)
    if base is None:
        return 1
    red = _red(mutants, base, jobs, limit)
    if red:
        say("the suite is red without any mutant:")
        say("\n".join(f"  {outcome.by}: {outcome.error}" for outcome in red))
        return 1
    width = max(len(mutant.name) for mutant in mutants)
    area = max(len(mutant.area) for mutant in mutants)
    say(f"{'mutant':{width}}  {'area':{area}}  {'seconds':>7}  killed by")
    verdicts: dict[str, str] = {}
    for i, outcome in forked([on_mutant(m, base, scratch, _tests(m.tests)) for m in mutants], jobs, limit):
        mutant, verdicts[mutants[i].name] = mutants[i], _verdict(outcome)
        told = outcome.by if outcome.value else _verdict(outcome).partition(":")[0].upper()
        say(f"{mutant.name:{width}}  {mutant.area:{area}}  {outcome.seconds:7.1f}  {told}")
    alive = {name: verdict for name, verdict in verdicts.items() if verdict != "killed"}
    for name, verdict in alive.items():
        say(f"{name}: {verdict}")
    say(f"{len(mutants) - len(alive)} of {len(mutants)} killed")
    return 1 if alive else 0


def _verdict(outcome: Outcome) -> str:
    if outcome.value:
        return "killed"
    if outcome.error is None:
        return "survived"
    return f"not killed by a value: {outcome.by or 'no test'}: {outcome.error}"


# --- copies


def copy(repository: Path, target: Path) -> None:
    """The repository without what is made from it."""
    shutil.copytree(repository, target, ignore=_NOT_COPIED)


@contextlib.contextmanager
def _mutated(mutant: Mutant, base: Path, scratch: Path) -> Iterator[Path]:
    """A copy with the fault in it; compiled modules of the base serve where nothing was changed."""
    target = scratch / f"{abs(hash(mutant)):x}"
    shutil.copytree(base, target, ignore=shutil.ignore_patterns("tmp-*", f"*{OUTCOME}", f"*{LOG}"))
    path = target / mutant.file
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
        compiled.unlink()
    path.write_text(mutant.applied(path.read_text()))
    try:
        yield target
    finally:
        shutil.rmtree(target, ignore_errors=True)


# --- what a child does


def _tests(tests: Sequence[str]) -> Work:
    def work(place: Path) -> Outcome:
        import hypothesis
        import pytest

        # The first counterexample will do.
        ci = hypothesis.settings.get_profile("ci")
        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile("first", ci, phases=phases, report_multiple_bugs=False)
        first = _FirstFailure(place)
        options = ["-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", "-p", "no:xdist"]
        options += ["--hypothesis-profile=first", f"--basetemp={place / f'tmp-{os.getpid()}'}"]
        began = time.monotonic()
        status = pytest.main([*options, *tests], plugins=[first])
        seconds = time.monotonic() - began
        check_place(place)
        if first.outcome is not None:
            return Outcome(seconds, *first.outcome)
        if status != pytest.ExitCode.OK:
            return Outcome(seconds, " ".join(tests), f"pytest ended with {status!r}")
        return Outcome(seconds)

    return work


class _FirstFailure:
    """The first test that fails, and with what; an assertion of the program's own is a crash."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.outcome: tuple[str, str, bool] | None = None

    def pytest_exception_interact(self, node: Any, call: Any, report: Any) -> None:
        import pytest

        if self.outcome is not None:
            return
        error, of_test = call.excinfo.value, getattr(report, "when", None) == "call"
        ours = [Path(entry.path) for entry in call.excinfo.traceback]
        ours = [path for path in ours if path.is_relative_to(self.place)]
        asserted = isinstance(error, AssertionError | pytest.fail.Exception)
        value = of_test and asserted and any(p.is_relative_to(self.place / "tests") for p in ours[-1:])
        first_line = next(iter(str(error).strip().splitlines()), "")
        self.outcome = report.nodeid, f"{call.excinfo.typename}: {first_line}", value


def on_mutant(mutant: Mutant, base: Path, scratch: Path, work: Work) -> Program:
    @contextlib.contextmanager
    def opened() -> Iterator[tuple[Path, Work]]:
        with _mutated(mutant, base, scratch) as place:
            yield place, work

    return opened


def _red(mutants: Sequence[Mutant], base: Path, jobs: int, limit: float) -> list[Outcome]:
    """What fails of all neighbourhoods without a mutant; each share runs in one process."""
    files: dict[str, list[str]] = {}
    for test in sorted({test for mutant in mutants for test in mutant.tests}):
        files.setdefault(test.partition("::")[0], []).append(test)
    # A file that is in use as a whole needs no node ids.
    wanted = [[name] if name in tests else tests for name, tests in files.items()]
    shares = [[test for tests in wanted[i::jobs] for test in tests] for i in range(jobs)]
    programs = [in_copy(base, _tests(share)) for share in shares if share]
    return [outcome for _, outcome in forked(programs, jobs, 4 * limit) if outcome.error is not None]

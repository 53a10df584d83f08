"""What the scripts of this folder share: their options, and one line with exit status 2 for bad input."""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from analysis.data.folder import ResultsError
from dcreid import commandline
from dcreid.commandline import Parser
from dcreid.paths import user_path

# Arguments that are paths, and what a message calls them.
_PATHS = {
    "studies": "STUDY",
    "study": "STUDY",
    "compare": "--compare",
    "out": "--out",
    "data_root": "--data-root",
    "cache": "--cache",
    "hits": "HITS.csv",
}


def parser(script: str, about: str | None, *, several: bool = True) -> argparse.ArgumentParser:
    """A parser with the study folders and --out. `script`: `analysis/tables.py`."""
    made = bare_parser(script, about)
    if several:
        made.add_argument("studies", nargs="+", metavar="STUDY", help="folder of a study")
        made.add_argument(
            "--across-versions",
            action="store_true",
            help="join studies of different versions of the code; the output says so [they stay apart]",
        )
    else:
        made.add_argument("study", metavar="STUDY", help="folder of the study")
    made.add_argument("--out", metavar="DIR", help="where to write [analysis in the first study's folder]")
    return made


def bare_parser(script: str, about: str | None) -> argparse.ArgumentParser:
    """A parser without any option."""
    return Parser(
        prog=f"python {script}", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def out_folder(given: argparse.Namespace) -> Path:
    """--out, or `analysis` in the first study; made if it is not there. Raises ResultsError."""
    first = given.studies[0] if hasattr(given, "studies") else given.study
    folder: Path = given.out or first / "analysis"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultsError(
            f"--out {folder}: cannot be made ({error.strerror}); name another folder"
        ) from None
    return folder


def run(
    script: str,
    made: argparse.ArgumentParser,
    work: Callable[[argparse.Namespace], None],
    argv: Sequence[str] | None,
) -> int:
    """Parses and works; what a user can mend becomes one line on stderr. Returns the exit status."""

    def parse_and_work() -> int:
        given = made.parse_args(argv)
        for name, option in _PATHS.items():
            value = getattr(given, name, None)
            if isinstance(value, str):
                setattr(given, name, user_path(option, value))
            elif value is not None:
                setattr(given, name, [user_path(option, one) for one in value])
        with warnings_to(_SaidOnce()):
            work(given)
        return 0

    return commandline.run(script, parse_and_work)


@contextmanager
def warnings_to(handler: logging.Handler) -> Iterator[None]:
    """What our code warns of (files that are left out, damaged lines) goes to a handler, too."""
    log = logging.getLogger("dcreid")
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


class Collected(logging.Handler):
    """Keeps warnings, each once."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps it, if it is new."""
        if record.getMessage() not in self.messages:
            self.messages.append(record.getMessage())
            self.take(self.messages[-1])

    def take(self, message: str) -> None:
        """For what else is done with a new one."""


class _SaidOnce(Collected):
    def take(self, message: str) -> None:
        with contextlib.suppress(OSError):
            print(commandline.visible(message), file=sys.stderr)

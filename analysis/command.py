"""What the scripts of this folder share: their options, and one line with exit status 2 for bad input."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from analysis.data.folder import ResultsError
from dcreid import commandline
from dcreid.commandline import Parser


def parser(script: str, about: str | None, *, several: bool = True) -> argparse.ArgumentParser:
    """A parser with the study folders and --out. `script`: `analysis/tables.py`."""
    made = Parser(
        prog=f"python {script}", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if several:
        made.add_argument("studies", nargs="+", type=Path, metavar="STUDY", help="folder of a study")
    else:
        made.add_argument("study", type=Path, metavar="STUDY", help="folder of the study")
    made.add_argument(
        "--out", type=Path, metavar="DIR", help="where to write [analysis in the first study's folder]"
    )
    return made


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
        work(made.parse_args(argv))
        return 0

    return commandline.run(script, parse_and_work)

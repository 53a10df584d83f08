"""What the scripts of this folder share: their options, and one line with exit status 2 for bad input."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from analysis.data.folder import ResultsError
from dcreid.config import ConfigError
from dcreid.data.tracklets import DataError
from dcreid.network.backbone import BackboneError


def parser(script: str, about: str | None, *, several: bool = True) -> argparse.ArgumentParser:
    """A parser with the study folders and --out. `script`: `analysis/tables.py`."""
    made = argparse.ArgumentParser(
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
    """Parses, works, and turns what a user can mend into one line on stderr. Returns the exit status."""
    given = made.parse_args(argv)
    try:
        work(given)
    except (ResultsError, ConfigError, DataError, BackboneError) as error:
        print(f"{script}: error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{script}: error: {error.filename or ''}: {error.strerror}", file=sys.stderr)
        return 2
    return 0

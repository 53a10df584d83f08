"""Runs or continues a study.

python study/run.py                                               # the embedded data, a few minutes
python study/run.py --dataset mars --data-root MARS --samples 50  # the paper's data set
python study/run.py --resume STUDY                                # after anything stopped it
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

if __package__ in (None, ""):  # run as a script: the packages beside this folder come first
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from rich.console import Console

from dcreid.config import ConfigError
from dcreid.data.tracklets import DataError
from dcreid.network.backbone import BackboneError
from study.command.driver import drive, dry_run, prepare
from study.command.options import OptionError, parser
from study.record.folder import StudyError
from study.record.storage import StorageError

# Ends by a user's or the machine's wish, resumable: as a shell reports SIGINT.
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """0 = the study is complete, 1 = trials are missing, 2 = wrong options or data, 130 = stopped."""
    argv = list(sys.argv[1:] if argv is None else argv)
    given = parser().parse_args(argv)
    console = Console(file=sys.stdout, highlight=False, markup=False)
    try:
        if given.address is not None and given.address.startswith("ray://"):
            from study.remote.client import run_there

            return run_there(given.address, argv)
        prepared = prepare(given, argv)
        if given.dry_run:
            dry_run(prepared, console)
            return 0
        outcome = drive(prepared, console)
    except (OptionError, ConfigError, DataError, BackboneError, StudyError, StorageError) as error:
        print(f"study/run.py: error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"study/run.py: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command again goes on", file=sys.stderr)
        return _INTERRUPTED
    if outcome.interrupted:
        return _INTERRUPTED
    return 0 if outcome.complete else 1


if __name__ == "__main__":
    sys.exit(main())

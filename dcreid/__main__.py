"""Puts a trained model to use: from video to tracklets, features and search, and to other programs.

{commands}

Exit status: 0 = done, 1 = the disk or network refused, 2 = bad input (the reason is on stderr).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from types import ModuleType

from dcreid.commandline import Parser, run
from dcreid.commands import embed, export, search, tracklets

_PROGRAM = "python -m dcreid"
# Each has EXAMPLE, a line of help; `add_to(commands)`, its options; and `work(options)`.
_COMMANDS: tuple[ModuleType, ...] = (
    tracklets,
    embed,
    search,
    export,
)


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = Parser(
        prog=_PROGRAM,
        description=(__doc__ or "").format(commands="\n".join(command.EXAMPLE for command in _COMMANDS)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="command")
    for command in _COMMANDS:
        command.add_to(commands).set_defaults(work=command.work)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    return run(_PROGRAM, lambda: _run(argv))


def _run(argv: Sequence[str] | None) -> int:
    given = parser().parse_args(argv)
    given.work(given)
    return 0


if __name__ == "__main__":
    sys.exit(main())

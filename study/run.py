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

from dcreid import commandline
from study.command.parser import parser
from study.errors import StudyError
from study.stdin import stop_at_eof_if_asked


def main(argv: Sequence[str] | None = None) -> int:
    """0 = the study is complete, 1 = trials are missing, 2 = wrong options or data, 130 = stopped."""
    stop_at_eof_if_asked()
    words = list(sys.argv[1:] if argv is None else argv)
    return commandline.run("study/run.py", lambda: _run(words))


def _run(argv: list[str]) -> int:
    given = parser().parse_args(argv)
    if sys.flags.optimize > 1:
        raise StudyError("python -OO, or PYTHONOPTIMIZE=2: Ray cannot be imported so; python -O can do it")
    # Here, so that --help answers before PyTorch, Ray and Optuna are imported.
    from study.command.driver import run

    return run(given, argv)


if __name__ == "__main__":
    sys.exit(main())

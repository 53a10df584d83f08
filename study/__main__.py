"""Looks at a study, while it runs and after, and takes models out of it.

python -m study status STUDY                  # table, curves, failures, cost, what is left
python -m study status STUDY --watch 10       # again every ten seconds
python -m study dashboard STUDY               # optuna-dashboard in the browser
python -m study export STUDY --out FILE.safetensors --trial N --step S   # a model of a trial and merge step
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dcreid.checked import ConfigError, bounds, number, shown
from dcreid.commandline import Parser, run, say
from dcreid.paths import user_path
from study.errors import StudyError

if TYPE_CHECKING:
    from rich.console import Console

    from study.show.status import Status


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = Parser(
        prog="python -m study", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="status|dashboard|export")
    status = commands.add_parser("status", help="what a study has done, is doing and has left")
    status.add_argument("--trial", type=_trial, metavar="N", help="one trial in full, with its curve")
    status.add_argument("--watch", type=_seconds, metavar="SECONDS", help="draw again every SECONDS")
    status.add_argument("--json", action="store_true", help="for machines")
    dashboard = commands.add_parser("dashboard", help="optuna-dashboard on a read-only copy of the study")
    dashboard.add_argument("--host", default="127.0.0.1", help="address to listen on [127.0.0.1]")
    dashboard.add_argument(
        "--port", type=_port, default=8080, metavar="N", help="port to listen on; 0 = a free one [8080]"
    )
    export = commands.add_parser("export", help="a model of a trial and merge step, for other programs")
    export.add_argument("--out", required=True, metavar="FILE", help="the file to write, .safetensors")
    export.add_argument("--trial", type=_trial, metavar="N", help="[the one that the study would choose]")
    step = export.add_mutually_exclusive_group()
    step.add_argument(
        "--which",
        choices=("selected", "last", "best"),
        default="selected",
        help="its merge step: selected without labels, the last, or of the highest mAP [selected]",
    )
    step.add_argument("--step", type=_trial, metavar="S", help="its merge step, if that is kept")
    for command in (status, dashboard, export):
        command.add_argument("study", metavar="STUDY", help="the study's name, or the path of its folder")
        command.add_argument(
            "--studies", default="studies", metavar="DIR", help="folder of all studies [studies]"
        )
    return top


def _seconds(text: str) -> float:
    return _number(float, text, 0.1, 86400)


def _port(text: str) -> int:
    return int(_number(int, text, 0, 65535))


def _trial(text: str) -> int:
    return int(_number(int, text, 0, 10**9))


def _number(kind: type[int] | type[float], text: str, low: float, high: float) -> float:
    try:
        value = number(kind, text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{shown(text)}: must be {bounds(low, high)}")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """0 = done, 1 = the disk or network refused, 2 = no such study, trial or step, or no optuna-dashboard."""
    return run("python -m study", lambda: _look(argv))


def _look(argv: Sequence[str] | None) -> int:
    given = parser().parse_args(argv)
    try:
        if given.command == "dashboard":
            from study.show.dashboard import serve  # its extra need not be installed

            serve(given.study, given.studies, given.host, given.port)
        elif given.command == "export":
            _export(given)
        else:
            _status(given)
    except KeyboardInterrupt:
        print(file=sys.stderr)
    return 0


def _export(given: argparse.Namespace) -> None:
    from study.models import export
    from study.show.status import Status

    out = user_path("--out", given.out)
    if out.suffix != ".safetensors" or not out.parent.is_dir() or out.is_dir():
        raise StudyError(f"--out {out}: must be a file .safetensors in a folder that is there")
    model = export(Status.read(given.study, given.studies), given.trial, given.step, given.which, out)
    say(f"{out}: {model.card.chosen}")
    say(f"for other programs: python -m dcreid export {out} --for onnx|boxmot|ultralytics|pt --out FILE")


def _status(given: argparse.Namespace) -> None:
    from study.show.status import Status  # here, so that --help answers at once
    from study.show.terminal import Terminal

    console = Terminal()
    status = Status.read(given.study, given.studies)
    _show(status, given, console)
    while given.watch is not None:
        time.sleep(given.watch)
        status.refresh()
        with console.capture() as drawn:  # all at once: the screen does not flicker
            _show(status, given, console)
        console.clear()
        console.file.write(drawn.get())
        console.file.flush()


def _show(status: Status, given: argparse.Namespace, console: Console) -> None:
    from study.show.status import as_dict
    from study.show.status_text import print_status, print_trial

    if given.trial is not None and given.trial not in status.ledger.trials:
        count = len(status.ledger.trials)
        raise StudyError(f"--trial {given.trial}: the study has {count} trials, from 0 on")
    if given.json:
        content = as_dict(status)
        if given.trial is not None:
            content = next(trial for trial in content["trials"] if trial["trial"] == given.trial)
        print(json.dumps(content), flush=True)
    elif given.trial is not None:
        print_trial(status, given.trial, console)
    else:
        print_status(status, console)


if __name__ == "__main__":
    sys.exit(main())

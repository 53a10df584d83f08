"""What a bad input is, and what its answer must be like.

Whatever a command is given, it ends in time, without a traceback, and sends nothing to the terminal that
acts there. What cannot be used is refused: at most three lines name the option, file or line, the status
is 2, and nothing has been written. What can be left out is left out, and named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

AREAS = (
    *("options", "names", "paths", "numbers", "urls", "spaces", "weights", "study.json", "ledger"),
    *("data folders", "images", ".mat", "sheet and inspect", "analysis", "environments"),
    "tracklets from video",
    "exports",
    "models in use",
)
LINES, LENGTH = 3, 500  # of a message
# Beside line ends and tabs: they move the cursor, set titles and colours, or split a line.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _nothing(here: Path) -> None:
    pass


@dataclass(frozen=True)
class Case:
    """One bad input.

    command: `study/run.py` or another script, or a module such as `study` or `dcreid.data`. It is run in
    an empty folder. arguments: its arguments; `{here}` stands for that folder. says: texts that must be
    in its answer. prepare: makes files in the folder. environment: variables that are changed; None takes
    one away. status: 0 for what is left out and named. leaves: patterns of what may be there afterwards
    although the input was refused. output: what a shell does with the output, such as `> /dev/full`.
    fast: one of those that the tests run, in a fork (environment and output must not matter to it).
    """

    name: str
    area: str
    command: str
    arguments: tuple[str, ...]
    says: tuple[str, ...]
    prepare: Callable[[Path], object] = _nothing
    environment: Mapping[str, str | None] = field(default_factory=dict)
    status: int = 2
    leaves: tuple[str, ...] = ()
    output: str = ""
    fast: bool = False

    def argv(self, here: Path) -> list[str]:
        """The arguments, with the folder's path put in."""
        return [argument.replace("{here}", str(here)) for argument in self.arguments]


def cases_of(area: str, command: str, *cases: Case | tuple[object, ...], **same: object) -> list[Case]:
    """Cases of one area and command from (name, arguments between spaces, what is said, what differs)."""
    made = []
    for case in cases:
        if isinstance(case, Case):
            made.append(case)
            continue
        name, arguments, says, *rest = case
        split = tuple(arguments.split()) if isinstance(arguments, str) else tuple(arguments)
        told = (says,) if isinstance(says, str) else tuple(says)
        made.append(Case(name, area, command, split, told, **(same | (rest[0] if rest else {}))))
    return made


@dataclass(frozen=True)
class Answer:
    """What a command did. status: None where it had to be killed. appeared: new or changed files."""

    status: int | None
    out: str
    err: str
    appeared: tuple[str, ...] = ()


def fallen_short(case: Case, answer: Answer) -> list[str]:
    """Everything in which an answer is not what it must be."""
    faults = []
    if answer.status is None:
        faults.append("no end in time")
    elif answer.status != case.status:
        faults.append(f"status {answer.status} instead of {case.status}")
    both = answer.out + answer.err
    if "Traceback" in both:
        faults.append("a traceback")
    acting = _CONTROL.search(both)
    if acting is not None:
        faults.append(f"the control character {acting[0]!r}")
    words = " ".join(both.split())
    faults += [f"{text!r} is not said" for text in case.says if " ".join(text.split()) not in words]
    if case.status:
        faults += _refusal(case, answer)
    return faults


def _refusal(case: Case, answer: Answer) -> list[str]:
    lines = _without_usage([line for line in answer.err.splitlines() if line.strip()])
    faults = []
    if len(lines) > LINES:
        faults.append(f"{len(lines)} lines of message")
    if any(len(line) > LENGTH for line in lines):
        faults.append(f"a line of {max(map(len, lines))} characters")
    left = [name for name in answer.appeared if not any(Path(name).match(p) for p in case.leaves)]
    if left:
        faults.append(f"left behind: {', '.join(left[:4])}")
    return faults


def _without_usage(lines: list[str]) -> list[str]:
    """argparse shows the usage before its error."""
    if lines and lines[0].startswith("usage: "):
        return lines[next((i for i, line in enumerate(lines) if ": error: " in line), 0) :]
    return lines

"""Terminals, pipes, disks and homes that a command may find."""

from __future__ import annotations

from bad_input import made
from bad_input.case import Case
from bad_input.cases_analysis import CURVES, RANKS, REPORT, TABLES, S, changed, field
from bad_input.cases_data import DATA, RUN, STUDY, nothing
from bad_input.made_data import cameras, in_cameras

ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
STATUS, INSPECT = ("study", ("status", "s")), (DATA, ("inspect", "d"))
SYNTHETIC = ("--height", "32", "--width", "16", "--dry-run")
# A command, what it prints, and what must be there.
READERS = (
    ("status", *STATUS, made.study),
    ("status of a trial", "study", ("status", "s", "--trial", "1"), made.study),
    ("status for machines", "study", ("status", "s", "--json"), made.study),
    ("tables", TABLES, (S,), made.study),
    ("inspect", *INSPECT, cameras),
    ("dry run", RUN, SYNTHETIC, nothing),
    ("help of run", RUN, ("--help",), nothing),
    ("help of inspect", DATA, ("inspect", "--help"), nothing),
)


def home(path: str) -> dict[str, str | None]:
    """Another home, and no place of its own for matplotlib's and torch's files."""
    return {"HOME": path, "XDG_CACHE_HOME": None, "XDG_CONFIG_HOME": None, "MPLCONFIGDIR": None}


ASCII_TERMINALS = [
    Case(f"ASCII: {name}", "environments", command, words, says, prepare, ASCII, status)
    for name, command, words, says, prepare, status in (
        ("status", *STATUS, ("tau", "lambda1"), made.study, 0),
        ("one trial", "study", ("status", "s", "--trial", "1"), ("tau", "lambda1"), made.study, 0),
        ("help", RUN, ("--help",), ("lambda1",), nothing, 0),
        ("dry run", RUN, SYNTHETIC, ("lambda",), nothing, 0),
        ("tables", TABLES, (S,), ("tau", "lambda1"), made.study, 0),
        ("curves", CURVES, (S,), ("lambda",), made.study, 0),
        ("report", REPORT, (S,), ("report.html",), made.study, 0),
        ("inspect", DATA, ("inspect", "d"), ("all readable",), cameras, 0),
        (
            "another alphabet",
            DATA,
            ("inspect", "d"),
            ("left out",),
            in_cameras(made.folder("d/train/漢é")),
            0,
        ),
        ("an error", RUN, ("--samples", "λ…"), ("--samples",), nothing, 2),
        ("a data set of another alphabet", TABLES, (S,), ("?",), changed(name="漢"), 0),
    )
]
PIPES = [
    Case(f"nobody reads: {name}", "environments", command, words, (), prepare, status=0, output="| true")
    for name, command, words, prepare in READERS
]
DISKS = [
    Case(
        *(f"a full disk: {name}", "environments", command, words),
        *(("standard output: No space left on device",), prepare),
        status=1,
        output="> /dev/full",
    )
    for name, command, words, prepare in READERS
]
OTHERS = [
    Case("no output", "environments", *STATUS, (), made.study, status=0, output=">&-"),
    Case("no error output", "environments", "study", ("status", "t"), (), made.study, output="2>&-"),
    Case(
        "errors on a full disk",
        "environments",
        "study",
        ("status", "t"),
        (),
        made.study,
        output="2> /dev/full",
    ),
    *(
        Case(f"{what}: {name}", "environments", script, (S,), (says,), made.study, variables, 0)
        for what, variables in (
            ("another backend", {"MPLBACKEND": "nosuch"}),
            ("no home", home("/nosuch")),
            ("a home that is a file", home("/dev/null")),
        )
        for name, script, says in (("report", REPORT, "report.html"), ("curves", CURVES, "fig3"))
    ),
    Case(
        "another backend: ranks",
        "environments",
        RANKS,
        (S, "--trial", "9"),
        ("--trial 9",),
        made.study,
        {"MPLBACKEND": "nosuch"},
        fast=False,
    ),
    Case("no home: inspect", "environments", *INSPECT, ("all readable",), cameras, home("/nosuch"), 0),
    Case("no home: dry run", "environments", RUN, SYNTHETIC, ("one trial",), nothing, home("/nosuch"), 0),
    Case("no home: a study", "environments", RUN, ("--cache", "~/x", "--height", "9"), (), nothing, home("")),
    Case(
        "a file for the studies",
        "environments",
        RUN,
        (*STUDY.split()[4:], "--studies", "f"),
        ("f",),
        made.file("f", ""),
    ),
    Case(
        "a file for the cache",
        "environments",
        RUN,
        (*STUDY.split()[4:], "--cache", "f"),
        ("f",),
        made.file("f", ""),
        leaves=("studies*", "studies/**"),
    ),
    Case(
        "a place without room to write",
        "environments",
        RUN,
        (*STUDY.split()[4:], "--studies", "/proc"),
        ("/proc",),
        nothing,
    ),
    Case(
        "an escape sequence from study.json",
        "environments",
        *STATUS,
        (r"\x1b]0;t\x07",),
        changed(protocol="\x1b]0;t\x07"),
        status=0,
    ),
    Case("a line break from study.json", "environments", *STATUS, (r"a\nb",), changed(name="a\nb"), status=0),
    Case(
        "an escape sequence in the host's name",
        "environments",
        REPORT,
        (S,),
        ("report.html",),
        field("hardware", {"host": "\x1b[2J"}),
        status=0,
    ),
]

CASES = [*ASCII_TERMINALS, *PIPES, *DISKS, *OTHERS]

"""Bad inputs through the real commands, and a judge that notices what it is there for."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bad_input.case import AREAS, Answer, Case, fallen_short
from bad_input.cases import CASES
from bad_input.run import as_commands

SCRIPT = Path(__file__).resolve().parents[1] / "bad_inputs.py"
CASE = Case("no trials", "numbers", "study/run.py", ("--samples", "0"), ("--samples",))
GOOD = Answer(2, "", "study/run.py: error: argument --samples: '0': must be >= 1\n")


def test_every_case_has_a_name_of_its_own_and_every_area_has_cases():
    assert max(Counter((case.area, case.name) for case in CASES).values()) == 1
    assert {case.area for case in CASES} == set(AREAS)
    assert len(CASES) >= 300 and sum(case.fast for case in CASES) >= 60


def test_bad_inputs_are_refused_or_named():
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--fast"], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    cases, short = map(int, done.stdout.split()[-2:])
    assert cases == sum(case.fast for case in CASES) and short == 0


# --- the judge


def test_a_good_refusal_is_passed():
    assert fallen_short(CASE, GOOD) == []
    usage = "usage: python study/run.py [OPTION ...]\n                  [--samples N]\n" * 3
    assert fallen_short(CASE, dataclasses.replace(GOOD, err=usage + GOOD.err)) == []


@pytest.mark.parametrize(
    "fault, change",
    [
        ("status 1 instead of 2", {"status": 1}),
        ("status 0 instead of 2", {"status": 0}),
        ("no end in time", {"status": None}),
        ("a traceback", {"out": "Traceback (most recent call last):\n"}),
        ("the control character '\\x1b'", {"err": GOOD.err + "\x1b[31m"}),
        ("the control character '\\x9b'", {"out": "\x9b2J"}),
        ("the control character '\\r'", {"out": "a\rb\n"}),
        ("'--samples' is not said", {"err": "study/run.py: error: wrong\n"}),
        ("4 lines of message", {"err": GOOD.err + "a\n\nb\nc\n"}),
        ("a line of 501 characters", {"err": GOOD.err + "a" * 501}),
        ("left behind: studies", {"appeared": ("studies",)}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_falls_short_is_named(fault: str, change: dict[str, object]):
    assert fallen_short(CASE, dataclasses.replace(GOOD, **change)) == [fault]


def test_what_is_left_out_may_take_many_lines_and_write():
    case = dataclasses.replace(CASE, status=0, says=("2 frames left out",))
    answer = Answer(0, "2 frames\nleft out\n" * 9, "", ("sheet.png",))
    assert fallen_short(case, answer) == []
    assert fallen_short(case, dataclasses.replace(answer, status=2)) == ["status 2 instead of 0"]


# --- a command of its own


def test_files_that_a_refused_command_writes_and_one_that_hangs_are_told(tmp_path: Path):
    writes = tmp_path / "writes.py"
    writes.write_text("open('new', 'w'); open('old', 'a').write('more'); raise SystemExit(2)")
    hangs = tmp_path / "hangs.py"
    hangs.write_text("import time; print('begun', flush=True); time.sleep(60)")
    cases = [
        dataclasses.replace(
            CASE, command=str(writes), says=(), prepare=lambda here: (here / "old").write_text("")
        ),
        dataclasses.replace(CASE, command=str(hangs), says=("begun",), leaves=("*",)),
    ]
    faults = [faults for _, faults, _ in as_commands(cases, tmp_path / "scratch", 2, limit=5.0)]
    assert faults == [["left behind: new, old"], ["no end in time"]]

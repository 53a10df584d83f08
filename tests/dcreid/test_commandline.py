"""The front door of every command: visible text, terminals without Unicode, output that cannot be written."""

from __future__ import annotations

import errno
import io
import logging
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcreid import commandline
from dcreid.commandline import Parser, encodable, fail, say, show, visible
from dcreid.errors import InputError

REPOSITORY = Path(__file__).resolve().parents[2]
OLD_STUDY = str(REPOSITORY / "tests" / "study" / "record" / "schema1")
ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


# --- text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mAP 28.1 · λ1 0.06 τ é 漢", "mAP 28.1 · λ1 0.06 τ é 漢"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("one\ntwo\r\tthree\x7f", r"one\ntwo\r\tthree\x7f"),
        ("\x9b2J\u2028\u202egpj", r"\x9b2J\u2028\u202egpj"),
        (os.fsdecode(b"\xff.jpg") + "\ud800", r"\xff.jpg\ud800"),
    ],
)
def test_what_acts_on_a_terminal_is_shown(text: str, shown: str):
    assert visible(text) == shown


@given(st.text(st.characters(exclude_categories=())))
def test_visible_text_is_one_line_without_control_characters(text: str):
    shown = visible(text)
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cs", "Zl", "Zp"}
    assert visible(shown) == shown and len(shown.splitlines()) <= 1


@given(st.text(st.characters(exclude_categories=())))
def test_every_text_has_a_form_in_ascii(text: str):
    assert encodable(text, "ascii").isascii()
    assert len(encodable(text, None).encode()) >= len(text)


def test_ascii_spells_the_papers_symbols_out():
    assert encodable("λ1 0.06 · τ 0.1 …", "ascii") == "lambda1 0.06 | tau 0.1 ..."
    assert encodable("±2 × 3 – é 漢", "ascii") == "+/-2 x 3 - e ?"
    assert encodable("τ × 3", "latin-1") == "tau × 3" and encodable("τ", "utf-8") == "τ"


def test_a_line_and_a_page(capsys: pytest.CaptureFixture[str]):
    say("a\nb\x1b")
    show("a\nb\x1b")
    assert capsys.readouterr().out == "a\\nb\\x1b\na\nb\\x1b\n"


# --- the work of a command


@pytest.mark.parametrize(
    ("error", "said", "status"),
    [
        (InputError("--x: no\nfile"), r"c: error: --x: no\nfile", 2),
        (FileNotFoundError(errno.ENOENT, "No such file", "a\x1bb"), r"c: error: a\x1bb: No such file", 2),
        (OSError(errno.ENOSPC, "No space left on device", "f"), "c: error: f: No space left on device", 1),
        (OSError(errno.EACCES, "Permission denied", b"f\xff"), r"c: error: f\xff: Permission denied", 2),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "c: error: Connection refused", 1),
        (OSError("made by hand"), "c: error: made by hand", 1),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), "c: error: Broken pipe", 1),  # not that of the output
        (MemoryError("Unable to allocate 9 GiB"), "c: error: not enough memory: Unable to allocate 9 GiB", 1),
        (KeyboardInterrupt(), "c: stopped", 130),
    ],
    ids=repr,
)
def test_what_is_in_the_way_is_one_line(
    error: BaseException, said: str, status: int, capsys: pytest.CaptureFixture[str]
):
    def work() -> int:
        raise error

    assert commandline.run("c", work) == status
    assert capsys.readouterr().err == said + "\n"


def test_other_errors_are_faults_of_the_program():
    with pytest.raises(ZeroDivisionError):
        commandline.run("c", lambda: 1 // 0)


def test_a_wrong_option_is_one_line(capsys: pytest.CaptureFixture[str]):
    parser = Parser(prog="c")
    parser.add_subparsers().add_parser("sub").add_argument("--n", type=int)
    with pytest.raises(SystemExit, match="2"):
        commandline.run("c", lambda: parser.parse_args(["sub", "--n", "\x1b"]) and 0)
    assert capsys.readouterr().err == (
        r"c sub: error: argument --n: invalid int value: '\x1b' (--help lists the options)" + "\n"
    )


class _Full(io.StringIO):
    """A stream on a full disk."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_behind_standard_output_is_said_even_where_somebody_swallowed_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sys, "stdout", _Full())

    def argparse_swallows_it() -> int:
        Parser(prog="c").print_help()
        return 0

    for work in (argparse_swallows_it, lambda: print("result") or 0):
        assert commandline.run("c", work) == 1
        assert capsys.readouterr().err == "c: error: standard output: No space left on device\n"
    assert isinstance(sys.stdout, _Full)  # as it was


def test_the_status_of_the_work_counts_before_the_outputs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sys, "stdout", _Full())

    def work() -> int:
        with pytest.raises(OSError, match="standard output"):
            print("progress")
        return 3

    assert commandline.run("c", work) == 3
    assert "standard output: No space" in capsys.readouterr().err


def test_a_warning_without_a_handler_is_one_line(capfd: pytest.CaptureFixture[str]):
    def work() -> int:
        record = logging.LogRecord("dcreid", logging.WARNING, "", 0, "%s left out", ("a\x1b\nb",), None)
        assert logging.lastResort is not None
        logging.lastResort.handle(record)
        return 0

    assert commandline.run("c", work) == 0
    assert capfd.readouterr().err == "a\\x1b\\nb left out\n"


# --- real commands


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a shell's line does; its status is the command's before the pipe."""
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        cwd=REPOSITORY,
        env=os.environ | {"PY": sys.executable, "STUDY": OLD_STUDY} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


COMMANDS = ('"$PY" -m study status "$STUDY"', '"$PY" study/run.py --help')


@pytest.mark.parametrize("command", COMMANDS)
def test_a_terminal_without_unicode(command: str):
    done = shell(command, **ASCII)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.isascii()
    assert "lambda1" in done.stdout and "tau" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_that_has_gone_away_is_no_error(command: str):
    done = shell(f"({command}; echo $? >&2) | true")
    assert done.stderr == "0\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_is_named(command: str):
    done = shell(f"{command} > /dev/full")
    assert done.returncode == 1
    assert done.stderr.endswith("error: standard output: No space left on device\n")
    assert done.stderr.count("\n") == 1


def test_no_standard_output_at_all():
    done = shell(f"{COMMANDS[0]} >&-")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_line_has_an_end(capsys: pytest.CaptureFixture[str]):
    fail("a command of a long name", f"--n {'9' * 5000}: too large")
    line = capsys.readouterr().err.rstrip("\n")
    assert len(line) <= 500 and line.startswith("a command of a long name: error: --n 9") and " … " in line
    assert line.endswith("9: too large")

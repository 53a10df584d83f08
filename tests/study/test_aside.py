"""A study goes on where only what shows it is broken: a display, a closed pipe, a terminal that is gone."""

from __future__ import annotations

import fcntl
import logging
import os
import pty
import re
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest
from kills import differences, events, results

from study.aside import Aside, Output

RUN = str(Path(__file__).resolve().parents[2] / "study" / "run.py")
SMALL = (
    *("--synthetic-train-identities", "4", "--synthetic-test-identities", "3", "--merge-rate", "0.2"),
    *("--first-epochs", "1", "--later-epochs", "1", "--height", "32", "--width", "16", "--samples", "2"),
    *("--pruner", "none", "--concurrency", "1", "--cache", "cache", "--name", "study"),
)


def broken() -> None:
    raise ValueError("no such colour\nor other")


def test_what_fails_is_said_once_with_its_traceback_in_a_file(tmp_path: Path, caplog: Any):
    aside, done = Aside(tmp_path / "ray" / "driver.log"), []
    for _ in range(3):
        aside("the display", broken)
        aside("the display", done.append, 1)
    assert len(done) == 3 and len(caplog.messages) == 1
    assert caplog.messages[0].startswith(
        "the display: ValueError: no such colour; the study goes on (traceback in "
    )
    assert aside.log.read_text().count("Traceback") == 1 and "in broken" in aside.log.read_text()
    aside("the nodes", broken)
    assert len(caplog.messages) == 2 and caplog.messages[1].startswith("the nodes: ValueError")


def test_a_file_that_cannot_be_written_is_no_reason_either(tmp_path: Path, caplog: Any):
    (tmp_path / "ray").write_text("not a folder")
    Aside(tmp_path / "ray" / "driver.log")("the display", broken)
    assert len(caplog.messages) == 1


def test_a_second_ctrl_c_is_not_held_up(tmp_path: Path):
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Aside(tmp_path / "log")("the display", interrupted)


def piped() -> tuple[int, Any]:
    """The reading end of a pipe, and a file that writes to it."""
    reading, writing = os.pipe()
    return reading, open(writing, "w")


def test_what_a_closed_pipe_does_not_take_goes_to_a_file(tmp_path: Path):
    reading, file = piped()
    output = Output(file, tmp_path / "ray" / "console.log")
    print("first", file=output, flush=True)
    assert os.read(reading, 99) == b"first\n"
    os.close(reading)
    for line in ("second", "third"):
        print(line, file=output, flush=True)
    assert (tmp_path / "ray" / "console.log").is_file()
    print("by somebody else", file=file, flush=True)
    head, *lines = (tmp_path / "ray" / "console.log").read_text().splitlines()
    assert re.fullmatch(r"--- [-0-9]+ [:0-9]+: the console is gone \(.*Broken pipe\)", head)
    assert lines == ["second", "third", "by somebody else"] and output.lost
    file.close()


def test_a_full_disk_behind_it_and_none_in_its_place():
    with open("/dev/full", "w") as file:
        output = Output(file)
        print("x" * 20_000, file=output, flush=True)
        print("y", file=output, flush=True)
        assert output.lost and not output.isatty()


@pytest.mark.parametrize("place", ["a file/console.log", "/dev/full"])
def test_a_second_refusal_is_passed_over(place: str, tmp_path: Path):
    (tmp_path / "a file").write_text("")
    reading, file = piped()
    os.close(reading)
    output = Output(file, tmp_path / place)
    for _ in range(3):
        print("line", file=output, flush=True)
    assert output.lost
    os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())
    file.close()


def test_output_that_was_never_there_or_is_closed(tmp_path: Path):
    print("line", file=Output(None), flush=True)
    file = (tmp_path / "file").open("w")
    output = Output(file)
    file.close()
    print("line", file=output, flush=True)
    assert not output.isatty()


def test_letters_that_a_terminal_does_not_have(tmp_path: Path):
    with (tmp_path / "file").open("w", encoding="ascii") as file:
        output = Output(file)
        print("λ1 0.06", file=output, flush=True)
        assert not output.lost
    assert (tmp_path / "file").read_text() == "lambda1 0.06\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_the_status_is_that_of_the_work(unbuffered: str, tmp_path: Path):
    """And not 120, which Python makes of a standard output that it cannot flush at its end."""
    program = (
        "import sys\nfrom pathlib import Path\nfrom study.aside import Output\n"
        f"output = Output(sys.stdout, Path({str(tmp_path / 'log')!r}))\n"
        "sys.stdin.readline()\nprint('line', file=output, flush=True)\nprint('more')\nsys.exit(3)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(b"go\n", timeout=50)
    assert (process.returncode, err) == (3, b"")
    assert (tmp_path / "log").read_text().splitlines()[1:] == ["line", "more"]


# --- real studies


def command(*options: str) -> list[str]:
    return [sys.executable, RUN, *SMALL, *options]


@pytest.mark.slow
def test_a_study_whose_pipe_is_closed_ends_complete(tmp_path: Path):
    line = " ".join(command()) + " | (head -n 1; exec sleep 0)"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        cwd=tmp_path, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done
    assert done.stdout.splitlines() == [f"study study in {tmp_path / 'studies' / 'study'}"]
    kept = (tmp_path / "studies" / "study" / "ray" / "console.log").read_text()
    assert "Broken pipe" in kept and "trial 1 complete: mAP " in kept and "results: " in kept
    assert len(results(tmp_path).trial.unique()) == 2


def in_terminal(folder: Path) -> tuple[int, subprocess.Popen[bytes]]:
    """A study in a terminal of its own, and the other end of that."""
    master, slave = pty.openpty()

    def take() -> None:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        command(), cwd=folder, stdin=slave, stdout=slave, stderr=slave, preexec_fn=take
    )
    os.close(slave)
    return master, process


@pytest.mark.slow
def test_a_study_whose_terminal_is_gone_stops_and_goes_on(tmp_path: Path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    subprocess.run(command(), cwd=whole, check=True, capture_output=True, timeout=600)
    master, process = in_terminal(cut)
    try:
        os.set_blocking(master, False)
        while not any(event["event"] == "step" and event["trial"] == 1 for event in events(cut)):
            assert process.poll() is None
            try:
                os.read(master, 1 << 16)
            except BlockingIOError:
                time.sleep(0.05)
        os.close(master)  # the kernel sends SIGHUP to everything in the foreground
        assert process.wait(120) == 130
    finally:
        process.kill()
    kept = (cut / "studies" / "study" / "ray" / "console.log").read_text()
    assert "stopping: signal SIGHUP" in kept and "to go on: " in kept
    ends = [event for event in events(cut) if event["event"] == "session_end"]
    assert [end["why"] for end in ends] == ["signal SIGHUP"]
    again = subprocess.run(command(), cwd=cut, capture_output=True, text=True, timeout=600)
    assert again.returncode == 0 and "1 done, 1 resumed, 0 new" in again.stdout, again.stdout
    assert differences(results(whole), results(cut)) == []


def test_warnings_that_cannot_be_shown_harm_nobody(capsys: pytest.CaptureFixture):
    from study.command.driver import _warnings_on

    class Broken:
        def print(self, *text: str, **style: Any) -> None:
            raise ValueError("no such colour")

    with _warnings_on(Broken()):  # type: ignore[arg-type]
        logging.getLogger("dcreid.study").warning("word")
    assert "no such colour" in capsys.readouterr().err

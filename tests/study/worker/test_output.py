"""What workers print is found in the trial's storage: every attempt's, native code's too, within bounds."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from study.job import Job
from study.record.storage import Storage
from study.worker import output
from study.worker.output import worker_output
from study.worker.rows import trial_rows

REPOSITORY = Path(__file__).resolve().parents[3]
HEAD = r"--- attempt \d+ at trial 0, [-\d]+ [:.\d]+, process \d+ on \S+"


@pytest.fixture
def job(plan_of, job_of) -> Job:
    return job_of(plan_of())


@pytest.fixture(params=["disk", "object store"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The kind of the trial's storage."""
    if request.param == "object store":
        monkeypatch.setattr(Storage, "local", lambda self, name: None)
    return request.param


def kept(job: Job) -> list[str]:
    return (Storage(job.storage).read("output.log") or b"").decode().splitlines()


def test_every_attempt_stands_under_a_line_of_its_own_in_the_order_in_which_it_was_printed(job, place):
    where = [os.fstat(number) for number in (1, 2)]
    for _ in range(2):
        with worker_output(job):
            os.write(1, b"native output\n")
            logging.getLogger("dcreid.study").warning("a warning")
            os.write(2, b"native error\n")
    assert [os.fstat(number) for number in (1, 2)] == where  # given back
    lines = kept(job)
    assert len(lines) == 8
    assert lines[0].startswith("--- attempt 1 at trial 0, ")
    assert lines[4].startswith("--- attempt 2 at trial 0, ")
    for head, first, second, third in (lines[:4], lines[4:]):
        assert re.fullmatch(HEAD, head) and f"process {os.getpid()} on " in head
        assert (first, third) == ("native output", "native error") and second.endswith("WARNING a warning")
    assert not list(Path(job.cache).rglob("*.log"))


def test_what_a_worker_is_doing_stands_there(job):
    with worker_output(job):
        steps = [row["step"] for row in trial_rows(job)]
    told = [line.split(" INFO ")[1] for line in kept(job) if " INFO " in line]
    parts = ["train", "features", "scores", "evaluate", "merge", "scores"]
    expected = [part for step in steps[1:] for part in (*parts, f"write merge step {step}")]
    assert [line for line in told if not line.startswith("frame store")] == expected
    assert logging.getLogger("dcreid").level == logging.NOTSET


def test_an_error_leaves_its_traceback(job, place):
    with pytest.raises(ValueError, match="broken"), worker_output(job):
        raise ValueError("broken")
    assert kept(job)[1] == "Traceback (most recent call last):" and kept(job)[-1] == "ValueError: broken"


def test_an_object_store_has_it_whenever_it_is_kept(job, place):
    with worker_output(job) as printed:
        os.write(1, b"one\n")
        printed.keep()
        assert kept(job)[1:] == ["one"]
        os.write(1, b"two\n")
    assert kept(job)[1:] == ["one", "two"]


@pytest.mark.parametrize("place", ["object store"], indirect=True)
def test_what_a_killed_worker_has_left_is_uploaded_by_the_next_on_its_node(job, place):
    printed = output.WorkerOutput(job)
    printed.open()
    os.write(1, b"uploaded\n")
    printed.keep()
    os.write(1, b"left\n")
    printed._over.set()  # killed: nothing is uploaded any more
    for number, standard in zip(printed._saved, (1, 2), strict=True):
        os.dup2(number, standard)
    with worker_output(replace(job, cache=job.cache + "-elsewhere")):
        os.write(1, b"on another node\n")
    assert [line for line in kept(job) if "---" not in line] == ["uploaded", "on another node"]
    with worker_output(job):
        os.write(1, b"again\n")
    lines = kept(job)
    assert [line for line in lines if "---" not in line] == ["uploaded", "left", "on another node", "again"]
    assert [line.split(" at ")[0] for line in lines if "---" in line] == [
        f"--- attempt {number}" for number in (1, 2, 3)
    ]


@pytest.mark.parametrize("place", ["object store"], indirect=True)
def test_an_object_store_that_is_down_gets_it_later(job, place, monkeypatch: pytest.MonkeyPatch):
    with worker_output(job):
        os.write(1, b"uploaded\n")
    with monkeypatch.context() as outage:
        for name in ("read", "write"):
            outage.setattr(Storage, name, lambda *arguments: down())
        with worker_output(job) as printed:
            os.write(1, b"while it was down\n")
            printed.keep()
    assert kept(job)[1:] == ["uploaded"]
    with worker_output(job) as printed:
        os.write(1, b"again\n")
        printed.keep()
        expected = ["uploaded", "while it was down", "again"]
        assert [line for line in kept(job) if "---" not in line] == expected
    assert [line for line in kept(job) if "---" not in line] == expected


def down() -> None:
    raise OSError("no answer")


def test_it_does_not_grow_without_end(job, place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(output, "_LIMIT", 4000)
    monkeypatch.setattr(output, "_LOOK", 0.01)
    for attempt in range(3):
        with worker_output(job):
            for number in range(300):
                os.write(1, f"{attempt} {number:05d} {'x' * 20}\n".encode())
                if number % 100 == 0:
                    time.sleep(0.03)
    content = Storage(job.storage).read("output.log")
    lines = kept(job)
    assert len(content) <= 4000 and lines[-1].startswith("2 00299 ")
    assert lines[0] == "--- (older lines were dropped)"
    assert lines[1].startswith("--- attempt 3 ") and re.fullmatch(r"2 00\d{3} x{20}", lines[2])


@pytest.mark.parametrize("refused", ["storage", "cache"])
def test_a_disk_that_refuses_it_does_not_stop_the_trial(job, tmp_path, refused: str, monkeypatch):
    if refused == "cache":
        monkeypatch.setattr(Storage, "local", lambda self, name: None)
    (tmp_path / "file").write_text("")
    where = os.fstat(1)
    with worker_output(replace(job, **{refused: str(tmp_path / "file" / "below")})) as printed:
        printed.keep()
    assert os.fstat(1) == where


def test_what_nobody_came_back_for_goes(job, place, tmp_path):
    left = Path(job.cache, "output", "0123.log")
    left.parent.mkdir(parents=True)
    left.write_text("old")
    os.utime(left, (0, 0))
    with worker_output(job):
        pass
    assert left.exists() == (place == "disk")


# A worker, or a rank, that ends in native code.
CRASHES = """
import ctypes, json, os, subprocess, sys
from study.job import Job
from study.worker.output import worker_output

with worker_output(Job(**json.loads(sys.argv[1]))):
    subprocess.run([sys.executable, "-c", "print('by a rank', flush=True)"])
    print("by Python")
    sys.stdout.flush()
    os.kill(os.getpid(), int(sys.argv[2]))
"""


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_a_worker_that_dies_leaves_what_it_and_its_ranks_have_printed(job, number: signal.Signals):
    command = [sys.executable, "-c", CRASHES, json.dumps(vars(job)), str(int(number))]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (-number, "", "")
    lines = kept(job)
    assert lines[1:3] == ["by a rank", "by Python"]
    assert (lines[3:4] == ["Fatal Python error: Segmentation fault"]) == (number == signal.SIGSEGV)


# A worker whose other rank fails while it waits.
WAITS = """
import json, sys, time
from study.job import Job
from study.worker.output import worker_output
from study.worker.ranks import trial_ranks

job = Job(**json.loads(sys.argv[1]))
with worker_output(job), trial_ranks(job):
    time.sleep(60)
"""


@pytest.mark.slow
def test_a_rank_that_fails_leaves_its_traceback(job):
    broken = replace(job, cpus=2.0, processes=2, fingerprint="another")
    command = [sys.executable, "-c", WAITS, json.dumps(vars(broken))]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    text = "\n".join(kept(job))
    assert "Traceback" in text and "rank_process.py" in text and "has other data" in text

"""`python study/run.py` with Ray, as a user runs it: tiny, but whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from study.record.ledger import Ledger
from study.record.lines import sealed
from study.source import code_version

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).resolve().parents[2] / "study" / "run.py"
TINY = (
    *("--synthetic-train-identities", "4", "--synthetic-test-identities", "3", "--merge-rate", "0.2"),
    *("--first-epochs", "1", "--later-epochs", "1", "--height", "32", "--width", "16"),
    *("--samples", "3", "--pruner", "none", "--concurrency", "1", "--cache", "cache", "--name", "study"),
)


def command(*options: str) -> list[str]:
    return [sys.executable, str(SCRIPT), *TINY, *options]


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*options), cwd=folder, capture_output=True, text=True, timeout=600)


def results(folder: Path) -> pd.DataFrame:
    table = pd.read_parquet(folder / "studies" / "study" / "results.parquet")
    clocks = [name for name in table if "seconds" in name or name == "frames_per_second"]
    return table.drop(columns=clocks).sort_values(["trial", "step"], ignore_index=True)


def check_console(done: subprocess.CompletedProcess[str]) -> None:
    """Nothing of Ray's, no traceback, nothing twice."""
    assert done.stderr == "" and "Traceback" not in done.stdout and "ray" not in done.stdout.lower()
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    assert len(lines) == len(set(lines))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    done = run(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    check_console(done)
    assert "trials: 0 done, 0 resumed, 3 new" in done.stdout
    return folder


def test_the_same_command_again_and_more_samples(undisturbed: Path):
    before = results(undisturbed)
    again = run(undisturbed)
    assert again.returncode == 0 and "trials: 3 done, 0 resumed, 0 new" in again.stdout
    assert results(undisturbed).equals(before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_driver_that_is_stopped_anywhere_goes_on(undisturbed: Path, tmp_path: Path, number: signal.Signals):
    ledger = tmp_path / "studies" / "study" / "ledger.jsonl"
    driver = subprocess.Popen(
        command(), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        while driver.poll() is None and not (ledger.is_file() and ledger.read_text().count('"step"') > 16):
            time.sleep(0.05)
        driver.send_signal(number)
        out, err = driver.communicate(timeout=120)
    finally:
        driver.kill()
    assert err == ""
    if number != signal.SIGKILL:
        assert driver.returncode == 130
        assert (
            f"stopping: signal {number.name}" in out and "to go on: python study/run.py --resume study" in out
        )
    resumed = subprocess.run(
        [sys.executable, str(SCRIPT), "--resume", "study"],
        cwd=tmp_path, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert resumed.returncode == 0 and "resumed, " in resumed.stdout
    check_console(resumed)
    assert results(tmp_path).equals(results(undisturbed))
    check_curves(tmp_path)
    assert [session["code"] for session in Ledger(ledger, read_only=True).sessions] == [code_version()] * 2


def check_curves(folder: Path) -> None:
    """Loggers draw a trial that was resumed from the merge step at which it goes on, not from 1 again."""
    sessions = sorted((folder / "studies" / "study" / "ray").glob("session-*"))
    drawn = [
        [json.loads(line) for line in path.read_text().splitlines()]
        for session in sessions
        for path in session.glob("*/result.json")
    ]
    reports = [report for reports in drawn for report in reports if "step" in report]
    assert len(sessions) == 2 and any(reports[0]["step"] > 1 for reports in drawn if reports)
    assert all(report["training_iteration"] == report["step"] for report in reports)


def test_a_driver_whose_study_another_has_taken_over_stops_by_name(undisturbed: Path, tmp_path: Path):
    """The other is on a machine that the locks of this one do not reach."""
    ledger = tmp_path / "studies" / "study" / "ledger.jsonl"
    driver = subprocess.Popen(
        command(), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        while driver.poll() is None and not (ledger.is_file() and ledger.read_text().count('"step"') > 8):
            time.sleep(0.05)
        first = json.loads(ledger.read_text().splitlines()[0])
        other = first | {"session": 2, "pid": 9, "host": "elsewhere", "token": "another"}
        del other["crc"]
        with ledger.open("ab") as file:
            file.write(sealed(other))
        taken = len(ledger.read_bytes())
        _, err = driver.communicate(timeout=300)
    finally:
        driver.kill()
    assert driver.returncode == 2 and "Traceback" not in err
    assert "another driver has written to it (process 9 on elsewhere); this one stops" in err
    assert len(ledger.read_bytes()) == taken
    again = run(tmp_path)
    assert again.returncode == 0 and results(tmp_path).equals(results(undisturbed))


def test_a_worker_that_is_killed_goes_on_from_its_checkpoint(undisturbed: Path, tmp_path: Path):
    trials = tmp_path / "studies" / "study" / "trials"
    driver = subprocess.Popen(command(), cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        while driver.poll() is None and not list(trials.glob("0001/step-002.pt")):
            time.sleep(0.05)
        for worker in workers_in(tmp_path):
            os.kill(worker, signal.SIGKILL)
        out, _ = driver.communicate(timeout=600)
    finally:
        driver.kill()
    assert driver.returncode == 0 and "goes on from" in out and "its worker process died" in out
    assert results(tmp_path).equals(results(undisturbed))


@pytest.mark.parametrize("failures", ["3", "0"])
def test_a_worker_that_hangs_is_killed_and_counts_as_crashed(
    undisturbed: Path, tmp_path: Path, failures: str
):
    first = tmp_path / "studies" / "study" / "trials" / "0001" / "step-001.pt"
    options = ("--hang-timeout", "20s", "--max-failures", failures)
    driver = subprocess.Popen(command(*options), cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        while driver.poll() is None and not first.is_file():
            time.sleep(0.02)
        (worker,) = workers_in(tmp_path)
        os.kill(worker, signal.SIGSTOP)
        out, _ = driver.communicate(timeout=600)
    finally:
        driver.kill()
    assert driver.returncode == 0 and not Path(f"/proc/{worker}").exists()
    if failures == "0":
        assert "trial 1 failed: no sign of life for 0:20" in out and "trial 3 complete" in out
    else:
        assert "trial 1 goes on from merge step" in out and ": no sign of life for 0:20" in out
        assert results(tmp_path).equals(results(undisturbed))


def test_tensorboard_has_every_trial(undisturbed: Path):
    logs = undisturbed / "studies" / "study" / "ray"
    for trial in range(3):
        (events,) = logs.glob(f"session-001/{trial:04d}-*/events.out.tfevents.*")
        assert b"ray/tune/mAP" in events.read_bytes()


def workers_in(folder: Path) -> list[int]:
    """Worker processes of trials that have mapped frames of a cache in this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name, maps = (process / "cmdline").read_bytes(), (process / "maps").read_text()
        except OSError:
            continue
        if name.startswith(b"ray::") and str(folder / "cache") in maps:
            found.append(int(process.name))
    return found

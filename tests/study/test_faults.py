"""Disks that fill up and data that go away under a running study: a reason, and nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torchvision.io import write_jpeg

from study.record.ledger import Ledger

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).resolve().parents[2] / "study" / "run.py"
SMALL = (
    *("--merge-rate", "0.2", "--first-epochs", "1", "--later-epochs", "1", "--height", "32", "--width", "16"),
    *("--pruner", "none", "--concurrency", "1", "--cache", "cache", "--name", "study"),
)
DRAWN = ("--synthetic-train-identities", "4", "--synthetic-test-identities", "3", "--samples", "3")
OWN_DATA = (
    *("--dataset", "folder", "--backbone", "shufflenet_v2_x0_5", "--weights", "none", "--batch-size", "8"),
    *("--frames", "2", "--samples", "3", "--max-failures", "0", "--preset", "paper"),
)
NO_SPACE = "No space left on device"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 60 MiB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", str(place)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path) -> Path:
    """Leaves no byte on it; returns the file to delete again."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while file.write(b"\0" * size):
                    pass
            except OSError:
                continue
    return ballast


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPT), *SMALL, *options]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def when(happened: Callable[[], bool], driver: subprocess.Popen[str]) -> None:
    """Waits until something has happened in the study."""
    while not happened():
        assert driver.poll() is None, driver.communicate()
        time.sleep(0.02)


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)


def test_a_driver_whose_disk_is_full_stops_with_the_reason_and_goes_on_later(
    small_disk: Path, tmp_path: Path
):
    study = small_disk / "studies" / "study"
    trials = tmp_path / "trials"
    driver = start(tmp_path, *DRAWN, "--studies", str(study.parent), "--storage", str(trials))
    try:
        when(lambda: (trials / "0001" / "step-001.pt").is_file(), driver)
        ballast = fill(small_disk)
        out, err = driver.communicate(timeout=300)
    finally:
        driver.kill()
    assert driver.returncode in (1, 2) and NO_SPACE in err and "Traceback" not in out + err
    ballast.unlink()
    again = run(tmp_path, "--resume", str(study))
    assert again.returncode == 0, again.stdout + again.stderr
    table = pd.read_parquet(study / "results.parquet")
    assert list(table.groupby("trial").step.max()) == list(table.groupby("trial").total_steps.max())
    assert len(table.trial.unique()) == 3 and (table.state == "complete").all()


def test_a_trial_whose_disk_is_full_fails_with_the_reason_and_the_study_goes_on(
    small_disk: Path, tmp_path: Path
):
    ledger, trials = tmp_path / "studies" / "study" / "ledger.jsonl", small_disk / "trials"
    impatient = ("--max-failures", "1", "--patience", "2s")
    driver = start(tmp_path, *DRAWN, "--storage", str(trials), *impatient)
    try:
        when(lambda: (trials / "0001" / "step-001.pt").is_file(), driver)
        ballast = fill(small_disk)
        when(lambda: '"state": "failed"' in ledger.read_text(), driver)
        ballast.unlink()
        out, err = driver.communicate(timeout=300)
    finally:
        driver.kill()
    assert driver.returncode == 0 and "Traceback" not in out + err
    failed = Ledger(ledger, read_only=True).trials[1]
    assert NO_SPACE in str(failed.reason) and NO_SPACE in failed.retries[0]
    assert "trial 1 failed: OSError: " in out and "trial 3 complete" in out
    assert "trial 1: waits for its files: " in out
    # Taken up again, it goes on from its checkpoint: step 1 is not computed anew.
    again = run(tmp_path, "--resume", "study", "--retry-failed")
    assert again.returncode == 0, again.stdout + again.stderr
    trial = Ledger(ledger, read_only=True).trials[1]
    assert trial.state == "complete" and trial.steps[1] == failed.steps[1]


def test_a_disk_that_is_full_for_a_while_is_waited_for(small_disk: Path, tmp_path: Path):
    ledger, trials = tmp_path / "studies" / "study" / "ledger.jsonl", small_disk / "trials"
    driver = start(tmp_path, *DRAWN, "--storage", str(trials), "--max-failures", "0")
    try:
        when(lambda: (trials / "0001" / "step-001.pt").is_file(), driver)
        ballast = fill(small_disk)
        when(lambda: "waits for its files" in ledger.read_text(), driver)
        time.sleep(5)
        ballast.unlink()
        out, err = driver.communicate(timeout=300)
    finally:
        driver.kill()
    assert driver.returncode == 0 and "Traceback" not in out + err
    found = Ledger(ledger, read_only=True).trials.values()
    assert [trial.state for trial in found] == ["complete"] * 3
    assert not any(trial.retries for trial in found)
    assert f"trial 1: waits for its files: [Errno 28] {NO_SPACE}" in out and "having waited 0:" in out


def test_what_a_worker_printed_is_kept_when_it_crashes_in_native_code(tmp_path: Path):
    printed = tmp_path / "studies" / "study" / "trials" / "0001" / "output.log"
    driver = start(tmp_path, *DRAWN)
    try:
        when((printed.parent / "step-001.pt").is_file, driver)
        pid = int(printed.read_text().split("process ")[1].split()[0])
        assert b"ray::" in Path(f"/proc/{pid}/cmdline").read_bytes()
        os.kill(pid, signal.SIGSEGV)
        out, err = driver.communicate(timeout=300)
    finally:
        driver.kill()
    assert driver.returncode == 0, out + err
    first = printed.read_text().partition("--- attempt 2 at trial 1, ")[0]
    assert first.startswith("--- attempt 1 at trial 1, ")
    assert "SIGSEGV" in first or "Segmentation fault" in first
    assert "study/worker/" in first  # where it was, in Python
    told = subprocess.run(
        [sys.executable, "-m", "study", "status", "study", "--trial", "1"],
        cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(SCRIPT.parents[1])},
    )  # fmt: skip
    assert f"what its workers printed: {printed}" in told.stdout


# Packs 90 MB of frames, and thinks that there is room: a quota is seen by none who asks how much is free.
PACKS = """
import sys
from pathlib import Path
from types import SimpleNamespace
from dcreid.data import load_dataset, store
from dcreid.presets import settings_of

store.shutil.disk_usage = lambda path: SimpleNamespace(total=1 << 40, free=1 << 40)
if sys.argv[2] == "late":
    store.allocate = lambda file, size: None
data = load_dataset(settings_of("synthetic").data, None)
try:
    store.open_store(data.train, 256, 128, Path(sys.argv[1]))
except store.DataError as error:
    print(error)
"""


@pytest.mark.parametrize("noticed", ["at once", "late"])
def test_a_quota_on_packed_frames_is_told_and_no_crash(small_disk: Path, noticed: str):
    done = subprocess.run(
        [sys.executable, "-c", PACKS, str(small_disk), noticed],
        cwd=SCRIPT.parents[1],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"frames.bin: {NO_SPACE} (" in done.stdout and " MiB needed, " in done.stdout
    assert not list(small_disk.rglob("*.partial")) and not list(small_disk.rglob("*.bin"))


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A user's own data set: 16 training tracklets, 4 people queried in another camera."""
    root, random = tmp_path / "data", np.random.default_rng(0)
    places = [f"train/t{i:02d}" for i in range(16)]
    places += [
        f"{part}/p{i}/C{camera}_0001" for part, camera in (("query", 1), ("gallery", 2)) for i in range(4)
    ]
    for place in places:
        (root / place).mkdir(parents=True)
        for frame in range(2):
            pixels = torch.from_numpy(random.integers(0, 256, (3, 32, 16), dtype=np.uint8))
            write_jpeg(pixels, str(root / place / f"{frame}.jpg"))
    return root


def test_data_that_go_away_stop_the_study_with_the_reason_until_they_are_back(frames: Path, tmp_path: Path):
    ledger = tmp_path / "studies" / "study" / "ledger.jsonl"
    driver = start(tmp_path, *OWN_DATA, "--data-root", str(frames), "--patience", "5s")
    try:
        when(lambda: ledger.is_file() and '"state": "complete"' in ledger.read_text(), driver)
        away = frames.rename(tmp_path / "away")
        out, err = driver.communicate(timeout=300)
    finally:
        driver.kill()
    assert driver.returncode == 1 and "Traceback" not in out + err
    assert "for 0:05 no place could run a trial: " in out and f"cannot read the data: {frames}" in out
    before = Ledger(ledger, read_only=True).trials.values()
    assert "failed" not in {trial.state for trial in before} and any(trial.moves for trial in before)
    away.rename(frames)
    again = run(tmp_path, "--resume", "study")
    assert again.returncode == 0, again.stdout + again.stderr
    states = [trial.state for trial in Ledger(ledger, read_only=True).trials.values()]
    assert states == ["complete"] * 3


def test_data_that_come_back_are_waited_for(frames: Path, tmp_path: Path):
    ledger = tmp_path / "studies" / "study" / "ledger.jsonl"
    driver = start(tmp_path, *OWN_DATA, "--data-root", str(frames))
    try:
        when(lambda: ledger.is_file() and '"state": "complete"' in ledger.read_text(), driver)
        away = frames.rename(tmp_path / "away")
        when(lambda: '"event": "place"' in ledger.read_text(), driver)
        away.rename(frames)
        out, err = driver.communicate(timeout=300)
    finally:
        driver.kill()
    assert driver.returncode == 0 and "Traceback" not in out + err
    assert "is set aside: " in out and "cannot read the data" in out and "can run trials again" in out
    states = [trial.state for trial in Ledger(ledger, read_only=True).trials.values()]
    assert states == ["complete"] * 3

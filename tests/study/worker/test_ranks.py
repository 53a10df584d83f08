"""Several processes for one trial: how many, one trial's rows with two, and what a death costs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from study.errors import OptionError
from study.job import Job
from study.plan import StudyPlan
from study.record.ledger import Ledger
from study.record.storage import Storage
from study.worker import ranks
from study.worker.ranks import RankError, trial_ranks
from study.worker.rows import trial_rows

REPOSITORY = Path(__file__).resolve().parents[3]
# A network whose results do not turn on the last bit of a sum.
STEADY = (
    *("--first-epochs", "1", "--later-epochs", "1", "--height", "32", "--width", "16"),
    *("--backbone", "resnet18", "--lr", "0.00001", "--batch-size", "7", "--max-steps", "3"),
)
# A process of its own that runs a trial as Tune's worker does, reporting to its output.
WORKER = """
import json, sys
from study.job import Job
from study.worker.ranks import trial_ranks
from study.worker.rows import trial_rows

job = Job(**json.loads(sys.argv[1]))
with trial_ranks(job) as ranks:
    for row in trial_rows(job, ranks=ranks):
        print(row["step"], flush=True)
"""
# One that is held up for ever, as on a GPU by a rank that is no more.
STUCK = """
import json, sys, time
from study.job import Job
from study.worker.ranks import trial_ranks

with trial_ranks(Job(**json.loads(sys.argv[1]))):
    print("stuck", flush=True)
    time.sleep(3600)
"""


# --- how many


def plan_with(plan_of: Callable[..., StudyPlan], processes: int | None, cpus: float) -> StudyPlan:
    return replace(plan_of(), processes_per_trial=processes, cpus_per_trial=cpus)


@pytest.mark.parametrize(
    ("asked", "cpus", "gpus", "processes"),
    [
        (None, 1.0, 0.0, 1), (None, 8.0, 0.0, 1), (None, 1.0, 0.25, 1), (None, 1.0, 4.0, 4),
        (1, 1.0, 0.5, 1), (1, 1.0, 1.0, 1), (2, 1.0, 2.0, 2), (3, 3.5, 0.0, 3),
    ],
)  # fmt: skip
def test_one_for_each_gpu_or_as_asked(
    asked: int | None, cpus: float, gpus: float, processes: int, plan_of: Callable[..., StudyPlan]
):
    assert plan_with(plan_of, asked, cpus).processes(gpus) == processes


@pytest.mark.parametrize(
    ("asked", "cpus", "gpus", "message"),
    [
        (None, 4.0, 1.5, "a part of one GPU, or whole ones"), (2, 4.0, 2.5, "a part of one GPU"),
        (2, 1.0, 0.0, "give --cpus-per-trial 2"), (2, 4.0, 0.5, "give --gpus-per-trial 2"),
        (1, 4.0, 2.0, "give --gpus-per-trial 1"), (3, 4.0, 2.0, "give --gpus-per-trial 3"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(
    asked: int | None, cpus: float, gpus: float, message: str, plan_of: Callable[..., StudyPlan]
):
    with pytest.raises(OptionError, match=message):
        plan_with(plan_of, asked, cpus).processes(gpus)


def test_the_command_refuses_what_it_can_before_work_starts(plan_of):
    with pytest.raises(OptionError, match="--processes-per-trial 2 with --cpus-per-trial 1"):
        plan_of("--processes-per-trial", "2", "--gpus-per-trial", "0")
    with pytest.raises(OptionError, match=r"--gpus-per-trial 1\.5"):
        plan_of("--gpus-per-trial", "1.5")
    asked = plan_of("--processes-per-trial", "2")  # the cluster may have GPUs
    assert asked.processes_per_trial == 2 and asked.identity() == plan_of().identity()


# --- a trial


@pytest.fixture
def job(plan_of, job_of) -> Job:
    return job_of(plan_of(*STEADY), cpus=2.0, processes=2, shared_stages=2)


def rows_of(job: Job) -> list[dict[str, Any]]:
    with trial_ranks(job) as process_group:
        return list(trial_rows(job, ranks=process_group))


def check_rows(ours: list[dict[str, Any]], whole: list[dict[str, Any]]) -> None:
    assert [row["step"] for row in ours] == [row["step"] for row in whole]
    for made, expected in zip(ours, whole, strict=True):
        for name in ("mAP", "rank1", "classes_after", "class_size_max", "purity", "loss"):
            if expected.get(name) is not None:
                assert made[name] == pytest.approx(expected[name], rel=1e-4), name


@pytest.mark.slow
def test_two_processes_tell_one_processs_rows_and_either_goes_on_from_the_other(job: Job, tmp_path: Path):
    alone = replace(job, **{"processes": 1, "storage": str(tmp_path / "alone")})
    whole = rows_of(alone)
    two = rows_of(job)
    check_rows(two, whole)
    assert len(list((tmp_path / "stages").iterdir())) == 4  # two of each: sums differ in the last bit
    again = rows_of(replace(job, **{"storage": str(tmp_path / "again")}))  # takes over what two have left
    check_rows(again, whole)
    assert again[1]["saved_seconds"] > 0
    cut = replace(job, **{"storage": str(tmp_path / "cut")})
    with trial_ranks(cut) as process_group:
        rows = trial_rows(cut, ranks=process_group)
        first = [next(rows) for _ in range(3)]
        rows.close()
    check_rows(first + rows_of(replace(cut, **{"processes": 1, "recorded": 2})), whole)


def test_a_process_that_does_not_start_is_told(job: Job, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ranks.sys, "executable", "/bin/false")
    with pytest.raises(RankError, match=r"^rank 1 of 2 ended with status 1$"), trial_ranks(job):
        pass


def test_a_place_to_meet_that_is_full_is_named(job: Job, monkeypatch: pytest.MonkeyPatch):
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    said = r"No space left on device \(4\.0 KiB needed, .* free\): '.*/dcreid-ranks-.*'"
    with pytest.raises(OSError, match=said), trial_ranks(job):
        pass


def test_what_ended_the_attempt_before_is_told_once(
    job: Job, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    Storage(job.storage).write("rank.txt", b"rank 1 of 2 was killed by SIGKILL")
    monkeypatch.setattr(ranks.sys, "executable", "/bin/false")
    for _ in range(2):
        with pytest.raises(RankError), trial_ranks(job):
            pass
    assert caplog.messages == ["the attempt before ended: rank 1 of 2 was killed by SIGKILL"]


@pytest.fixture
def start(job: Job) -> Iterator[Callable[[str], tuple[subprocess.Popen[str], int]]]:
    """Starts a process that works on the trial; returns it and its second rank once it has told a line."""
    started = []

    def begin(text: str) -> tuple[subprocess.Popen[str], int]:
        command = [sys.executable, "-c", text, json.dumps(vars(job))]
        process = subprocess.Popen(
            command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None and process.stdout.readline()
        (rank,) = children(process.pid)
        return process, rank

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def children(parent: int) -> list[int]:
    if not Path("/proc/self/stat").is_file():
        pytest.skip("no /proc in which to look for the ranks")
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            found.append(int(entry.parent.name))
    return found


def alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not until() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert until()


@pytest.mark.slow
def test_a_rank_that_dies_ends_the_trial_with_the_reason(start):
    process, rank = start(WORKER)
    os.kill(rank, signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert err.strip().splitlines()[-1].endswith("RankError: rank 1 of 2 was killed by SIGKILL")


@pytest.mark.slow
def test_a_first_rank_that_cannot_leave_ends_itself_and_the_reason_is_kept(start, job: Job):
    process, rank = start(STUCK)
    os.kill(rank, signal.SIGKILL)
    process.communicate(timeout=120)
    assert process.returncode == 1
    assert Storage(job.storage).read("rank.txt") == b"rank 1 of 2 was killed by SIGKILL"


@pytest.mark.slow
@pytest.mark.parametrize("text", [WORKER, STUCK])
def test_a_rank_whose_first_dies_ends(start, text: str):
    process, rank = start(text)
    process.kill()
    wait(lambda: not alive(rank))


# --- a study


@pytest.mark.slow
def test_a_study_with_two_processes_a_trial_outlives_the_death_of_one(tmp_path: Path):
    options = (
        *("--synthetic-train-identities", "4", "--synthetic-test-identities", "3", "--merge-rate", "0.2"),
        *(*STEADY, "--samples", "2", "--pruner", "none", "--concurrency", "1", "--cache", "cache"),
        *("--name", "study", "--cpus-per-trial", "2", "--processes-per-trial", "2"),
    )
    command = [sys.executable, str(REPOSITORY / "study" / "run.py"), *options]
    driver = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    trial = tmp_path / "studies" / "study" / "trials" / "0000"
    try:
        while not (trial / "step-001.pt").is_file():
            assert driver.poll() is None, driver.communicate()
            time.sleep(0.02)
        others = [pid for pid in descendants(driver.pid) if b"study.worker.rank_process" in command_line(pid)]
        assert len(others) == 1
        os.kill(others[0], signal.SIGKILL)
        out, err = driver.communicate(timeout=400)
    finally:
        driver.kill()
    assert driver.returncode == 0 and err == "", out + err
    ledger = Ledger(tmp_path / "studies" / "study" / "ledger.jsonl", read_only=True)
    assert ledger.trials[0].retries == ["RankError: rank 1 of 2 was killed by SIGKILL"]
    table = pd.read_parquet(tmp_path / "studies" / "study" / "results.parquet")
    assert (table.state == "complete").all() and len(table.trial.unique()) == 2
    assert list(table.groupby("trial").step.max()) == list(table.groupby("trial").total_steps.max())


def descendants(parent: int) -> list[int]:
    found = children(parent)
    return found + [pid for child in found for pid in descendants(child)]


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""

"""Studies on clusters whose GPUs fail, with Ray as it is, GPUs that only Ray counts and made-up trials."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray_nodes import Cluster

from study.record.ledger import Ledger

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[3]
# Runs a study whose trials take no time, and fail on bad GPUs after some steps; `told` is what probes say of
# these.
DRIVER = """
import functools, sys
import study.on_ray.loop as loop

bad, after, told, here = {bad!r}, {after!r}, {told!r}, {here!r}

def trial(job):
    import ray
    from ray import tune
    from study.failures import Failure

    context = ray.get_runtime_context()
    gpus = context.get_accelerator_ids()["GPU"]
    for step in range(job["recorded"] + 1, 6):
        if set(gpus) & set(bad) and step > job["recorded"] + after:
            failure = Failure("node", "GPUError: CUDA does not start", context.get_node_id(), tuple(gpus))
            raise RuntimeError(failure.told())
        tune.report({{"step": step, "mAP": 0.5, "mAP_trapezoid": 0.5, "rank1": 0.5, "total_steps": 5}})

def probe(gpus):
    return {{gpu: told if gpu in bad else None for gpu in gpus}}

loop.run_session = functools.partial(loop.run_session, trainable=trial, probe=probe)
if here:
    import ray

    ray.init(address="local", num_cpus=2, num_gpus=here, include_dashboard=False, log_to_driver=False)
from study.run import main
sys.exit(main())
"""
SMALL = ("--synthetic-train-identities", "4", "--synthetic-test-identities", "3", "--merge-rate", "0.2")


@pytest.fixture(scope="module")
def head() -> Iterator[Cluster]:
    cluster = Cluster()
    yield cluster
    cluster.close()


@pytest.fixture
def cluster(head: Cluster) -> Iterator[Cluster]:
    yield head
    for node in list(head.nodes):
        head.stop(node)


def run(cluster: Cluster, folder: Path, *options: str, **script: Any) -> subprocess.CompletedProcess[str]:
    given = (*SMALL, "--name", "study", "--address", cluster.address, *options)
    return subprocess.run(
        [sys.executable, "-c", DRIVER.format(**script, here=0), *given],
        cwd=folder, capture_output=True, text=True, timeout=1200,
        env={**os.environ, **cluster.environment, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip


def ledger_of(folder: Path) -> Ledger:
    return Ledger(folder / "studies" / "study" / "ledger.jsonl", read_only=True)


@pytest.mark.parametrize(
    ("bad", "after", "told"),
    [
        (["3"], 0, "CUDA does not start"),  # known before the first trial
        (["0"], 0, None),  # whatever the probe says, every trial fails at once: free again and again
        (["1"], 2, None),
    ],
)
def test_one_bad_gpu_of_four_and_all_trials_end_complete(
    bad: list[str], after: int, told: str | None, cluster: Cluster, tmp_path: Path
):
    cluster.add(cpus=4, gpus=4)
    done = run(
        cluster, tmp_path, "--samples", "1", "--seeds", "24", "--gpus-per-trial", "1",
        bad=bad, after=after, told=told,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    ledger = ledger_of(tmp_path)
    trials = list(ledger.trials.values())
    assert len(trials) == 24 and {trial.state for trial in trials} == {"complete"}
    assert not any(trial.retries for trial in trials)
    assert f"GPU {bad[0]} of " in done.stdout and "is set aside: " in done.stdout
    moved = sum(len(trial.moves) for trial in trials)
    assert (moved == 0) if told else (0 < moved <= 12), done.stdout


def test_all_shares_of_a_bad_gpu_are_kept_from_trials(cluster: Cluster, tmp_path: Path):
    cluster.add(cpus=4, gpus=2)
    done = run(
        cluster, tmp_path, "--samples", "1", "--seeds", "12", "--gpus-per-trial", "0.5",
        bad=["0"], after=0, told="CUDA does not start",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    trials = ledger_of(tmp_path).trials.values()
    assert {trial.state for trial in trials} == {"complete"} and not any(trial.moves for trial in trials)


def run_here(folder: Path, bad: list[str]) -> subprocess.CompletedProcess[str]:
    """On this machine alone, which is said to have two GPUs."""
    script = DRIVER.format(bad=bad, after=0, told="CUDA does not start", here=2)
    return subprocess.run(
        [sys.executable, "-c", script, *SMALL, "--name", "study", "--samples", "1", "--seeds", "4"],
        cwd=folder, capture_output=True, text=True, timeout=600,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip


def test_a_machine_goes_on_with_the_gpu_that_works(tmp_path: Path):
    done = run_here(tmp_path, ["0"])
    assert done.returncode == 0, done.stdout + done.stderr
    trials = ledger_of(tmp_path).trials.values()
    assert {t.state for t in trials} == {"complete"} and {t.gpus for t in trials} == {1.0}
    assert not any(trial.moves for trial in trials) and "GPU 0 of " in done.stdout


def test_a_machine_none_of_whose_gpus_works_is_refused(tmp_path: Path):
    done = run_here(tmp_path, ["0", "1"])
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stdout + done.stderr
    assert "error: no GPU is left that a trial can run on: GPU 0 of " in done.stderr
    assert "--gpus-per-trial 0 trains on the CPU" in done.stderr
    assert not any(trial.attempts for trial in ledger_of(tmp_path).trials.values())

"""How often trials are tried, with Ray and Tune as they are: made-up trials that crash in three ways."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from study.record.ledger import Ledger

REPOSITORY = Path(__file__).resolve().parents[3]
# Trial 1 crashes always, trial 2 until it saves memory, trial 3 whenever it has reported a step.
DRIVER = """
import functools, sys
import study.on_ray.loop as loop

def trial(job):
    from ray import tune
    from study.failures import Failure

    number, first = job["trial"], job["recorded"] + 1
    if number == 1:
        raise ValueError("broken")
    if number == 2 and not job["checkpoint_activations"]:
        raise RuntimeError(Failure("memory", "GPU out of memory").told())
    for step in range(first, 6):
        tune.report({"step": step, "mAP": 0.5, "mAP_trapezoid": 0.5, "rank1": 0.5, "total_steps": 5})
        if number == 3 and step < 5:
            raise ValueError("stumbled")

loop.run_session = functools.partial(loop.run_session, trainable=trial)
from study.run import main
sys.exit(main())
"""


@pytest.mark.slow
def test_crashes_count_between_steps_and_memory_is_saved_once(tmp_path: Path):
    small = ("--synthetic-train-identities", "4", "--synthetic-test-identities", "3", "--merge-rate", "0.2")
    options = ("--samples", "1", "--seeds", "5", "--max-failures", "1", "--name", "study", *small)
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, *options],
        cwd=tmp_path, capture_output=True, text=True, timeout=600,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    trials = Ledger(tmp_path / "studies" / "study" / "ledger.jsonl", read_only=True).trials
    assert done.returncode == 1, done.stdout + done.stderr  # trial 1's seed is missing
    assert [t.state for t in trials.values()] == ["complete", "failed", "complete", "complete", "complete"]
    assert (trials[1].reason, trials[1].retries, trials[1].attempts) == (
        "ValueError: broken", ["ValueError: broken"], 2,
    )  # fmt: skip
    saved = "GPU out of memory: again with --checkpoint-activations (GPU out of memory)"
    assert trials[2].retries == [saved] and trials[2].frugal
    assert trials[3].retries == ["ValueError: stumbled"] * 5 and trials[3].attempts == 6
    assert (
        "failed trials again, from their checkpoints: python study/run.py --resume study --retry-failed"
        in (done.stdout)
    )

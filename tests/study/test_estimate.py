"""`--dry-run`: counts that can be checked by hand, and nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcreid.algorithm import merge_steps
from study import run
from study.estimate import estimate

TINY = ("--synthetic-train-identities", "4", "--synthetic-test-identities", "3", "--merge-rate", "0.2")


def test_frames_are_counted(plan_of, data):
    config = plan_of(
        "--first-epochs", "3", "--later-epochs", "2", "--frames", "5", "--eval-frames", "2"
    ).config
    cost = estimate(config, data)
    n, steps = len(data.train), merge_steps(len(data.train), config.merge)
    assert cost.steps == steps
    assert cost.train_frames == (3 + 2 * (steps - 1)) * n * 5
    measured_on_all = 2 * int(data.test.lengths.sum())  # the untrained network, and the last step
    assert cost.feature_frames == (steps + 1) * 2 * n + (steps - 1) * 2 * len(data.test) + measured_on_all
    assert cost.seconds > 0 and cost.checkpoint_bytes > 100_000
    assert 0 < cost.first_stages_seconds < cost.seconds
    frames = int(data.train.lengths.sum() + data.test.lengths.sum())
    assert cost.store_bytes == frames * config.data.height * config.data.width * 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "6 finished trials, sampler tpe, pruner asha"),
        (("--sampler", "grid"), "sampler grid"),
        (("--plan", "table1", "--seeds", "2"), "runs that are given: 6"),
        (("--plan", "table1"), "being saved by shared stages"),
    ],
)
def test_it_prints_the_plan_and_writes_nothing(
    options: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run.main([*TINY, "--studies", str(tmp_path / "s"), "--dry-run", *options]) == 0
    told = capsys.readouterr().out
    assert said in told and "one trial:" in told and "merge.lambda1" in told
    assert not (tmp_path / "s").exists()

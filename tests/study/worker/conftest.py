"""Jobs as a session makes them, with storages of this test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dcreid.data import load_dataset
from study.job import Job
from study.plan import StudyPlan


@pytest.fixture
def job_of(tmp_path: Path) -> Callable[..., Job]:
    """The job of trial 0 of a plan, nothing of which is recorded; `changes` by field."""

    def make(plan: StudyPlan, **changes: Any) -> Job:
        held: dict[str, Any] = {
            "trial": 0,
            "config": plan.base,
            "root": None,
            "fingerprint": load_dataset(plan.config.data, None).fingerprint(),
            "cache": str(tmp_path / "cache"),
            "study": "a study",
            "digest": "a configuration",
            "storage": str(tmp_path / "trial"),
            "recorded": -1,
            "stages": str(tmp_path / "stages"),
            "shared_stages": 0,
            "hang_timeout": 1800.0,
            "patience": 0.0,
            "cpus": 1.0,
            "gpus": 0.0,
            "processes": 1,
            "checkpoint_activations": False,
        }
        return Job(**held | changes)

    return make


@pytest.fixture
def job(plan_of: Callable[..., StudyPlan], job_of: Callable[..., Job]) -> Job:
    """A small trial that runs in a second or two."""
    plan = plan_of("--first-epochs", "1", "--later-epochs", "1", "--height", "32", "--width", "16")
    return job_of(plan)

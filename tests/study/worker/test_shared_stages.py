"""Shared stages: equal results with and without, on the same kind of device and data only."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny_runs import CLOCKS

from dcreid.config import Config
from dcreid.presets import small
from study.job import Job
from study.worker.rows import trial_rows
from study.worker.shared_stages import SharedStages

_BASE = small().replace(**{"merge.merge_rate": 0.2})


class StandIn:
    """An algorithm that trains nothing, on any kind of device."""

    def __init__(self, device: str = "cpu", data: str = "data", processes: int = 1):
        self.config, self.steps_done, self.labels_history = _BASE, 0, []
        self.device, self.data = torch.device(device), SimpleNamespace(fingerprint=lambda: data)
        self.ranks = SimpleNamespace(rank=0, size=processes, on_rank_0=lambda call: call())
        self.trained, self.adopted = 0, []

    def train(self) -> None:
        self.trained += 1

    def shared_state(self) -> dict[str, Any]:
        return {"pooled": torch.ones(2)}

    def adopt(self, state: dict[str, Any]) -> None:
        self.adopted.append(state["pooled"].tolist())


@pytest.mark.parametrize("other", [{"device": "cuda"}, {"data": "other"}, {"processes": 2}])
def test_a_stage_is_taken_over_on_the_same_kind_of_device_and_data_only(
    tmp_path: Path, other: dict[str, Any]
):
    def trained(**how: Any) -> StandIn:
        algorithm = StandIn(**how)
        SharedStages(str(tmp_path), 2, algorithm).train()  # type: ignore[arg-type]
        return algorithm

    assert (trained().trained, trained().adopted) == (1, [[1.0, 1.0]])
    assert (trained(**other).trained, trained(**other).adopted) == (1, [[1.0, 1.0]])


def rows_of(job: Job, name: str, shared: int = 2, **changes: Any) -> list[dict[str, Any]]:
    config = Config.from_dict(job.config).replace(**changes)
    storage = str(Path(job.storage).with_name(name))
    return list(
        trial_rows(replace(job, **{"config": config.to_dict(), "storage": storage, "shared_stages": shared}))
    )


def results(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    left_out = (*CLOCKS, "saved_seconds")
    return [{name: value for name, value in row.items() if name not in left_out} for row in rows]


def test_trials_that_share_equal_trials_that_do_not(job):
    first = rows_of(job, "first")
    assert all(row.get("saved_seconds", 0.0) == 0.0 for row in first)
    for name, changes in (
        ("lambdas", {"merge.lambda1": 0.5, "merge.lambda2": 0.05}),
        ("rarer", {"evaluate.eval_every": 2}),
        ("without cameras", {"evaluate.camera_normalise": True}),
        ("exact", {"merge.method": "exact", "merge.intra": "pairs"}),
    ):
        alone = rows_of(job, f"{name}-alone", shared=0, **changes)
        sharing = rows_of(job, name, **changes)
        assert results(sharing) == results(alone)
        assert sharing[1]["saved_seconds"] > 0 and sharing[1]["seconds_train"] == 0.0
        assert sharing[3]["saved_seconds"] == 0.0


def test_a_cut_trial_that_shares_goes_on_exactly(job):
    whole = rows_of(job, "whole", shared=0)
    rows_of(job, "first")
    taken = replace(job, **{"shared_stages": 2, "storage": str(Path(job.storage).with_name("cut"))})
    rows = trial_rows(taken)
    first = [next(rows), next(rows)]
    rows.close()
    assert results(first + list(trial_rows(replace(taken, **{"recorded": 1})))) == results(whole)


def test_a_damaged_stage_is_computed_again(job, caplog: pytest.LogCaptureFixture):
    whole = rows_of(job, "first")
    for path in Path(job.stages).iterdir():
        path.write_bytes(path.read_bytes()[:-100])
    with caplog.at_level(logging.WARNING):
        assert results(rows_of(job, "second")) == results(whole)
    assert "is damaged and is not used; it is kept as " in caplog.text


def test_a_stage_under_another_ones_name_is_computed_anew(job, caplog: pytest.LogCaptureFixture):
    """As a bucket mixes up its objects, or somebody copies files."""
    whole = rows_of(job, "first")
    first, second = sorted(Path(job.stages).iterdir())
    kept = first.read_bytes(), second.read_bytes()
    first.write_bytes(kept[1])
    second.write_bytes(kept[0])
    assert results(rows_of(job, "second")) == results(whole)
    assert "is of another stage and is not used" in caplog.text
    again = first.read_bytes(), second.read_bytes()
    assert kept != again and Path(f"{first}.set-aside").read_bytes() == kept[1]


def test_a_stage_that_cannot_be_kept_harms_nobody(job, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "stages").write_text("a file where a folder should be")
    with caplog.at_level(logging.WARNING):
        assert rows_of(job, "first")[-1]["mAP"] is not None
    assert "stages cannot be shared" in caplog.text


def test_a_stage_is_adopted_only_where_it_belongs(job, tmp_path: Path):
    from dcreid.algorithm import Algorithm
    from dcreid.data import load_dataset

    config = Config.from_dict(job.config)
    algorithm = Algorithm(config, load_dataset(config.data, None))
    with pytest.raises(ValueError, match="state of version"):
        algorithm.adopt({"version": 99})
    SharedStages(job.stages, 1, algorithm).train()
    assert len(list(Path(job.stages).iterdir())) == 1

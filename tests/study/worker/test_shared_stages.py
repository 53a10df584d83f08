"""Shared stages: what names them, equal results with and without, and nobody computing one twice."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from dcreid.config import Config
from dcreid.presets import small
from study.decide.session import Session
from study.worker.shared_stages import SharedStages, Sharing, saved_seconds, stage_key
from study.worker.trainable import trial_rows

_BASE = small().replace(**{"merge.merge_rate": 0.2})
_CLOCKS = ("seconds_train", "seconds_features", "seconds_merge", "seconds_evaluate", "frames_per_second")


@pytest.mark.parametrize(
    "changes",
    [
        {"merge.lambda1": 0.3}, {"merge.lambda2": 0.0}, {"merge.intra": "pairs"}, {"merge.method": "exact"},
        {"merge.distance": "squared"}, {"merge.max_steps": 2}, {"evaluate.eval_every": 3},
        {"train.later_epochs": 7}, {"train.later_lr": "restart"}, {"train.memory_init": "zeros"},
    ],
)  # fmt: skip
def test_what_acts_later_leaves_the_first_stage_alone(changes: dict[str, Any]):
    assert stage_key(_BASE.replace(**changes)) == stage_key(_BASE)


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1}, {"train.temperature": 0.2}, {"train.alpha": 0.4}, {"train.first_epochs": 3},
        {"data.gallery": "no_junk"},
        {"train.alpha_schedule": "fixed"}, {"merge.merge_rate": 0.1}, {"model.head": "embedding"},
        {"data.frames": 2}, {"data.eval_frames": 2}, {"train.batch_size": 8},
        {"data.shuffle_tracklets": False},
    ],
)  # fmt: skip
def test_what_acts_at_once_names_another_first_stage(changes: dict[str, Any]):
    assert stage_key(_BASE.replace(**changes)) != stage_key(_BASE)


def test_later_stages_are_named_by_merges_and_by_what_acts_between():
    labels = [torch.tensor([0, 0, 1])]
    assert stage_key(_BASE, labels) == stage_key(_BASE.replace(**{"merge.lambda1": 0.3}), labels)
    assert stage_key(_BASE, labels) != stage_key(_BASE, [torch.tensor([0, 1, 0])])
    assert stage_key(_BASE, labels) != stage_key(_BASE.replace(**{"train.later_epochs": 7}), labels)
    assert stage_key(_BASE, where="data code cpu") != stage_key(_BASE, where="data code cuda")


def test_a_stage_is_named_by_every_merge_before_it():
    """The first merge decided what the second stage was trained on, whatever the second merge made of it."""
    newest = torch.tensor([0, 0, 0, 1])
    first, other = (torch.tensor(labels) for labels in ([0, 0, 1, 2], [0, 1, 1, 2]))
    assert stage_key(_BASE, [first, newest]) != stage_key(_BASE, [other, newest])
    assert stage_key(_BASE, [first, newest]) == stage_key(_BASE, [first.clone(), newest])


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


@pytest.fixture
def job(plan_of, data, tmp_path: Path) -> dict[str, Any]:
    plan = plan_of("--first-epochs", "1", "--later-epochs", "1", "--height", "32", "--width", "16")
    return {
        "trial": 0, "config": plan.base, "root": None, "cache": str(tmp_path / "cache"),
        "fingerprint": data.fingerprint(),
        "storage": str(tmp_path / "trial"), "recorded": -1, "cpus": 1.0, "gpus": 0.0, "processes": 1,
        "stages": str(tmp_path / "stages"), "checkpoint_activations": False, "shared_stages": 0,
    }  # fmt: skip


def rows_of(job: dict[str, Any], name: str, shared: int = 2, **changes: Any) -> list[dict[str, Any]]:
    config = Config.from_dict(job["config"]).replace(**changes)
    storage = str(Path(job["storage"]).with_name(name))
    return list(trial_rows(job | {"config": config.to_dict(), "storage": storage, "shared_stages": shared}))


def results(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    left_out = (*_CLOCKS, "saved_seconds")
    return [{name: value for name, value in row.items() if name not in left_out} for row in rows]


def test_trials_that_share_equal_trials_that_do_not(job):
    first = rows_of(job, "first")
    assert all(row.get("saved_seconds", 0.0) == 0.0 for row in first)
    for name, changes in (
        ("lambdas", {"merge.lambda1": 0.5, "merge.lambda2": 0.05}),
        ("rarer", {"evaluate.eval_every": 2}),
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
    taken = job | {"shared_stages": 2, "storage": str(Path(job["storage"]).with_name("cut"))}
    rows = trial_rows(taken)
    first = [next(rows), next(rows)]
    rows.close()
    assert results(first + list(trial_rows(taken | {"recorded": 1}))) == results(whole)


def test_a_damaged_stage_is_computed_again(job, caplog: pytest.LogCaptureFixture):
    whole = rows_of(job, "first")
    for path in Path(job["stages"]).iterdir():
        path.write_bytes(path.read_bytes()[:-100])
    with caplog.at_level(logging.WARNING):
        assert results(rows_of(job, "second")) == results(whole)
    assert "is damaged and passed over" in caplog.text


def test_a_stage_that_cannot_be_kept_harms_nobody(job, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "stages").write_text("a file where a folder should be")
    with caplog.at_level(logging.WARNING):
        assert rows_of(job, "first")[-1]["mAP"] is not None
    assert "stages cannot be shared" in caplog.text


def test_who_shares(plan_of):
    searched = plan_of("--temperature", "0.1", "--alpha", "0.5", "--alpha-schedule", "linear")
    assert Sharing(searched, [searched.config]).stages(searched.config) == 2
    everything = plan_of()
    assert Sharing(everything, [everything.config]).stages(everything.config) == 0
    off = plan_of("--plan", "table1", "--no-share")
    assert Sharing(off, [off.config, off.config.replace(**{"merge.lambda1": 0.0})]).stages(off.config) == 0


def test_how_many_can_take_stages_over(plan_of):
    def taking(*options: str) -> int:
        plan = plan_of(*options)
        return Sharing(plan, [item.config for _, item in plan.fixed_items()]).taken_over()

    assert taking("--plan", "table1", "--seeds", "2") == 2 * (3 - 1)  # three of each seed, one trains
    assert taking("--plan", "table3") == 0 == taking("--plan", "table1", "--no-share")
    method = ("--temperature", "0.1", "--alpha", "0.5", "--alpha-schedule", "linear")
    assert taking("--samples", "9", *method) == 9 - 1 and taking("--samples", "9") == 0


@pytest.mark.parametrize(("recorded", "waits"), [(-1, True), (0, True), (1, True), (2, False)])
def test_nobody_waits_longer_than_for_the_stages_that_are_shared(plan_of, recorded: int, waits: bool):
    plan = plan_of("--plan", "table1")
    configs = [item.config for _, item in plan.fixed_items()]
    under_way = SimpleNamespace(config=configs[1].to_dict(), last_step=recorded)
    assert Sharing(plan, configs).blocked(configs[0], [under_way]) == waits  # type: ignore[list-item]


def test_no_stage_is_computed_by_two_at_a_time(plan_of, open_session, fake_tune):
    plan = plan_of("--plan", "table1", "--seeds", "2")
    session: Session = open_session(plan)

    class Watched(fake_tune):  # type: ignore[misc, valid-type]
        def rows(self, job: dict[str, Any]) -> Any:
            for row in super().rows(job):
                early = [t for t in self.under_way() if t.last_step < 2]
                names = [stage_key(Config.from_dict(trial.config)) for trial in early]
                assert len(names) == len(set(names))
                yield row

        def under_way(self) -> list[Any]:
            return [session.ledger.trials[job.number] for job in session.running.values()]

    tune = Watched(session, slots=4)
    tune.run()
    assert session.queue.complete and len(tune.started) == 6
    # One of each seed first; those that share with them follow.
    assert [session.ledger.trials[number].seed for number in tune.started[:2]] == [0, 1]


def test_what_was_saved_is_counted(play, plan_of):
    session = play(plan_of("--plan", "table1"))
    trials = list(session.ledger.trials.values())
    assert saved_seconds(trials) == (0, 0.0)
    trials[1].steps[1]["saved_seconds"] = 60.0
    assert saved_seconds(trials) == (1, 60.0)


def test_a_stage_is_adopted_only_where_it_belongs(job, tmp_path: Path):
    from dcreid.algorithm import Algorithm
    from dcreid.data import load_dataset

    config = Config.from_dict(job["config"])
    algorithm = Algorithm(config, load_dataset(config.data, None))
    with pytest.raises(ValueError, match="state of version"):
        algorithm.adopt({"version": 99})
    SharedStages(job["stages"], 1, algorithm).train()
    assert len(list(Path(job["stages"]).iterdir())) == 1

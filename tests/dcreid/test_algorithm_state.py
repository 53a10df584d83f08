"""Runs that are cut and continued, and stages that one run takes over from another."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from tiny_runs import comparable, dataset, run, same_joins, tiny

from dcreid.algorithm import Algorithm

_VARIANTS: dict[str, dict[str, Any]] = {
    "paper": {},
    "head": {"model.head": "embedding", "model.embedding_dim": 32},
    "zeros, exact": {"train.memory_init": "zeros", "merge.method": "exact", "merge.intra": "pairs"},
    "frozen": {"model.frozen_stages": 1, "merge.distance": "squared", "train.alpha_schedule": "cosine"},
    "leak": {"train.memory_init": "previous_rows", "train.leak_audit": True, "data.shuffle_tracklets": False},
    "proxies": {
        **{"train.camera_proxies": True, "train.sampler": "classes", "train.tracklets_per_class": 2},
        **{"train.memory_init": "carry", "train.clip_norm": 5.0},
    },
    "cameras": {"evaluate.camera_normalise": True, "merge.camera_normalise": True},
    "bound": {"merge.method": "identities", "train.leak_audit": True, "train.camera_proxies": True},
    "few frames": {"data.eval_frames": 2, "evaluate.eval_every": 2, "data.frame_sampling": "random"},
}


@pytest.mark.parametrize("changes", _VARIANTS.values(), ids=_VARIANTS.keys())
def test_a_run_cut_anywhere_and_continued_equals_the_uncut_run(changes: dict[str, Any]) -> None:
    config = tiny(**changes)
    data = dataset(config)
    whole = run(config, data)
    cut = Algorithm(config, data)
    cut.untrained()
    cut.step()
    cut.train()  # in the middle of the second step
    continued = Algorithm(config, data)
    continued.load_state_dict(cut.state_dict())
    continued.merge()
    after_step = Algorithm(config, data)
    after_step.load_state_dict(continued.state_dict())
    torch.rand(7)  # somebody else's random numbers
    list(after_step)
    assert comparable(after_step.history) == comparable(whole.history)
    assert torch.equal(after_step.labels, whole.labels)
    for name, value in whole.network.backbone.state_dict().items():
        assert torch.equal(value, after_step.network.backbone.state_dict()[name]), name
    assert whole.memory is not None and after_step.memory is not None
    assert torch.equal(whole.memory.rows, after_step.memory.rows)
    assert (whole.proxies is None) == (after_step.proxies is None) == (not config.train.camera_proxies)
    if whole.proxies is not None and after_step.proxies is not None:
        assert torch.equal(whole.proxies.memory.rows, after_step.proxies.memory.rows)
    assert after_step.untrained() == cut.untrained()
    measured = [step.mAP_camera_normalised is not None for step in whole.history]
    assert all(measured) if config.evaluate.camera_normalise else not any(measured)
    same_joins(after_step, whole)


def test_a_continued_run_reports_all_that_the_cut_run_had_measured() -> None:
    config = tiny(**{"merge.max_steps": 3})
    data = dataset(config)
    cut = Algorithm(config, data)
    cut.untrained()
    cut.step(), cut.step(), cut.train()
    assert cut.stage is not None
    cut.stage.saved_seconds = 90.0
    spent = cut.stage.seconds["train"]
    continued = Algorithm(config, data)
    continued.load_state_dict(cut.state_dict())
    assert len(continued.labels_history) == 2
    for ours, theirs in zip(continued.labels_history, cut.labels_history, strict=True):
        assert torch.equal(ours, theirs)
    assert continued.queries.keys() == cut.queries.keys() == {0, 1, 2}
    for step, found in cut.queries.items():
        assert torch.equal(continued.queries[step].average_precision, found.average_precision)
    made = continued.merge()
    assert made.seconds_train == spent > 0 and made.saved_seconds == 90.0


@pytest.mark.parametrize("changes", [_VARIANTS["paper"], _VARIANTS["proxies"]], ids=["paper", "proxies"])
def test_a_run_that_adopts_its_stages_equals_the_run_that_trained_them(changes: dict[str, Any]) -> None:
    config = tiny(**changes | {"merge.max_steps": 3})
    data = dataset(config)
    trained, adopted = Algorithm(config, data), Algorithm(config, data)
    for _ in range(2):
        trained.train()
        adopted.adopt(trained.shared_state())
        assert trained.state_dict()["proxies"] is adopted.state_dict()["proxies"] is None  # until the merge
        trained.merge()
        adopted.merge()
    trained.step()
    adopted.step()
    for ours, theirs in zip(comparable(adopted.history), comparable(trained.history), strict=True):
        assert ours | {"saved_seconds": 0.0} == theirs
    for name, value in trained.network.backbone.state_dict().items():
        assert torch.equal(value, adopted.network.backbone.state_dict()[name]), name


def test_the_cost_of_an_adopted_stage_is_reported_as_saved() -> None:
    config = tiny(**{"merge.max_steps": 2})
    data = dataset(config)
    first = Algorithm(config, data)
    first.train()
    shared = first.shared_state() | {"seconds": {"train": 100.0, "features": 20.0, "evaluate": 3.0}}
    # Where no retrieval is due yet, none is taken over.
    for changes, saved in (({}, 123.0), ({"evaluate.eval_every": 2}, 120.0)):
        other = Algorithm(config.replace(**changes), data)
        other.adopt(shared)
        step = other.merge()
        assert step.saved_seconds == saved and (step.mAP is None) == bool(changes)
        assert step.seconds_train == step.seconds_features == 0.0


@pytest.mark.parametrize("wanted", [True, False])
def test_an_adopted_stage_has_the_measurements_that_are_wanted(wanted: bool) -> None:
    """Of one that was measured otherwise the measurement is made again; else it is taken over, both of it."""
    config = tiny(**{"merge.max_steps": 1})
    data = dataset(config)
    alone = run(config.replace(**{"evaluate.camera_normalise": wanted}), data).history[0]
    for measured in (True, False):
        first = Algorithm(config.replace(**{"evaluate.camera_normalise": measured}), data)
        first.train()
        other = Algorithm(config.replace(**{"evaluate.camera_normalise": wanted}), data)
        other.adopt(first.shared_state())
        step = other.merge()
        assert (step.mAP, step.rank1) == (alone.mAP, alone.rank1)
        assert step.mAP_camera_normalised == alone.mAP_camera_normalised
        assert step.rank1_camera_normalised == alone.rank1_camera_normalised
        assert (step.mAP_camera_normalised is not None) == wanted
        assert (step.seconds_evaluate == 0.0) == (measured == wanted)


def test_states_survive_a_file_read_with_weights_only(tmp_path: Any) -> None:
    config = tiny()
    algorithm = Algorithm(config, dataset(config))
    algorithm.untrained()
    algorithm.step()
    torch.save(algorithm.state_dict(), tmp_path / "state.pt")
    other = Algorithm(config, dataset(config))
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert comparable(other.history) == comparable(algorithm.history)
    same_joins(other, algorithm)


def test_a_state_of_an_older_version_has_no_proxies_no_queries_and_no_untrained_features() -> None:
    config = tiny(**{"merge.max_steps": 2})
    algorithm, other = Algorithm(config, dataset(config)), Algorithm(config, dataset(config))
    algorithm.step()
    state = algorithm.state_dict()
    del state["proxies"], state["queries"], state["untrained_v"], state["untrained_scores"]
    del state["confidence"]
    other.load_state_dict(state)
    step = algorithm.step()
    assert step.silhouette is not None
    assert comparable([other.step()]) == comparable([dataclasses.replace(step, silhouette=None)])
    assert other.confidence.keys() == {2} and torch.equal(other.confidence[2], algorithm.confidence[2])


def test_a_state_of_other_tracklets_is_refused() -> None:
    state = Algorithm(tiny(), dataset(tiny())).state_dict()
    other = tiny(seed=1)
    with pytest.raises(ValueError, match="another seed"):
        Algorithm(other, dataset(other)).load_state_dict(state)
    with pytest.raises(ValueError, match="version"):
        Algorithm(tiny(), dataset(tiny())).load_state_dict(state | {"version": 0})


def test_what_a_finished_run_keeps_is_looked_at_and_not_trained_on() -> None:
    config = tiny()
    data = dataset(config)
    algorithm = Algorithm(config, data)
    algorithm.untrained()
    algorithm.step()
    kept = Algorithm(config, data)
    kept.load_state_dict(Algorithm.without_training(algorithm.state_dict()))
    assert comparable(kept.history) == comparable(algorithm.history)
    assert torch.equal(kept.labels, algorithm.labels)
    same_joins(kept, algorithm)
    with pytest.raises(RuntimeError, match="after merge step 1 was kept without its memory"):
        kept.train()

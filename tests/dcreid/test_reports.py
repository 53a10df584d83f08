"""What a run reports of its steps: partitions, retrieval, joins."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import reference
import torch
from tiny_runs import dataset, run, tiny

from dcreid.algorithm import Algorithm
from dcreid.evaluation.partitions import partition_name
from dcreid.network.tracklets import l2_normalize


def test_a_step_reports_the_partitions_before_and_after_its_merge() -> None:
    """Both sides of a merge against their own computation from the labels."""
    config = tiny(**{"merge.max_steps": 2})
    algorithm = run(config)
    people = algorithm.data.train.identities
    assert people is not None
    before = np.arange(len(people))  # tracklet to class, in the data set's order
    name = partition_name(before)
    for step, labels in zip(algorithm.history, algorithm.labels_history, strict=True):
        after = np.empty_like(before)
        after[algorithm.order] = labels.numpy()
        assert step.labels_before == name and step.labels_after == (name := partition_name(after))
        for classes, end in ((before, "_before"), (after, "")):
            sizes = np.unique(classes, return_counts=True)[1]
            assert getattr(step, f"class_size_max{end}") == sizes.max()
            assert getattr(step, f"class_size_median{end}") == np.median(sizes)
            for measure in ("purity", "nmi", "ari", "pairwise_f"):
                expected = getattr(reference, measure)(classes.tolist(), people.tolist())
                assert getattr(step, f"{measure}{end}") == pytest.approx(expected, abs=1e-9), measure
        before = after
    assert step.labels_before != step.labels_after


def test_every_query_is_kept_at_every_measured_step_and_adds_up_to_the_row() -> None:
    config = tiny(**{"evaluate.eval_every": 2, "data.eval_frames": 1})
    algorithm = Algorithm(config, dataset(config))
    untrained = algorithm.untrained()
    list(algorithm)
    measured = {step.step: step for step in algorithm.history if step.mAP is not None}
    assert algorithm.queries.keys() == {0, *measured} and len(measured) < len(algorithm.history)
    for number, found in algorithm.queries.items():
        row = untrained if number == 0 else measured[number]
        assert row is not None and row.queries == len(found.query)
        assert float(found.average_precision.mean()) == pytest.approx(row.mAP, abs=1e-12)
        assert float((found.first_match == 1).double().mean()) == pytest.approx(row.rank1, abs=1e-12)
    assert len({tuple(found.average_precision.tolist()) for found in algorithm.queries.values()}) > 1


def test_retrieval_is_that_of_the_reference_on_unit_features() -> None:
    config = tiny(**{"train.first_epochs": 0, "merge.max_steps": 1})
    algorithm = Algorithm(config, dataset(config))
    step, data = algorithm.step(), algorithm.data
    assert data.test is not None and data.test.identities is not None and algorithm.test_store is not None
    # Features of any length would rank otherwise.
    pooled = algorithm.network.pooled_features(algorithm.test_store).double().numpy()
    lengths = np.linalg.norm(pooled, axis=1, keepdims=True)
    assert lengths.max() > 1.02 * lengths.min()
    distances = reference.distances(pooled / lengths)[data.query][:, data.gallery]
    labels = [
        column[rows].tolist()
        for column in (data.test.identities, data.test.cameras)
        for rows in (data.query, data.gallery)
    ]
    expected = reference.evaluate(distances, *labels)
    found = dataclasses.asdict(step)
    assert {name: found[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize("gallery", ["official", "no_junk"])
def test_retrieval_without_cameras_is_that_of_the_reference(gallery: str) -> None:
    """Beside the measures themselves, for the untrained network too; a row in no gallery says nothing."""
    config = tiny(**{"train.first_epochs": 0, "merge.max_steps": 1, "data.gallery": gallery})
    plain = Algorithm(config, dataset(config))
    algorithm = Algorithm(config.replace(**{"evaluate.camera_normalise": True}), dataset(config))
    untrained, step, data = algorithm.untrained(), algorithm.step(), algorithm.data
    assert data.test is not None and data.test.identities is not None and untrained is not None
    assert untrained.mAP_camera_normalised == step.mAP_camera_normalised  # nothing was trained
    v, cameras = algorithm.test_features.double().numpy(), data.test.cameras
    used = np.array(sorted({*data.query.tolist(), *data.gallery.tolist()}))
    assert len(used) < len(v) or gallery == "official"
    normalised = np.zeros_like(v)
    normalised[used] = reference.camera_normalised(v[used], cameras[used].tolist())
    labels = [
        column[rows].tolist()
        for column in (data.test.identities, cameras)
        for rows in (data.query, data.gallery)
    ]
    distances = reference.distances(normalised)[data.query][:, data.gallery]
    expected = reference.evaluate(distances, *labels)
    assert step.mAP_camera_normalised == pytest.approx(expected["mAP"]) != step.mAP
    assert step.rank1_camera_normalised == pytest.approx(expected["rank1"])
    before, other = plain.untrained(), plain.step()
    assert before is not None and before.mAP_camera_normalised is None is other.rank1_camera_normalised
    assert (other.mAP, other.mAP_trapezoid, other.rank1) == (step.mAP, step.mAP_trapezoid, step.rank1)


def test_features_are_computed_once_for_both_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny(**{"merge.max_steps": 1, "evaluate.camera_normalise": True})
    algorithm = Algorithm(config, dataset(config))
    passes, pooled = [], algorithm.network.pooled_features
    monkeypatch.setattr(
        algorithm.network, "pooled_features", lambda *a, **k: passes.append(1) or pooled(*a, **k)
    )
    algorithm.untrained()
    assert len(passes) == 1


def test_the_untrained_network_is_measured_on_the_frames_of_the_last_step() -> None:
    """Without training the last step has the untrained network: all frames, whatever eval_frames says."""
    config = tiny(**{"train.first_epochs": 0, "train.later_epochs": 0, "data.eval_frames": 1})
    algorithm = Algorithm(config, dataset(config))
    untrained = algorithm.untrained()
    last = list(algorithm)[-1]
    assert untrained is not None and untrained.mAP == last.mAP != algorithm.history[0].mAP


def test_data_without_a_test_split_reports_classes_only() -> None:
    config = tiny(**{"merge.max_steps": 1})
    data = dataset(config)
    nothing = np.zeros(0, dtype=np.int64)
    unlabelled = dataclasses.replace(data, test=None, query=nothing, gallery=nothing)
    algorithm = Algorithm(config, unlabelled)
    assert algorithm.untrained() is None
    step = algorithm.step()
    assert step.mAP is None and step.queries is None and step.classes_after < step.classes_before


def test_evaluation_may_be_rarer_and_the_last_step_uses_all_frames() -> None:
    config = tiny(**{"evaluate.eval_every": 3, "data.eval_frames": 1})
    algorithm = run(config)
    assert [s.mAP is not None for s in algorithm.history] == [False, False, True, False, True]
    everything = l2_normalize(algorithm.network.pooled_features(algorithm.test_store))  # type: ignore[arg-type]
    torch.testing.assert_close(algorithm.test_features, everything)


@pytest.mark.parametrize("method", ["once", "exact"])
def test_every_join_is_written_down(method: str) -> None:
    config = tiny(**{"merge.method": method})
    algorithm = run(config)
    n, before = len(algorithm.store), np.arange(len(algorithm.store))
    place = np.argsort(algorithm.order)  # tracklet to row
    for joins, labels in zip(algorithm.joins, algorithm.labels_history, strict=True):
        assert len(joins.a) == 3
        links = np.stack([before[place[joins.a]], before[place[joins.b]]], axis=1)
        target = np.arange(n)
        for a, b in links.tolist():
            target[target == target[b]] = target[a]
        after = target[before]
        assert np.array_equal(after[:, None] == after[None, :], labels[:, None] == labels[None, :])
        before = labels.numpy()

"""What acts per camera is named, and off, where the cameras of the training tracklets are not known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from tiny_runs import dataset, tiny

from dcreid.algorithm import Algorithm
from dcreid.config import Config
from dcreid.data.cameras import PER_CAMERA, acting_per_camera, switched_off
from dcreid.data.tracklets import TrackletDataset

ALL = {
    "merge.camera_normalise": True,
    "train.camera_proxies": True,
    "train.sampler": "classes",
    "train.tracklets_per_class": 2,
    "evaluate.camera_normalise": True,
}


def without_cameras(data: TrackletDataset, count: int) -> TrackletDataset:
    return dataclasses.replace(data, train=dataclasses.replace(data.train, unknown_cameras=count))


def without_labels(data: TrackletDataset) -> TrackletDataset:
    nothing = np.zeros(0, dtype=np.int64)
    return dataclasses.replace(data, test=None, query=nothing, gallery=nothing)


def test_the_fields_that_act_per_camera():
    assert acting_per_camera(Config()) == []
    assert acting_per_camera(tiny(**ALL)) == list(PER_CAMERA) and len(PER_CAMERA) == 4
    for name in PER_CAMERA:
        others = {other: value for other, value in ALL.items() if other != name}
        assert acting_per_camera(tiny(**others)) == [other for other in PER_CAMERA if other != name]


def test_one_unknown_camera_is_enough_and_all_that_is_off_stands_in_one_line():
    data = dataset(tiny())
    assert switched_off(PER_CAMERA, data) == () == switched_off([], without_cameras(data, 3))
    found = switched_off(["train.camera_proxies", "merge.camera_normalise"], without_cameras(data, 1))
    assert found == (
        f"the cameras of 1 of {len(data.train)} training tracklets are unknown: nothing is done per camera "
        "by merge.camera_normalise, train.camera_proxies",
    )
    assert switched_off(["evaluate.camera_normalise"], without_cameras(data, 1)) == ()


@pytest.mark.parametrize("lost", ["test split", "identities", "queries"])
def test_without_labels_there_is_nothing_to_normalise_at_test_time(lost: str):
    data = dataset(tiny())
    assert data.labelled and data.test is not None
    if lost == "test split":
        data = without_labels(data)
    elif lost == "identities":
        data = dataclasses.replace(data, test=dataclasses.replace(data.test, identities=None))
    else:
        data = dataclasses.replace(data, query=data.query[:0])
    assert not data.labelled
    expected = "without a labelled test split nothing is done by evaluate.camera_normalise"
    assert switched_off(PER_CAMERA, data) == (expected,)


def test_a_run_has_the_cameras_of_its_rows_or_says_what_is_off():
    config = tiny(**ALL)
    data = dataset(config)
    known = Algorithm(config, data)
    assert known.problems == () and known.cameras is not None
    assert known.cameras.tolist() == data.train.cameras[known.order].tolist() != data.train.cameras.tolist()
    unknown = Algorithm(config, without_labels(without_cameras(data, 2)))
    assert unknown.cameras is None and unknown.problems == switched_off(PER_CAMERA, unknown.data)
    assert len(unknown.problems) == 2 and "merge.camera_normalise" in unknown.problems[0]
    assert Algorithm(tiny(), without_cameras(data, 2)).problems == ()


def test_nothing_else_depends_on_whether_cameras_are_known():
    data = dataset(tiny())
    assert without_cameras(data, 5).fingerprint() == data.fingerprint()
    runs = [Algorithm(tiny(**{"merge.max_steps": 1}), made) for made in (data, without_cameras(data, 5))]
    one, other = (run.step() for run in runs)
    assert (one.loss, one.mAP, one.labels_after) == (other.loss, other.mAP, other.labels_after)
    assert torch.equal(runs[0].labels, runs[1].labels)

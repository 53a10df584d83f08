"""Names of stages: what acts in a stage is in its name, what acts later is not."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dcreid.presets import small
from study.record.stages import stage_key

_KINDS = ("members", "zeros", "carry", "old_classes")
_BASE = small().replace(**{"merge.merge_rate": 0.2})


@pytest.mark.parametrize(
    "changes",
    [
        {"merge.lambda1": 0.3}, {"merge.lambda2": 0.0}, {"merge.intra": "pairs"}, {"merge.method": "exact"},
        {"merge.distance": "squared"}, {"merge.max_steps": 2}, {"evaluate.eval_every": 3},
        {"train.later_epochs": 7}, {"train.later_lr": "restart"}, {"train.memory_init": "carry"},
        {"train.memory_init": "previous_rows", "train.leak_audit": True},
        {"merge.distance": "jaccard", "merge.k1": 9, "merge.k2": 3}, {"merge.camera_normalise": True},
        {"merge.linkage": "nearest"}, {"evaluate.camera_normalise": True},
        {"merge.method": "anew", "merge.regroup_steps": 2}, {"merge.classes": 7},
    ],
)  # fmt: skip
def test_what_acts_later_leaves_the_first_stage_alone(changes: dict[str, Any]):
    assert stage_key(_BASE.replace(**changes)) == stage_key(_BASE)


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1}, {"train.temperature": 0.2}, {"train.alpha": 0.4}, {"train.first_epochs": 3},
        {"data.gallery": "no_junk"}, {"data.split": "first_half"},
        {"train.alpha_schedule": "fixed"}, {"merge.merge_rate": 0.1}, {"model.head": "embedding"},
        {"data.frames": 2}, {"data.eval_frames": 2}, {"train.batch_size": 8},
        {"data.shuffle_tracklets": False}, {"train.memory_init": "zeros"},
        {"train.memory_init": "old_classes"}, {"train.sampler": "classes"}, {"train.drop_last": True},
        {"train.clip_norm": 5.0}, {"train.camera_proxies": True}, {"train.alpha_schedule": "printed"},
        {"model.batch_norm": "frozen"}, {"model.last_stride": 1}, {"data.crop": 0.64},
        {"data.augment_per": "frame"},
    ],
)  # fmt: skip
def test_what_acts_at_once_names_another_first_stage(changes: dict[str, Any]):
    assert stage_key(_BASE.replace(**changes)) != stage_key(_BASE)


def test_rows_that_start_alike_share_the_first_stage_and_not_the_second():
    zeros, old = (_BASE.replace(**{"train.memory_init": kind}) for kind in ("zeros", "old_classes"))
    assert stage_key(zeros) == stage_key(old)
    labels = [torch.tensor([0, 0, 1])]
    names = {kind: stage_key(_BASE.replace(**{"train.memory_init": kind}), labels) for kind in _KINDS}
    assert len(set(names.values())) == len(_KINDS)


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

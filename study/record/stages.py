"""Names of stages of training, under which trials share them.

A stage is named by everything that acts up to it, the labels of the merges made so far included; so
stages of one name are equal, bit for bit on a CPU.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dcreid.config import Config
from dcreid.schedules import update_rate

if TYPE_CHECKING:  # a study is looked at without PyTorch
    from jaxtyping import Int
    from torch import Tensor

# Fields that act on merges, whose outcome is in the labels, or on what is reported only.
MERGE_FIELDS = (
    *("merge.merge_rate", "merge.lambda1", "merge.lambda2", "merge.intra", "merge.distance", "merge.method"),
    *("merge.k1", "merge.k2", "merge.camera_normalise", "merge.linkage"),
    *("merge.max_steps", "merge.classes", "merge.regroup_steps"),
    *("evaluate.eval_every", "evaluate.camera_normalise", "train.leak_audit"),
)
_AS_VALUES = ("train.alpha", "train.alpha_schedule")  # what α is in each stage counts, not how it came
_FROM_STAGE_2 = ("train.later_epochs", "train.later_lr", "train.memory_init")


def stage_key(config: Config, labels_history: Sequence[Int[Tensor, " n"]] = (), where: str = "") -> str:
    """64 hex digits that name the stage trained after these merges (the first after none).

    where: what else decides the result: data, code, kind of device.
    """
    stage = len(labels_history) + 1
    left_out = MERGE_FIELDS + _AS_VALUES + (_FROM_STAGE_2 if stage == 1 else ())
    acting = {name: value for name, value in config.flat().items() if name not in left_out}
    train, rate = config.train, config.merge.merge_rate
    if stage == 1 and train.first_rows != "members":
        acting["first_rows"] = train.first_rows
    acting["alphas"] = [
        update_rate(train.alpha_schedule, train.alpha, rate, step) for step in range(1, stage + 1)
    ]
    digest = hashlib.sha256(f"{where} {json.dumps(acting, sort_keys=True)}".encode())
    for labels in labels_history:
        digest.update(labels.numpy().tobytes())
    return digest.hexdigest()

"""What changes from stage to stage: the learning rate, and the memory's update rate α."""

from __future__ import annotations

import math

from dcreid.config import TrainConfig


def learning_rate(train: TrainConfig, stage: int, epoch: int) -> float:
    """Rate of new layers in stage 1, 2, … and epoch 1, 2, … within it ("Training details").

    Stage 1 starts at lr and is multiplied by lr_decay after lr_decay_epoch epochs; later stages stay
    at the decayed rate, or restart at lr.
    """
    if stage == 1:
        return train.lr * (train.lr_decay if epoch > train.lr_decay_epoch else 1.0)
    return train.lr * (train.lr_decay if train.later_lr == "decayed" else 1.0)


def update_rate(schedule: str, alpha: float, merge_rate: float, step: int) -> float:
    """α of stage `step` = 1, 2, …

    linear: α_step = step · α · pm, clipped to α ("Feature memory": from α·pm up to α); fixed: α
    throughout; cosine: half a cosine from 0 to α over the same 1/pm stages; printed: linear with the
    α that Algorithm 1's line 6 has set after the merge before, so (step − 1) · α · pm.
    """
    if schedule == "printed":
        return update_rate("linear", alpha, merge_rate, step - 1)
    share = min(1.0, step * merge_rate)
    if schedule == "fixed":
        return alpha
    if schedule == "linear":
        return alpha * share
    if schedule == "cosine":
        return alpha * (1.0 - math.cos(math.pi * share)) / 2.0
    raise ValueError(f"schedule = {schedule!r}: must be linear, fixed, cosine or printed")

"""Where successive halving compares trials: at equal numbers of epochs trained.

A merge step is no measure of what a trial has spent: the first stage has 30 epochs in the paper, every
later one 3. So rungs are counted down from the epochs of trial 0, total/η³, total/η², total/η, and each
trial is looked at after its own first merge step that has at least so many; trials of a search over
epochs are so compared after equal training. Rungs that fall on one merge step are one cut.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from dcreid.config import Config
from study.plan import OBJECTIVES


def epochs_trained(train: Mapping[str, Any], step: int) -> int:
    """Epochs up to merge step `step` = 1, 2, … of a trial whose configuration has this `train`."""
    return int(train["first_epochs"] + (step - 1) * train["later_epochs"])


def rungs(config: Config, tracklets: int, eta: int, count: int) -> tuple[Fraction, ...]:
    """The epochs at which trials are compared, ascending: total/η^k for k = count, …, 1.

    config: of trial 0, whose epochs are all there are.
    """
    steps = max(1, config.merge.merge_steps(tracklets))
    total = config.train.first_epochs + (steps - 1) * config.train.later_epochs
    return tuple(Fraction(total, eta**k) for k in range(count, 0, -1))


def rung_steps(train: Mapping[str, Any], at: Sequence[Fraction], grace: int) -> tuple[float, ...]:
    """A trial's merge step at each rung: the first with so many epochs, and not before step `grace`.

    inf where no number of steps has so many.
    """
    first, later = train["first_epochs"], train["later_epochs"]
    steps: list[float] = []
    for epochs in at:
        if epochs <= first:
            steps.append(1)
        else:
            steps.append(1 + math.ceil((epochs - first) / later) if later else math.inf)
    return tuple(max(step, grace) for step in steps)


def cuts(
    config: Config, tracklets: int, eta: int, count: int, grace: int = 0, objective: str = "last"
) -> list[int]:
    """The merge steps after which a trial with trial 0's epochs may end.

    Those where the objective is measured: mAP where retrieval is, the score without labels at every step.
    """
    every = config.evaluate.eval_every if OBJECTIVES[objective] == "mAP" else 1
    last = config.merge.merge_steps(tracklets)
    steps = rung_steps(config.to_dict()["train"], rungs(config, tracklets, eta, count), grace)
    measured = {every * math.ceil(step / every) for step in steps if step < math.inf}
    return sorted(step for step in measured if step < last)

"""Which classes the merges joined: of one person or of two, seen by one camera or by several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.style import LINES, panels
from dcreid.data.tracklets import Ints


@dataclass(frozen=True)
class StepJoins:
    """Joins of one merge step by what they put together; right + wrong = same + cross = all joins."""

    step: int
    right: int  # of two classes with the same commonest identity
    wrong: int
    same_camera: int  # all tracklets of both classes seen by one camera
    cross_camera: int


def count_joins(labels_history: Sequence[Ints], identities: Ints, cameras: Ints) -> list[StepJoins]:
    """labels_history: (n,) per merge step; identities, cameras: (n,), rows alike.

    A class made of k former ones is k - 1 joins: each of the smaller ones with the largest (of equals
    the first).
    """
    counts = []
    before: Ints = np.arange(len(identities), dtype=np.int64)
    for step, labels in enumerate(labels_history, start=1):
        right = same = total = 0
        for label in np.unique(labels):
            parts = [np.flatnonzero(before == old) for old in np.unique(before[labels == label])]
            parts.sort(key=len, reverse=True)
            for part in parts[1:]:
                total += 1
                right += int(_commonest(identities[part]) == _commonest(identities[parts[0]]))
                same += int(len(np.unique(cameras[np.concatenate([part, parts[0]])])) == 1)
        counts.append(StepJoins(step, right, total - right, same, total - same))
        before = np.asarray(labels, dtype=np.int64)
    return counts


def joins_figure(counts: Sequence[StepJoins]) -> Figure:
    """Stacked bars per merge step."""
    figure, axes = panels(2)
    steps = [each.step for each in counts]
    stacks = (
        (("one person", [c.right for c in counts]), ("two persons", [c.wrong for c in counts])),
        (
            ("one camera", [c.same_camera for c in counts]),
            ("several cameras", [c.cross_camera for c in counts]),
        ),
    )
    for ax, (lower, upper) in zip(axes, stacks, strict=True):
        ax.bar(steps, lower[1], color=LINES[0].color, label=lower[0])
        ax.bar(steps, upper[1], bottom=lower[1], color="white", edgecolor=LINES[1].color, hatch="///",
               label=upper[0])  # fmt: skip
        total = max((a + b for a, b in zip(lower[1], upper[1], strict=True)), default=1)
        ax.set(xlabel="merge step", ylabel="joins", ylim=(0, 1.3 * total))  # room for the legend
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True))
        ax.legend(fontsize=7, ncols=2, loc="upper center")
    return figure


def _commonest(identities: Ints) -> int:
    values, counts = np.unique(identities, return_counts=True)
    return int(values[counts.argmax()])

"""How the classes of the training tracklets came about: the classes after every merge step, and its joins.

From `joins.parquet` and `classes.parquet` of a trial (`study/record/trial_tables.py`); no network is
needed. Of older code, which wrote no `classes.parquet`, the classes are those that the joins make of single
tracklets.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from analysis.data.results import Study
from analysis.stats.joins import with_causes
from dcreid.config import Config
from dcreid.data.tracklets import Ints
from dcreid.evaluation.joins import RIGHT, WRONG
from study.errors import StorageError
from study.record.ledger import TrialRecord
from study.record.trial_tables import load_classes, load_joins


@dataclass(frozen=True)
class History:
    """The classes of n tracklets after S merge steps; row 0: each is a class of its own."""

    labels: Int[ndarray, "rows n"]  # of the S + 1 rows
    confidence: Float[ndarray, "rows n"]  # share of the nearest that are in the class; NaN: not recorded
    joins: pd.DataFrame | None  # with causes (`analysis.stats.joins`); None: none was made or recorded

    @property
    def steps(self) -> int:
        """S"""
        return len(self.labels) - 1

    def members(self, step: int) -> list[Ints]:
        """The classes after a merge step, the largest first, of equals the one of the first tracklet."""
        labels = self.labels[step]
        order = np.argsort(labels, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
        return sorted(parts, key=lambda part: (-len(part), part[0]))


def history_of(study: Study, trial: TrialRecord) -> History | None:
    """From a trial's files; None where they tell neither classes nor joins."""
    try:
        storage = study.storage(trial.number)
        classes = load_classes(storage, study.stamp(trial))
        joins = load_joins(storage, study.stamp(trial))
    except (OSError, StorageError):
        return None
    if joins is not None:
        joins = with_causes(joins, Config.from_dict(trial.config).merge)
    if classes is not None:
        return _from_classes(classes, joins)
    if joins is None:
        return None
    labels = labels_of_joins(joins, int(study.data["train_tracklets"]), trial.last_step)
    return History(labels, np.full(labels.shape, np.nan), joins)


def _from_classes(classes: pd.DataFrame, joins: pd.DataFrame | None) -> History:
    labels = classes.pivot(index="step", columns="tracklet", values="class").sort_index().to_numpy()
    sure = classes.pivot(index="step", columns="tracklet", values="confidence").sort_index().to_numpy()
    alone = np.arange(labels.shape[1])[None]
    return History(
        np.concatenate([alone, labels.astype(np.int64)]),
        np.concatenate([np.full(alone.shape, np.nan), sure.astype(float)]),
        joins,
    )


def labels_of_joins(joins: pd.DataFrame, n: int, steps: int) -> Int[ndarray, "rows n"]:
    """The classes after steps 0 … `steps`: tracklets that the joins so far connect, numbered anew at each."""
    rows = []
    for step in range(steps + 1):
        made = joins[joins["step"] <= step]
        graph = coo_array((np.ones(len(made)), (made["a"], made["b"])), shape=(n, n))
        rows.append(connected_components(graph, directed=False)[1].astype(np.int64))
    return np.stack(rows)


# --- what a step joined


@dataclass(frozen=True)
class Join:
    """Two classes that a merge step made one, with what is known of it."""

    a: Ints  # their tracklets
    b: Ints
    right: int  # RIGHT, WRONG or UNKNOWN
    cause: str  # key of `analysis.stats.joins.CAUSES`; "": not wrong
    one_camera: bool
    size: int  # of the class that they are in after the step


def joins_shown(history: History, step: int, most: int, *, exact: bool) -> list[Join]:
    """Up to `most` joins of a step in the order in which they were made: up to half of them wrong ones.

    Those of either kind are spread evenly over the step. exact: classes are those before the join, else those
    before the step.
    """
    assert history.joins is not None
    made = history.joins[history.joins["step"] == step].reset_index(drop=True)
    chosen = _spread(made["right"].to_numpy() == WRONG, most)
    now, found = history.labels[step - 1].copy(), []
    columns = (made[name].tolist() for name in ("a", "b", "right", "cause", "one_camera"))
    for place, (first, second, right, cause, one_camera) in enumerate(zip(*columns, strict=True)):
        a, b = np.flatnonzero(now == now[first]), np.flatnonzero(now == now[second])
        if place in chosen:
            size = int((history.labels[step] == history.labels[step][first]).sum())
            found.append(Join(a, b, right, cause, bool(one_camera), size))
        if exact:
            now[b] = now[first]
    return found


def _spread(wrong: ndarray, most: int) -> set[int]:
    """Places of up to `most` of these: wrong ones up to half (more where the others do not fill it)."""
    bad, good = np.flatnonzero(wrong), np.flatnonzero(~wrong)
    of_bad = min(len(bad), max(most // 2, most - len(good)))
    of_good = min(len(good), most - of_bad)
    return {*evenly(bad, of_bad), *evenly(good, of_good)}


def evenly(values: Sequence[int] | ndarray, count: int) -> list[int]:
    """`count` of these, first and last among them."""
    if count <= 0 or not len(values):
        return []
    return [
        int(values[i])
        for i in np.unique(np.linspace(0, len(values) - 1, min(count, len(values))).astype(int))
    ]


def counts(history: History, step: int) -> tuple[int, int, int]:
    """(joins, right, wrong) of a step."""
    assert history.joins is not None
    right = history.joins.loc[history.joins["step"] == step, "right"]
    return len(right), int((right == RIGHT).sum()), int((right == WRONG).sum())


def new_classes(history: History, step: int) -> list[Ints]:
    """Classes of a step that the step before did not have, the largest first."""
    before = {part.tobytes() for part in history.members(step - 1)}
    return [part for part in history.members(step) if part.tobytes() not in before]


# --- how one class grew


@dataclass(frozen=True)
class Branch:
    """A part of a class: what it was made of, and by which step. A leaf has no parts."""

    members: Ints
    step: int  # in which it came about; of a leaf the step that the tree begins with
    parts: tuple[Branch, ...] = ()
    classes: int = 1  # of a leaf: more than one where the smallest parts share it


def grown(history: History, members: Ints, step: int, most_leaves: int = 24) -> Branch | None:
    """The class `members` of a merge step as a tree, from the first step on in which it had few parts.

    Where the step itself joined more than `most_leaves`, the smallest parts share a leaf. None where classes
    do not come out of one another (merges made anew).
    """
    rows = history.labels[: step + 1, members]
    if not _nested(rows):
        return None
    begin = next((at for at, row in enumerate(rows) if len(np.unique(row)) <= most_leaves), step)
    begin = min(begin, max(step - 1, 0))
    present = _leaves(rows[begin], members, begin, most_leaves)
    for at in range(begin + 1, step + 1):
        label_of = dict(zip(members.tolist(), rows[at].tolist(), strict=True))
        groups: dict[int, list[Branch]] = {}
        for branch in present:
            groups.setdefault(label_of[int(branch.members[0])], []).append(branch)
        present = [_joined(parts, at) for parts in groups.values()]
    return present[0]


def _nested(rows: Int[ndarray, "rows k"]) -> bool:
    """Whether every class of a row lies in one class of the next."""
    return all(
        np.unique(np.stack([before, after]), axis=1).shape[1] == len(np.unique(before))
        for before, after in itertools.pairwise(rows)
    )


def _leaves(row: Int[ndarray, " k"], members: Ints, step: int, most: int) -> list[Branch]:
    """The classes of a row by their first tracklets; of more than `most` the smallest as one, the last."""
    parts = [members[row == label] for label in np.unique(row)]
    parts.sort(key=lambda part: (-len(part), part[0]))
    shown, rest = (parts, []) if len(parts) <= most else (parts[: most - 1], parts[most - 1 :])
    found = sorted((Branch(part, step) for part in shown), key=lambda branch: int(branch.members[0]))
    return found + ([Branch(np.sort(np.concatenate(rest)), step, classes=len(rest))] if rest else [])


def _joined(parts: list[Branch], step: int) -> Branch:
    if len(parts) == 1:
        return parts[0]
    return Branch(np.sort(np.concatenate([part.members for part in parts])), step, tuple(parts))


def together(history: History, members: Ints, step: int) -> list[float]:
    """Share of a class that was in one class already, after steps 0 … `step`."""
    return [
        float(np.unique(row, return_counts=True)[1].max() / len(members))
        for row in history.labels[: step + 1, members]
    ]


def commonest(identities: Ints) -> int:
    """The commonest identity, of equals the lowest."""
    values, found = np.unique(identities, return_counts=True)
    return int(values[found.argmax()])

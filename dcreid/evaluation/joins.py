"""The record of a merge's joins: which were wrong, and which term of Eq (7) is to blame.

For reports only: the identities and cameras read here reach nothing that merges or trains.

A join of classes a and b is *right* if the commonest identity of a is that of b, else *wrong*. A wrong
join is compared with the join that it *missed*: of all joins that were still possible, between a or b
and another class of the same commonest identity, the one of lowest D. With D of a wrong join and D'
of the one it missed,

    0 <= D' - D = (d' - d) + λ1 (i' - i) + λ2 (s' - s),    d: d_ab,  i: d_a + d_b,  s: |a| + |b|

says how much each term of Eq (7) favoured the wrong join, in units of distance; the largest of the
three is to blame. Nothing was missed where no class of either person was left to join; in a merge
without the matrix (`dcreid/clustering/blocked.py`), what was missed is not known. Under `star` a class
that was absorbed is not left to join.

Method `anew` makes its classes from single tracklets at every step, and `identities` takes them as they
are: neither has joins to record.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from dcreid.clustering.criterion import ClassTerms, PairTerms
from dcreid.config import MergeConfig
from dcreid.data.tracklets import Ints, Split

RIGHT, WRONG, UNKNOWN = 1, 0, -1
_NONE = PairTerms(np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class Joins:
    """The m joins of one merge step, in the order in which they were made.

    A class goes by the first of its tracklets in the training split. Classes are those before the
    step; under `exact`, those before the join.
    """

    a: Int[Tensor, " m"]
    b: Int[Tensor, " m"]
    inter: Float[Tensor, " m"]  # d_ab, under `nearest` linkage the smallest distance
    intra: Float[Tensor, " m"]  # d_a + d_b
    size: Float[Tensor, " m"]  # |a| + |b|
    right: Int[Tensor, " m"]  # RIGHT, WRONG, or UNKNOWN without identities
    one_camera: Int[Tensor, " m"]  # 1: all tracklets of both classes were seen by one camera
    missed_inter: Float[Tensor, " m"]  # of the join that a wrong one missed; NaN: none, or not known
    missed_intra: Float[Tensor, " m"]
    missed_size: Float[Tensor, " m"]


class JoinRecorder:
    """Records the joins of one step (an `OnJoin` of `dcreid/clustering/criterion.py`).

    labels (n,): classes before the step, row i being tracklet order[i] of `split`. Under `exact` the
    class that a join makes takes the place of its first part; else D stays that of the classes before.
    """

    def __init__(
        self,
        labels: Int[Tensor, " n"],
        order: Ints,
        split: Split,
        merge: MergeConfig,
    ):
        _, self._index = np.unique(labels.cpu().numpy(), return_inverse=True)
        self._merge = merge
        c = int(self._index.max()) + 1
        self._group = np.arange(c)  # of the classes joined so far, the one that all of them go by
        self._closed = np.zeros(c, dtype=np.bool_)  # may not be joined any more, whatever its group
        self._first = np.full(c, len(order))
        np.minimum.at(self._first, self._index, order)
        cameras = split.cameras[order]
        self._lowest_camera, self._highest_camera = np.full(c, cameras.max()), np.full(c, cameras.min())
        np.minimum.at(self._lowest_camera, self._index, cameras)
        np.maximum.at(self._highest_camera, self._index, cameras)
        self._identities = None if split.identities is None else split.identities[order]
        self._person = None if self._identities is None else _commonest(self._index, self._identities)
        self._rows: list[tuple[float, ...]] = []

    def __call__(
        self, a: int, b: int, terms: PairTerms, terms_of: Callable[[int], ClassTerms] | None
    ) -> None:
        """Records the join of a and b; terms_of: the terms of a class with all others."""
        right, missed = UNKNOWN, _NONE
        if self._person is not None:
            right = RIGHT if self._person[a] == self._person[b] else WRONG
            if right == WRONG and terms_of is not None:
                missed = self._missed(a, b, terms_of)
        low = min(self._lowest_camera[a], self._lowest_camera[b])
        high = max(self._highest_camera[a], self._highest_camera[b])
        self._rows.append((self._first[a], self._first[b], *terms, right, low == high, *missed))
        self._group[self._group == self._group[b]] = self._group[a]
        self._closed[b] = self._merge.method != "once"
        if self._merge.method == "exact":
            self._first[a] = min(self._first[a], self._first[b])
            self._lowest_camera[a], self._highest_camera[a] = low, high
            if self._person is not None and self._identities is not None:
                members = self._identities[self._group[self._index] == self._group[a]]
                self._person[a] = _commonest(np.zeros_like(members), members)[0]

    def joins(self) -> Joins:
        """All joins so far."""
        columns = torch.tensor(self._rows, dtype=torch.float64).reshape(-1, len(dataclasses.fields(Joins))).T
        whole = {"a", "b", "right", "one_camera"}
        return Joins(
            **{
                field.name: column.to(torch.int32 if field.name in whole else torch.float32)
                for field, column in zip(dataclasses.fields(Joins), columns, strict=True)
            }
        )

    def _missed(self, a: int, b: int, terms_of: Callable[[int], ClassTerms]) -> PairTerms:
        """Terms of the cheapest possible join of a or b with another class of its commonest identity."""
        assert self._person is not None
        found, lowest = _NONE, np.inf
        for one in (a, b):
            terms = terms_of(one)
            cost = terms.inter + self._merge.lambda1 * terms.intra + self._merge.lambda2 * terms.size
            open_to = (self._person == self._person[one]) & (self._group != self._group[one])
            cost = np.where(open_to & ~self._closed, cost, np.inf)
            best = int(cost.argmin())
            if cost[best] < lowest:
                found, lowest = terms.with_class(best), float(cost[best])
        return found


def _commonest(index: NDArray[np.integer], identities: Ints) -> Ints:
    """(c,) the commonest identity of every class 0 … c-1, of equals the lowest."""
    known, identity = np.unique(identities, return_inverse=True)
    pairs, counts = np.unique(index * len(known) + identity, return_counts=True)
    classes, identity = np.divmod(pairs, len(known))
    order = np.lexsort((identity, -counts, classes))
    _, starts = np.unique(classes[order], return_index=True)
    commonest: Ints = known[identity[order][starts]]
    return commonest

"""Joins one after the other, D recomputed after every one: methods `exact` and `anew`.

Class sums only add up, and of two smallest distances the smaller stays, so a join touches one row and
column of them, O(c). Every class remembers its nearest partner. Where that one was joined, and both
together cost more, the next nearest is looked for only when the class comes first: until then the old
cost is a bound that none of its others lies below. In NumPy, on the CPU.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from dcreid.clustering.criterion import ClassTerms, OnJoin, penalties
from dcreid.clustering.dispersion import class_distances, intra_dispersion
from dcreid.clustering.kruskal import JoinedPairs, too_few_joins

_ROWS = 512  # rows of costs scanned at a time
_UNKNOWN = -1  # the nearest partner of a class whose `lowest` is a bound


def exact_joins(
    distances: Float[Tensor, "n n"],
    labels: Int[Tensor, " n"],
    m: int,
    lambda1: float,
    lambda2: float,
    intra: str,
    linkage: str = "average",
    on_join: OnJoin | None = None,
) -> JoinedPairs:
    """m times the pair of lowest D, ties by (smaller a, smaller b); the joined class is a from then on.

    Raises ValueError when the finite costs do not connect enough classes for m joins.
    """
    classes = Agglomeration(distances, labels, lambda1, lambda2, intra, linkage)
    joined = np.empty((2, m), dtype=np.int64)
    for join in range(m):
        a, b = classes.nearest_pair()
        if not np.isfinite(classes.lowest[a]):
            raise too_few_joins(join, m)
        if on_join is not None:
            on_join(a, b, classes.terms(a).with_class(b), classes.terms)
        classes.join(a, b)
        joined[:, join] = a, b
    return joined[0], joined[1]


class Agglomeration:
    """Classes under joins. Row a knows its nearest partner b > a and what joining it costs, or a bound."""

    def __init__(
        self,
        distances: Float[Tensor, "n n"],
        labels: Int[Tensor, " n"],
        lambda1: float,
        lambda2: float,
        intra: str,
        linkage: str,
    ):
        self.lambda1, self.lambda2, self.intra, self.linkage = lambda1, lambda2, intra, linkage
        between, divisor, within, sizes = class_distances(distances, labels, linkage)
        count = sizes.to(within.dtype)
        penalty = penalties(intra_dispersion(within, sizes, intra), count, lambda1, lambda2)
        self.between, self.divisor, self.within, self.sizes, self.penalty = (
            tensor.cpu().numpy() for tensor in (between, divisor, within, count, penalty)
        )
        if linkage == "nearest":
            # The smallest distances do not tell S of two classes, which Eq (3) wants once they are joined.
            self.distances = distances.cpu().numpy()
            by_class, ends = labels.argsort(stable=True), sizes.cumsum(0)
            self.members = np.split(by_class.cpu().numpy(), ends[:-1].cpu().numpy())
        self.alive = np.ones(len(sizes), dtype=np.bool_)
        self.nearest = np.empty(len(sizes), dtype=np.int64)
        self.lowest = np.empty_like(self.sizes)
        for start in range(0, len(sizes), _ROWS):
            self._scan(slice(start, start + _ROWS))

    def nearest_pair(self) -> tuple[int, int]:
        """The closest pair a < b (ties: smaller a, smaller b)."""
        a = int(self.lowest.argmin())
        while self.nearest[a] == _UNKNOWN:
            self._rescan(a)
            a = int(self.lowest.argmin())
        return a, int(self.nearest[a])

    def terms(self, a: int) -> ClassTerms:
        """Terms of Eq (7) of class a with every class; d_ab is infinite where b has been joined."""
        inter = np.where(self.alive, self.between[a] / self.divisor[a] / self.divisor, np.inf)
        dispersion = self._dispersion(slice(None))
        return ClassTerms(inter, dispersion[a] + dispersion, self.sizes[a] + self.sizes)

    def join(self, a: int, b: int) -> None:
        """Joins b to a, the nearest pair; b is gone afterwards."""
        self._add(a, b)
        self.alive[b], self.lowest[b], self.penalty[b] = False, np.inf, np.inf
        self._offer(a, b)
        self._rescan(a)

    def _add(self, a: int, b: int) -> None:
        """What is known of a and b becomes what is known of both together, in row and column a."""
        of_a, of_b = self.between[a], self.between[b]
        if self.linkage == "average":
            self.within[a] = (self.within[a] + of_b[a]) + (of_a[b] + self.within[b])
            of_a += of_b
        else:
            few, many = sorted((self.members[a], self.members[b]), key=len)
            self.within[a] += self.within[b] + 2 * self.distances[np.ix_(few, many)].sum()
            self.members[a] = np.concatenate([few, many])
            np.minimum(of_a, of_b, out=of_a)
        self.between[:, a] = of_a
        self.sizes[a] += self.sizes[b]
        self.divisor[a] = self.sizes[a] if self.linkage == "average" else 1.0
        self.penalty[a] = self.lambda1 * self._dispersion(a) + self.lambda2 * self.sizes[a]

    def _dispersion(self, classes: int | slice) -> Any:
        """Eq (3) of one class or of several."""
        within, sizes = self.within[classes], self.sizes[classes]
        return within / (sizes if self.intra == "samples" else sizes * sizes)

    def _scan(self, rows: slice) -> None:
        cost = self.between[rows] / self.divisor[rows, None] / self.divisor
        cost += self.penalty[rows, None]
        cost += self.penalty
        position = np.arange(len(self.between))
        cost[position <= position[rows, None]] = np.inf
        self.nearest[rows], self.lowest[rows] = cost.argmin(axis=1), cost.min(axis=1)

    def _cost(self, between: NDArray[np.floating], a: int | slice, b: int | slice) -> Any:
        """Eq (7) of a with b, a < b; infinite where b is gone.

        In the order of operations of `merge_costs`, so that ties are the same ones.
        """
        return between / self.divisor[a] / self.divisor[b] + self.penalty[a] + self.penalty[b]

    def _rescan(self, a: int) -> None:
        after = slice(a + 1, None)
        cost = self._cost(self.between[a, after], a, after)
        partner = int(cost.argmin()) if len(cost) else -1
        self.nearest[a] = a + 1 + partner
        self.lowest[a] = cost[partner] if len(cost) else np.inf

    def _offer(self, a: int, b: int) -> None:
        """After the join of b to a: the rows above a take it where it is their nearest now.

        Where it is not, a row whose nearest was a or b does not know its nearest any more.
        """
        above = slice(0, a)
        nearest, lowest = self.nearest[above], self.lowest[above]
        cost = self._cost(self.between[a, above], above, a)
        was_theirs = (nearest == a) | (nearest == b)  # what costs as much as they did comes after them
        closer = (cost < lowest) | ((cost == lowest) & (was_theirs | (a < nearest)))
        closer &= self.alive[above]
        lost = self.nearest[:b]
        lost[(lost == a) | (lost == b)] = _UNKNOWN
        nearest[closer], lowest[closer] = a, cost[closer]

"""Method `exact`: classes are joined one after the other, and D is recomputed after every join.

Class sums only add up, and every class remembers its nearest partner: a join touches one row and
column of the class sums, O(c), and rescans only the rows whose nearest partner was joined. In NumPy,
on the CPU.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from dcreid.clustering.criterion import ClassTerms, OnJoin, penalties
from dcreid.clustering.dispersion import class_sums, intra_dispersion
from dcreid.clustering.kruskal import JoinedPairs

_ROWS = 512  # rows of costs scanned at a time


def exact_joins(
    distances: Float[Tensor, "n n"],
    labels: Int[Tensor, " n"],
    m: int,
    lambda1: float,
    lambda2: float,
    intra: str,
    on_join: OnJoin | None = None,
) -> JoinedPairs:
    """m times the pair of lowest D, ties by (smaller a, smaller b); the joined class is a from then on."""
    classes = Agglomeration(*class_sums(distances, labels), lambda1, lambda2, intra)
    joined = np.empty((2, m), dtype=np.int64)
    for join in range(m):
        a, b = classes.nearest_pair()
        if on_join is not None:
            on_join(a, b, classes.terms(a).with_class(b), classes.terms)
        classes.join(a, b)
        joined[:, join] = a, b
    return joined[0], joined[1]


class Agglomeration:
    """Class sums under joins. Row a knows its nearest partner b > a and the cost of joining it."""

    def __init__(
        self,
        sums: Float[Tensor, "c c"],
        sizes: Int[Tensor, " c"],
        lambda1: float,
        lambda2: float,
        intra: str,
    ):
        sums, sizes = sums.cpu(), sizes.cpu()
        self.sums, self.lambda1, self.lambda2, self.intra = sums.numpy(), lambda1, lambda2, intra
        count = sizes.to(sums.dtype)
        self.sizes = count.numpy()
        dispersion = intra_dispersion(sums.diagonal(), sizes, intra)
        self.penalty = penalties(dispersion, count, lambda1, lambda2).numpy()
        self.alive = np.ones(len(sums), dtype=np.bool_)
        self.nearest = np.empty(len(sums), dtype=np.int64)
        self.lowest = np.empty(len(sums), dtype=self.sums.dtype)
        for start in range(0, len(sums), _ROWS):
            self._scan(slice(start, start + _ROWS))

    def nearest_pair(self) -> tuple[int, int]:
        """The closest pair a < b (ties: smaller a, smaller b)."""
        a = int(self.lowest.argmin())
        return a, int(self.nearest[a])

    def terms(self, a: int) -> ClassTerms:
        """Terms of Eq (7) of class a with every class; d_ab is infinite where b has been joined."""
        inter = np.where(self.alive, self.sums[a] / self.sizes[a] / self.sizes, np.inf)
        dispersion = self._dispersion(slice(None))
        return ClassTerms(inter, dispersion[a] + dispersion, self.sizes[a] + self.sizes)

    def join(self, a: int, b: int) -> None:
        """Joins b to a, the nearest pair; b is gone afterwards."""
        self.sums[a] += self.sums[b]
        self.sums[a, a] += self.sums[a, b]
        self.sums[:, a] = self.sums[a]
        self.sizes[a] += self.sizes[b]
        self.penalty[a] = self._penalty(a)
        self.alive[b], self.lowest[b] = False, np.inf
        stale = self.alive & ((self.nearest == a) | (self.nearest == b))
        stale[a] = True
        for row in np.flatnonzero(stale):
            self._rescan(int(row))
        self._offer(a)

    def _scan(self, rows: slice) -> None:
        cost = self.sums[rows] / self.sizes[rows, None] / self.sizes
        cost += self.penalty[rows, None]
        cost += self.penalty
        position = np.arange(len(self.sums))
        cost[position <= position[rows, None]] = np.inf
        self.nearest[rows], self.lowest[rows] = cost.argmin(axis=1), cost.min(axis=1)

    def _dispersion(self, classes: int | slice) -> Any:
        """Eq (3) of one class or of several."""
        within, sizes = self.sums.diagonal()[classes], self.sizes[classes]
        return within / (sizes if self.intra == "samples" else sizes * sizes)

    def _penalty(self, a: int) -> float:
        return float(self.lambda1 * self._dispersion(a) + self.lambda2 * self.sizes[a])

    def _cost(self, a: int | slice, b: int | slice) -> NDArray[np.floating]:
        """Eq (7) of a with b, in the order of operations of `merge_costs`, so that ties are the same ones."""
        cost = self.sums[a, b] / self.sizes[a] / self.sizes[b] + self.penalty[a] + self.penalty[b]
        return np.where(self.alive[a] & self.alive[b], cost, np.inf)

    def _rescan(self, a: int) -> None:
        cost = self._cost(a, slice(a + 1, None))
        partner = int(cost.argmin()) if len(cost) else -1
        self.nearest[a] = a + 1 + partner
        self.lowest[a] = cost[partner] if len(cost) else np.inf

    def _offer(self, a: int) -> None:
        """Lets the rows above a, whose nearest partner may now be the changed class a, take it."""
        cost = self._cost(slice(0, a), a)
        closer = (cost < self.lowest[:a]) | ((cost == self.lowest[:a]) & (a < self.nearest[:a]))
        closer &= self.alive[:a]
        self.nearest[:a][closer], self.lowest[:a][closer] = a, cost[closer]

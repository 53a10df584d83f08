"""Classes that are joined one after the other, D recomputed after every join (`merging.merge_exact`).

Every class remembers its nearest partner, so a join touches one row and column of the class sums,
O(c), and rescans only the rows whose nearest partner was joined. In NumPy, on the CPU.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from dcreid.clustering.dispersion import Parts, intra_dispersion

_ROWS = 512  # rows of costs scanned at a time


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
        self.sums, self.lambda1, self.lambda2, self.intra = sums.numpy(), lambda1, lambda2, intra
        self.sizes = sizes.numpy().astype(self.sums.dtype)
        dispersion = intra_dispersion(sums, sizes, intra)
        self.penalty = (lambda1 * dispersion + lambda2 * sizes.to(sums.dtype)).numpy()
        self.alive = np.ones(len(sums), dtype=np.bool_)
        self.nearest = np.empty(len(sums), dtype=np.int64)
        self.lowest = np.empty(len(sums), dtype=self.sums.dtype)
        for start in range(0, len(sums), _ROWS):
            self._scan(slice(start, start + _ROWS))
        if np.isnan(self.lowest).any():
            raise ValueError("distances hold NaN: the features they come from are not finite")

    def nearest_pair(self) -> tuple[int, int]:
        """The closest pair a < b (ties: smaller a, smaller b)."""
        a = int(self.lowest.argmin())
        return a, int(self.nearest[a])

    def parts(self, a: int) -> Parts:
        """Terms of Eq (7) of class a with every class; d_ab is infinite where b is gone."""
        inter = np.where(self.alive, self.sums[a] / self.sizes[a] / self.sizes, np.inf)
        over = self.sizes if self.intra == "samples" else self.sizes * self.sizes
        dispersion = self.sums.diagonal() / over
        return Parts(inter, dispersion[a] + dispersion, self.sizes[a] + self.sizes)

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

    def _penalty(self, a: int) -> float:
        size = self.sizes[a]
        dispersion = self.sums[a, a] / (size if self.intra == "samples" else size * size)
        return float(self.lambda1 * dispersion + self.lambda2 * size)

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

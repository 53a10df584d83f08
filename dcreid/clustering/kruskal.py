"""The m joins of one D, method `once`: Kruskal's algorithm, stopped after m edges.

Pairs are taken in ascending D, ties by (smaller a, smaller b), and joined if they are still in
different classes, until m joins are made. These are the m lightest edges of the minimum spanning
forest, which SciPy finds in compiled code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import minimum_spanning_tree
from torch import Tensor

# Kruskal needs few edges beyond the m it keeps; candidates are drawn this many times m at first.
_CANDIDATES_PER_JOIN = 8
# Costs sampled for the threshold, and rows compared with it at a time.
_SAMPLE = 1 << 18
_ROWS = 512

# Classes a (m,) and b (m,), a < b, in the order in which they are joined.
JoinedPairs: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64]]


class Edges(NamedTuple):
    """Pairs of classes a < b and their costs."""

    a: NDArray[np.int64]  # (k,)
    b: NDArray[np.int64]  # (k,)
    cost: NDArray[np.floating]  # (k,)

    def at(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Edges:
        """Those of a mask, or at these positions."""
        return Edges(self.a[chosen], self.b[chosen], self.cost[chosen])

    def order(self) -> NDArray[np.int64]:
        """Positions in ascending cost, ties by (smaller a, smaller b)."""
        return np.lexsort((self.b, self.a, self.cost))


# From edges, c and m: the first m of them that are joined, in order; fewer if they do not hold m.
Choice: TypeAlias = Callable[[Edges, int, int], Edges]


def spanning_forest(edges: Edges, c: int, m: int) -> Edges:
    """The first m edges that Kruskal's algorithm joins, in order (fewer if `edges` do not hold m)."""
    order = edges.order()
    # Ranks instead of costs: distinct, so the spanning forest is unique, and never zero, which a
    # sparse graph would read as "no edge".
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(1, len(order) + 1)
    graph = coo_array((rank.astype(np.float64), (edges.a, edges.b)), shape=(c, c)).tocsr()
    forest = minimum_spanning_tree(graph)
    return edges.at(order[np.sort(forest.data.astype(np.int64))[:m] - 1])


def lightest_joins(cost: Float[Tensor, "c c"], m: int, choose: Choice = spanning_forest) -> JoinedPairs:
    """The m joins of D; only its upper triangle is read. choose: which of the lightest edges are joined.

    Pairs that cost +inf are never joined. Raises ValueError when the finite costs do not connect
    enough classes for m joins.
    """
    wanted = _CANDIDATES_PER_JOIN * m
    while True:
        edges, complete = _lightest_edges(cost, wanted)
        joins = choose(edges, len(cost), m)
        if len(joins.a) == m:
            return joins.a, joins.b
        if complete:
            raise too_few_joins(len(joins.a), m)
        wanted *= 4


def too_few_joins(made: int, m: int) -> ValueError:
    """Says that costs are infinite before all joins are made."""
    return ValueError(f"only {made} of m = {m} joins are possible: the other costs are infinite")


def edges_where(
    mask: Bool[Tensor, "k w"], cost: Float[Tensor, "k w"], first_row: int, first_column: int
) -> Edges:
    """The pairs of a mask over a block of D with a < b; the block's corner is D[first_row, first_column]."""
    row, column = np.divmod(_flatnonzero(mask), mask.shape[1])
    a, b = row + first_row, column + first_column
    upper = a < b
    of_pairs = cost[torch.from_numpy(row[upper]), torch.from_numpy(column[upper])]
    return Edges(a[upper], b[upper], of_pairs.cpu().numpy())


def concatenated(parts: list[Edges]) -> Edges:
    """All edges of the parts, one part after the other."""
    return Edges(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _lightest_edges(cost: Float[Tensor, "c c"], wanted: int) -> tuple[Edges, bool]:
    """The first pairs a < b in the order (cost, a, b), about `wanted` or more; and whether that is all.

    A threshold taken from a sample of the costs selects them in one pass over the matrix, instead of
    sorting all c² entries. Of the pairs that tie with the threshold only the first `wanted` are
    taken, which keeps identical features (all costs equal) from selecting everything.
    """
    c = len(cost)
    every_finite = torch.finfo(cost.dtype).max
    if 4 * wanted >= c * (c - 1) // 2:
        return _edges_up_to(cost, every_finite, ties=c * c), True
    flat = cost.reshape(-1)
    stride = max(1, len(flat) // _SAMPLE) | 1
    sample = flat[::stride].sort().values
    threshold = float(sample[int(2.0 * wanted / c**2 * (len(sample) - 1)) + 1])
    if threshold == torch.inf:
        return _edges_up_to(cost, every_finite, ties=c * c), True
    return _edges_up_to(cost, threshold, ties=wanted), False


def _edges_up_to(cost: Float[Tensor, "c c"], threshold: float, ties: int) -> Edges:
    """Pairs a < b that cost less than `threshold`, and the first `ties` of those that cost as much."""
    found: list[Edges] = []
    for start in range(0, len(cost), _ROWS):
        rows = cost[start : start + _ROWS, start:]
        edges = edges_where(rows <= threshold, rows, start, start)
        tied = edges.cost == threshold
        kept = ~tied | (tied.cumsum() <= ties)
        ties -= int((tied & kept).sum())
        found.append(edges.at(kept))
    return concatenated(found)


def _flatnonzero(mask: Bool[Tensor, "k w"]) -> NDArray[np.int64]:
    """Positions of True in the flattened mask."""
    # On the CPU NumPy skips over runs of False ten times faster than torch.nonzero.
    if mask.device.type == "cpu":
        return np.flatnonzero(mask.numpy())
    return torch.nonzero(mask.flatten()).flatten().cpu().numpy()

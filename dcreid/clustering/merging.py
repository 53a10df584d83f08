"""The merge criterion, Eq (7), and the merge of m classes (Algorithm 1, lines 4 and 5).

    D = d_ab + λ1 (d_a + d_b) + λ2 (|a| + |b|)

Two ways to merge m classes. `merge` reads one D: pairs are taken in ascending D, ties by (smaller
a, smaller b), and joined if they are still in different classes, until m joins are made. That is
Kruskal's algorithm stopped after m edges, so the joins are the m lightest edges of the minimum
spanning forest, which SciPy finds in compiled code. `merge_exact` recomputes D for the new class
after every join; class sums only add up, so a join costs O(c). Either can tell of every join, with
the terms of D that it was made by, to `dcreid/evaluation/joins.py`.

Differs from the public code of this family: λ1 and λ2 act (there the penalised matrix is computed
and the plain one used), and ties do not depend on how the sort is implemented.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from torch import Tensor

from dcreid.clustering.agglomeration import Agglomeration
from dcreid.clustering.dispersion import Parts, class_sums, intra_dispersion

# Kruskal needs few edges beyond the m it keeps; candidates are drawn this many times m at first.
_CANDIDATES_PER_JOIN = 8
# Costs sampled for the threshold, and rows compared with it at a time.
_SAMPLE = 1 << 18
_ROWS = 512
# Numbers that a core's cache holds beside other things.
_CACHED = 1 << 17

# first (k,), second (k,), weight (k,)
Edges: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.floating]]
# Told of a join before it is made: classes a and b, and the terms of D of any class with all others.
OnJoin: TypeAlias = Callable[[int, int, Callable[[int], Parts]], None]


@dataclass(frozen=True)
class Costs:
    """Eq (7) for every pair of classes, in ascending order of label, and what it is made of."""

    total: Float[Tensor, "c c"]  # D, +inf on the diagonal
    dispersion: Float[Tensor, " c"]  # d_a
    sizes: Int[Tensor, " c"]  # |a|
    lambda1: float
    lambda2: float

    def parts(self, a: int) -> Parts:
        """Terms of Eq (7) of class a with every class; d_ab up to D's rounding, infinite for a itself."""
        dispersion, sizes = self._apart
        intra, size = dispersion[a] + dispersion, sizes[a] + sizes
        total = self.total[a].cpu().numpy().astype(np.float64)
        return Parts(total - self.lambda1 * intra - self.lambda2 * size, intra, size)

    @cached_property
    def _apart(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self.dispersion.cpu().numpy().astype(np.float64), self.sizes.cpu().numpy().astype(np.float64)


def merge_costs(
    distances: Float[Tensor, "n n"],
    labels: Int[Tensor, " n"],
    lambda1: float,
    lambda2: float,
    intra: str = "samples",
) -> Costs:
    """Eq (7) for every pair of classes.

    distances: symmetric with zero diagonal. intra: how Eq (3) averages, see `intra_dispersion`.
    """
    sums, sizes = class_sums(distances, labels)
    count, dispersion = sizes.to(sums.dtype), intra_dispersion(sums, sizes, intra)
    penalty = lambda1 * dispersion + lambda2 * count  # splits over a and b
    # A few rows at a time stay in the cache for all four steps.
    k = max(1, _CACHED // len(count))
    for rows, n_a, penalty_a in zip(*(torch.split(x, k) for x in (sums, count, penalty)), strict=True):
        rows.div_(n_a[:, None]).div_(count)  # d_ab, Eq (4)
        rows.add_(penalty_a[:, None]).add_(penalty)
    return Costs(sums.fill_diagonal_(torch.inf), dispersion, sizes, lambda1, lambda2)


def merge_cost(
    distances: Float[Tensor, "n n"],
    labels: Int[Tensor, " n"],
    lambda1: float,
    lambda2: float,
    intra: str = "samples",
) -> Float[Tensor, "c c"]:
    """D of `merge_costs` alone."""
    return merge_costs(distances, labels, lambda1, lambda2, intra).total


def merge(labels: Int[Tensor, " n"], cost: Float[Tensor, "c c"], m: int) -> Int[Tensor, " n"]:
    """Joins exactly m times and returns labels 0 … C-m-1 in order of each class's first tracklet.

    cost[a, b] belongs to the a-th and b-th smallest label; only its upper triangle is read.
    Pairs that cost +inf are never joined. Raises ValueError unless 0 <= m < C, for NaN, and when the
    finite costs do not connect enough classes for m joins.
    """
    classes, index = torch.unique(labels, return_inverse=True)
    c = len(classes)
    if cost.shape != (c, c):
        raise ValueError(f"cost has shape {tuple(cost.shape)} but labels hold {c} classes")
    return apply_joins(index, c, *find_joins(cost, m))


def find_joins(cost: Float[Tensor, "c c"], m: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Classes a (m,) and b (m,), a < b, of the m joins of `merge`, in the order in which they are made."""
    c = len(cost)
    check_joins(m, c)
    if m == 0:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    if not bool(cost.min() > -torch.inf):  # NaN compares false
        raise ValueError("cost holds NaN: the features it comes from are not finite")
    wanted = _CANDIDATES_PER_JOIN * m
    while True:
        edges, complete = _lightest_edges(cost, wanted)
        joins = lightest_joins(edges, c, m)
        if len(joins) == m:
            return edges[0][joins], edges[1][joins]
        if complete:
            raise ValueError(f"only {len(joins)} of m = {m} joins are possible: the other costs are infinite")
        wanted *= 4


def merge_exact(
    distances: Float[Tensor, "n n"],
    labels: Int[Tensor, " n"],
    m: int,
    lambda1: float,
    lambda2: float,
    intra: str = "samples",
    on_join: OnJoin | None = None,
) -> Int[Tensor, " n"]:
    """Like `merge`, but D is recomputed for the class that each join makes. Runs on the CPU.

    on_join hears of every join; the class that a and b become goes by a.
    """
    _, index = torch.unique(labels, return_inverse=True)
    sums, sizes = class_sums(distances, labels)
    check_joins(m, len(sizes))
    classes = Agglomeration(sums.cpu(), sizes.cpu(), lambda1, lambda2, intra)
    target = np.arange(len(sizes))
    for _ in range(m):
        kept, gone = classes.nearest_pair()
        if on_join is not None:
            on_join(kept, gone, classes.parts)
        classes.join(kept, gone)
        target[target == gone] = kept
    return in_order_of_first(torch.from_numpy(target).to(index)[index])


def check_joins(m: int, c: int) -> None:
    """Raises ValueError unless m joins leave a class."""
    if not 0 <= m < c:
        raise ValueError(f"m = {m}: must be at least 0 and less than the number of classes, {c}")


def apply_joins(
    index: Int[Tensor, " n"], c: int, first: NDArray[np.int64], second: NDArray[np.int64]
) -> Int[Tensor, " n"]:
    """Labels after joining class first[k] with second[k] for every k, in order of first tracklet."""
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(c, c))
    _, component = connected_components(graph, directed=False)
    return in_order_of_first(torch.from_numpy(component).to(index)[index])


def _lightest_edges(cost: Float[Tensor, "c c"], wanted: int) -> tuple[Edges, bool]:
    """The first pairs a < b in the order (cost, a, b), about `wanted` or more; and whether that is all.

    A threshold taken from a sample of the costs picks them in one pass over the matrix, instead of
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
        first, second = np.divmod(flatnonzero(rows <= threshold), rows.shape[1])
        upper = first < second
        first, second = first[upper], second[upper]
        weight = rows[torch.from_numpy(first), torch.from_numpy(second)].cpu().numpy()
        tied = weight == threshold
        kept = ~tied | (tied.cumsum() <= ties)
        ties -= int((tied & kept).sum())
        found.append((first[kept] + start, second[kept] + start, weight[kept]))
    first, second, weight = (np.concatenate(part) for part in zip(*found, strict=True))
    return first, second, weight


def flatnonzero(mask: Bool[Tensor, "k c"]) -> NDArray[np.int64]:
    """Positions of True in the flattened mask."""
    # On the CPU NumPy skips over runs of False ten times faster than torch.nonzero.
    if mask.device.type == "cpu":
        return np.flatnonzero(mask.numpy())
    return torch.nonzero(mask.flatten()).flatten().cpu().numpy()


def lightest_joins(edges: Edges, c: int, m: int) -> NDArray[np.int64]:
    """Positions in `edges` of the first m joins (fewer if the edges do not hold m)."""
    first, second, weight = edges
    order = np.lexsort((second, first, weight))
    # Ranks instead of costs: distinct, so the spanning forest is unique, and never zero, which a
    # sparse graph would read as "no edge".
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(1, len(order) + 1)
    graph = coo_array((rank.astype(np.float64), (first, second)), shape=(c, c)).tocsr()
    forest = minimum_spanning_tree(graph)
    return order[np.sort(forest.data.astype(np.int64))[:m] - 1]


def in_order_of_first(index: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
    """Renames classes 0, 1, … in order of their first tracklet."""
    _, index = torch.unique(index, return_inverse=True)
    n = len(index)
    position = torch.arange(n, device=index.device)
    first = torch.full((int(index.max()) + 1,), n, device=index.device)
    first.scatter_reduce_(0, index, position, "amin")
    rank = torch.empty_like(first)
    rank[first.argsort()] = torch.arange(len(first), device=index.device)
    return rank[index]

"""Method `once` without the (n, n) distances: for more tracklets than a matrix has room for.

100,000 tracklets have 40 GB of distances, but m joins need only the m lightest edges of the spanning
forest. Costs are made a few rows of classes at a time; an edge is kept while it can
still be among those m:

    an edge that closes a cycle of lighter ones is never joined, whatever edges come later;
    an edge heavier than the m-th join found so far is never joined, since more edges only make the
    m-th join lighter;
    rows come in ascending order, so an edge that ties with the m-th join comes after it.

So nothing is left out, and the joins are those of the whole matrix (`kruskal.lightest_joins`), up to
the rounding of sums taken in another order. It takes half the products of the full matrix, a few
hundred MB beside two copies of the features, and no more when all costs are equal.

Squared distances need less: their class sums follow from the classes' summed features,
    S[a, b] = n_b Σ_a |x|² + n_a Σ_b |x|² − 2 (Σ_a x)·(Σ_b x),
so c² products take the place of n².

Method `exact` has no counterpart here: it needs all c² class sums at once.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dcreid.clustering.criterion import OnJoin, PairTerms, penalties, turn_into_costs
from dcreid.clustering.dispersion import intra_dispersion
from dcreid.clustering.distances import cross_distances
from dcreid.clustering.kruskal import Edges, JoinedPairs, concatenated, edges_where, spanning_forest
from dcreid.precision import full_float32

# Tracklets whose distances to all others are held at once, and rows of costs searched at once.
_ROWS = 1024
_SEARCHED = 64
# Edges gathered before the forest is taken, and classes whose costs are drawn for the first limit.
_EDGES = 1 << 21
_SAMPLED = 64
_CANDIDATES_PER_JOIN = 64


def blocked_joins(
    features: Float[Tensor, "n d"],
    labels: Int[Tensor, " n"],
    m: int,
    lambda1: float,
    lambda2: float,
    intra: str,
    *,
    squared: bool = False,
    on_join: OnJoin | None = None,
) -> JoinedPairs:
    """The m > 0 joins of one D, from features; `on_join` gets the terms of the pair and None."""
    _, index, sizes = torch.unique(labels, return_inverse=True, return_counts=True)
    classes = (_SquaredClasses if squared else _EuclideanClasses)(features, index, sizes)
    dispersion = intra_dispersion(classes.intra_sums(), sizes, intra)
    costs = _CostRows(classes, sizes, dispersion, lambda1, lambda2)
    wanted = max(_EDGES // 8, _CANDIDATES_PER_JOIN * m)
    while True:
        limit = costs.limit(wanted)
        forest = _Forest(len(sizes), m, limit)
        for start, rows in costs.rows():
            forest.add(start, rows)
        joins = forest.joins()
        if len(joins.a) == m or limit == np.inf:
            break
        wanted *= 16
    if on_join is not None:
        for a, b in zip(joins.a.tolist(), joins.b.tolist(), strict=True):
            on_join(a, b, costs.terms(a, b), None)
    return joins.a, joins.b


class _EuclideanClasses:
    """Sums of Euclidean distances between classes; tracklets lie sorted by class."""

    def __init__(self, features: Float[Tensor, "n d"], index: Int[Tensor, " n"], sizes: Int[Tensor, " c"]):
        order = index.argsort(stable=True)
        self.features, self.index = features[order], index[order]
        self.norms = torch.cat([rows.square().sum(dim=1) for rows in torch.split(self.features, _ROWS)])
        self.offsets = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)]).cpu().numpy()

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Runs of classes [start, stop) with at most _ROWS tracklets, or one class."""
        start, c = 0, len(self.offsets) - 1
        while start < c:
            fits = int(np.searchsorted(self.offsets, self.offsets[start] + _ROWS, side="right")) - 1
            stop = min(c, max(start + 1, fits))
            yield start, stop
            start = stop

    def intra_sums(self) -> Float[Tensor, " c"]:
        """S[a, a] of every class (c,)."""
        sums = self.features.new_zeros(len(self.offsets) - 1)
        for start, stop in self.blocks():
            first, last = int(self.offsets[start]), int(self.offsets[stop])
            columns = torch.arange(first, last, device=sums.device)
            for rows in torch.split(columns, _ROWS):
                inside = self._distances(int(rows[0]), int(rows[-1]) + 1, first, last)
                other = self.index[rows, None] != self.index[None, first:last]
                inside.masked_fill_(other | (rows[:, None] == columns[None, :]), 0.0)
                sums.index_add_(0, self.index[rows], inside.sum(dim=1))
        return sums

    def pair_sum(self, a: int, b: int) -> float:
        """S[a, b] of two classes, from their members alone."""
        (low, high), (first, last) = self.offsets[a : a + 2].tolist(), self.offsets[b : b + 2].tolist()
        total = 0.0
        for start in range(low, high, _ROWS):
            block = self._distances(start, min(start + _ROWS, high), first, last)
            total += float(block.sum(dtype=torch.float64))
        return total

    def sums(self, start: int, stop: int) -> Float[Tensor, "k b"]:
        """S[a, b] for a in [start, stop) and b from start on."""
        first, last = int(self.offsets[start]), int(self.offsets[stop])
        columns = self.index[first:] - start
        if len(columns) == len(self.offsets) - 1 - start:  # one tracklet per class from here on
            return self._distances(first, last, first, len(self.index))
        sums = self.features.new_zeros(stop - start, len(self.offsets) - 1 - start)
        for low in range(first, last, _ROWS):
            high = min(low + _ROWS, last)
            by_class = self._distances(low, high, first, len(self.index))
            by_class = sums.new_zeros(high - low, sums.shape[1]).index_add_(1, columns, by_class)
            sums.index_add_(0, columns[low - first : high - first], by_class)
        return sums

    def _distances(self, low: int, high: int, first: int, last: int) -> Float[Tensor, "k b"]:
        """From the tracklets [low, high) to [first, last)."""
        norms = self.norms[low:high], self.norms[first:last]
        return cross_distances(self.features[low:high], self.features[first:last], norms=norms)


class _SquaredClasses:
    """Sums of squared distances between classes, from the classes' summed features."""

    def __init__(self, features: Float[Tensor, "n d"], index: Int[Tensor, " n"], sizes: Int[Tensor, " c"]):
        c = len(sizes)
        self.sizes = sizes.to(features.dtype)
        self.totals = features.new_zeros(c, features.shape[1]).index_add_(0, index, features)
        self.norms = features.new_zeros(c).index_add_(0, index, features.square().sum(dim=1))

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Runs of _ROWS classes."""
        for start in range(0, len(self.sizes), _ROWS):
            yield start, min(start + _ROWS, len(self.sizes))

    def intra_sums(self) -> Float[Tensor, " c"]:
        """S[a, a] of every class (c,)."""
        inside = 2.0 * (self.sizes * self.norms - self.totals.square().sum(dim=1))
        return torch.where(self.sizes > 1, inside.clamp(min=0.0), 0.0)

    def pair_sum(self, a: int, b: int) -> float:
        """S[a, b] of two classes, from their members alone."""
        (n_a, n_b), (norm_a, norm_b) = self.sizes[[a, b]].tolist(), self.norms[[a, b]].tolist()
        product = float(self.totals[a].double() @ self.totals[b].double())
        return float(max(0.0, n_b * norm_a + n_a * norm_b - 2.0 * product))

    def sums(self, start: int, stop: int) -> Float[Tensor, "k b"]:
        """S[a, b] for a in [start, stop) and b from start on."""
        sums = self.norms[start:stop, None] * self.sizes[None, start:]
        sums.addcmul_(self.sizes[start:stop, None], self.norms[None, start:])
        with full_float32(sums.device):
            return sums.addmm_(self.totals[start:stop], self.totals[start:].T, alpha=-2.0).clamp_(min=0.0)


class _CostRows:
    """D, a few rows at a time."""

    def __init__(
        self,
        classes: _EuclideanClasses | _SquaredClasses,
        sizes: Int[Tensor, " c"],
        dispersion: Float[Tensor, " c"],
        lambda1: float,
        lambda2: float,
    ):
        self.classes, self.dispersion = classes, dispersion
        self.count = sizes.to(dispersion.dtype)
        self.penalty = penalties(dispersion, self.count, lambda1, lambda2)

    def rows(self) -> Iterator[tuple[int, Float[Tensor, "k b"]]]:
        """First class a of a block, and D[a, b] for the block's classes and b from a on."""
        for start, stop in self.classes.blocks():
            yield start, self._costs(start, stop)

    def limit(self, wanted: int) -> float:
        """A cost that about `wanted` pairs stay below, from a sample of the classes."""
        c = len(self.count)
        if 4 * wanted >= c * (c - 1) // 2:
            return float(np.inf)
        starts = range(0, c, max(1, c // _SAMPLED))
        drawn = torch.cat([self._costs(start, start + 1).flatten()[1:] for start in starts])
        place = int(2.0 * wanted / c**2 * len(drawn)) + 1
        return float(drawn.kthvalue(min(place, len(drawn))).values)

    def terms(self, a: int, b: int) -> PairTerms:
        """The terms of D of one pair."""
        d_a, d_b, n_a, n_b = (float(x[i]) for x in (self.dispersion, self.count) for i in (a, b))
        return PairTerms(self.classes.pair_sum(a, b) / n_a / n_b, d_a + d_b, n_a + n_b)

    def _costs(self, start: int, stop: int) -> Float[Tensor, "k b"]:
        cost, count, penalty = self.classes.sums(start, stop), self.count, self.penalty
        turn_into_costs(cost, (count[start:stop], count[start:]), (penalty[start:stop], penalty[start:]))
        return cost


class _Forest:
    """The m lightest joins among the edges seen so far; rows must come in ascending order."""

    def __init__(self, c: int, m: int, limit: float):
        self.c, self.m, self.limit = c, m, limit
        self.complete = False  # m joins are known, and `limit` is the cost of the m-th
        self.edges: list[Edges] = []

    def add(self, start: int, cost: Float[Tensor, "k b"]) -> None:
        """Takes D[a, b] of the classes a = start, … and b = start, …; b <= a is ignored."""
        for top in range(0, len(cost), _SEARCHED):
            rows = cost[top : top + _SEARCHED]
            light = rows < self.limit if self.complete else rows <= self.limit
            self.edges.append(edges_where(light, rows, start + top, start))
            if sum(len(edges.a) for edges in self.edges) > max(_EDGES, 4 * self.m):
                self.joins()

    def joins(self) -> Edges:
        """The joins among all edges so far: m, or fewer while those seen hold no more."""
        joins = spanning_forest(concatenated(self.edges), self.c, self.m)
        self.edges = [joins]
        if len(joins.a) == self.m:
            self.complete, self.limit = True, float(joins.cost[-1])
        return joins

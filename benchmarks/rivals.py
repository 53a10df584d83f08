"""The same work as others do it: the loops of public re-identification code, written from their description.

Only the way of working is theirs (a Python loop per pair, a sort of everything, a label list
rewritten per join, one query at a time); the arithmetic is the library's own, so results can be compared.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

_FAR = 100_000.0


def buc_merge(distances: NDArray[np.float32], labels: list[int], m: int, size_weight: float) -> list[int]:
    """BUC: every pair of tracklets is looked at, all n² entries are sorted, each join rewrites all labels.

    Classes are as far apart as their nearest tracklets; with one tracklet per class, and but for
    ties, the m joins are the library's.
    """
    n = len(labels)
    sizes = np.bincount(labels)[labels].astype(np.float32)
    cost = distances + np.tril(np.full((n, n), _FAR, dtype=np.float32))
    cost += size_weight * (sizes[:, None] + sizes[None, :])
    for i in range(n):
        for j in range(i + 1, n):
            if labels[i] == labels[j]:
                cost[i, j] = _FAR
    first, second = np.unravel_index(np.argsort(cost, axis=None), cost.shape)
    return _join(labels, first, second, m)


def dbc_costs(
    distances: NDArray[np.float32],
    labels: NDArray[np.int64],
    lambda1: float,
    lambda2: float,
    rows: NDArray[np.int64],
) -> NDArray[np.float64]:
    """DBC: Eq (7) as a double loop over classes, with the mean of a block of distances per pair.

    Only the given rows (k, c) and only b > a; the rest is +inf.
    """
    classes = np.unique(labels)
    members = [np.flatnonzero(labels == c) for c in classes]
    inside = [distances[np.ix_(own, own)].sum() / len(own) for own in members]
    cost = np.full((len(rows), len(classes)), np.inf)
    for k, a in enumerate(rows):
        for b in range(a + 1, len(classes)):
            between = distances[np.ix_(members[a], members[b])].mean()
            spread = lambda1 * (inside[a] + inside[b])
            cost[k, b] = between + spread + lambda2 * (len(members[a]) + len(members[b]))
    return cost


def dbc_merge(cost: NDArray[np.floating], labels: list[int], m: int) -> list[int]:
    """What follows DBC's costs: all c² entries are sorted; a pair is passed over if a class of it is gone."""
    classes = np.unique(labels)
    members = {c: np.flatnonzero(labels == c).tolist() for c in classes}
    first, second = np.unravel_index(np.argsort(cost, axis=None), cost.shape)
    for a, b in zip(classes[first], classes[second], strict=True):
        if a in members and b in members:
            members[a] += members.pop(b)
            if len(members) == len(classes) - m:
                break
    merged = np.empty(len(labels), dtype=np.int64)
    for c, own in members.items():
        merged[own] = c
    return merged.tolist()


def recomputed_joins(
    distances: NDArray[np.float32], joins: int, lambda1: float, lambda2: float
) -> tuple[list[tuple[int, int]], list[float]]:
    """Joins of single tracklets with all of Eq (7) computed anew before each; and the seconds of each.

    Classes that are joined are cut out of the matrix. A pair is named by the first tracklets of its classes.
    """
    sums, sizes, first = (
        distances.copy(),
        np.ones(len(distances), dtype=np.float32),
        np.arange(len(distances)),
    )
    found, seconds = [], []
    for _ in range(joins):
        start = time.perf_counter()
        penalty = lambda1 * sums.diagonal() / sizes + lambda2 * sizes
        cost = sums / sizes[:, None] / sizes + penalty[:, None] + penalty
        cost[np.tril_indices(len(cost))] = np.inf
        a, b = np.unravel_index(cost.argmin(), cost.shape)
        found.append((int(first[a]), int(first[b])))
        sums[a] += sums[b]
        sums[:, a] += sums[:, b]
        sums = np.delete(np.delete(sums, b, axis=0), b, axis=1)
        sizes[a] += sizes[b]
        sizes, first = np.delete(sizes, b), np.delete(first, b)
        seconds.append(time.perf_counter() - start)
    return found, seconds


def _join(labels: list[int], first: NDArray[np.int64], second: NDArray[np.int64], m: int) -> list[int]:
    joined = 0
    for i, j in zip(first, second, strict=True):
        kept, gone = sorted((labels[i], labels[j]))
        if kept == gone:
            continue
        labels = [kept if label == gone else label for label in labels]
        joined += 1
        if joined == m:
            break
    return labels


def evaluate_per_query(
    distances: NDArray[np.floating],
    q_ids: NDArray[np.int64],
    g_ids: NDArray[np.int64],
    q_cams: NDArray[np.int64],
    g_cams: NDArray[np.int64],
) -> dict[str, float]:
    """Retrieval as the usual evaluators do it: all rows sorted by argsort, then one query at a time.

    The trapezoid is MARS's compute_AP, a Python loop over the gallery.
    """
    order = np.argsort(distances, axis=1, kind="stable")
    found, precisions, areas = [], [], []
    for q in range(len(q_ids)):
        ids, cams = g_ids[order[q]], g_cams[order[q]]
        keep = ~((ids == q_ids[q]) & (cams == q_cams[q])) & (ids != -1)
        right = (ids[keep] == q_ids[q]) & (q_ids[q] > 0)
        if not right.any():
            continue
        ranks = np.flatnonzero(right) + 1
        found.append(ranks[0])
        precisions.append(np.mean(np.arange(1, len(ranks) + 1) / ranks))
        areas.append(_compute_ap(right))
    best = np.array(found)
    cmc = {f"rank{k}": float(np.mean(best <= k)) for k in (1, 5, 10, 20)}
    return cmc | {"mAP": float(np.mean(precisions)), "mAP_trapezoid": float(np.mean(areas))}


def _compute_ap(right: NDArray[np.bool_]) -> float:
    total, good, area, old_recall, old_precision = int(right.sum()), 0, 0.0, 0.0, 1.0
    for place, hit in enumerate(right.tolist(), start=1):
        good += hit
        recall, precision = good / total, good / place
        area += (recall - old_recall) * (old_precision + precision) / 2
        old_recall, old_precision = recall, precision
        if good == total:
            break
    return area


def rerank_by_rows(squares: NDArray[np.float32], k1: int, k2: int) -> NDArray[np.float32]:
    """Jaccard distances of k-reciprocal neighbours: everything is sorted, then one row at a time.

    Each row looks its neighbours up with NumPy, weights are (n, n) arrays, and minima are summed
    column by column over the rows that have an entry there.
    """
    n = len(squares)
    ranking = np.argsort(squares - 2.0 * np.eye(n, dtype=squares.dtype), axis=1)

    def reciprocal(i: int, k: int) -> NDArray[np.int64]:
        forward = ranking[i, : k + 1]
        return forward[(ranking[forward, : k + 1] == i).any(axis=1)]

    v = np.zeros((n, n), dtype=np.float32)
    for i in range(n):
        own = members = reciprocal(i, k1)
        for j in own:
            half = reciprocal(j, round(k1 / 2))
            if len(np.intersect1d(half, own)) > 2 / 3 * len(half):
                members = np.append(members, half)
        members = np.unique(members)
        weight = np.exp(-squares[i, members])
        v[i, members] = weight / weight.sum()
    if k2 > 1:
        v = np.stack([v[ranking[i, :k2]].mean(axis=0) for i in range(n)])
    having = [np.flatnonzero(v[:, j]) for j in range(n)]
    distances = np.empty((n, n), dtype=np.float32)
    for i in range(n):
        minima = np.zeros(n, dtype=np.float32)
        for j in np.flatnonzero(v[i]):
            minima[having[j]] += np.minimum(v[i, j], v[having[j], j])
        distances[i] = 1 - minima / (2 - minima)
    np.fill_diagonal(distances, 0.0)
    return distances

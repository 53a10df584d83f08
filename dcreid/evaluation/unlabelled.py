"""Scores of a run that need no identity: of the network's features, and of its classes.

None of them is a measure of accuracy; docs/selection.md says how well each chose among configurations and
merge steps of real people. Each names what it is blind to: a score that sees one way of failing is fooled by
another. "Half" and "third" are of a tracklet's frames in their order (`TrackletFeatures`); a tracklet of one
frame has neither: it is left out of `self_retrieval`, and is the same in both halves.

Shapes: n tracklets, d width of the features, c classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.special import gammaln
from torch import Tensor

from dcreid.clustering.agglomeration import exact_joins
from dcreid.clustering.cameras import camera_normalised
from dcreid.clustering.distances import pairwise_distances
from dcreid.clustering.merging import joined_labels
from dcreid.precision import full_float32

NEIGHBOURS = 5  # of camera_excess and confidence
TRACKLETS_PER_CLASS = (2, 4, 8)  # of the partitions that `stability` compares
MOST_TRACKLETS = 20_000  # that `stability` groups: it needs all distances at once, 1.6 GB of so many
_ROWS = 1024  # of a matrix of similarities at a time


@dataclass(frozen=True, kw_only=True)
class NetworkScores:
    """Scores of a network's features of the training tracklets; None where they cannot be taken."""

    self_retrieval: float | None = None
    stability: float | None = None
    camera_excess: float | None = None


@dataclass(frozen=True, kw_only=True)
class ClassScores:
    """Scores of the classes that a merge step has made; None where they cannot be taken."""

    join_reliability: float | None = None
    size_balance: float | None = None
    silhouette: float | None = None
    exclusivity: float | None = None
    same_camera: float | None = None


def combined(scores: Mapping[str, Any]) -> float | None:
    """The one score that a study maximises where nobody has labels (`--objective unlabelled`), in [0, 1].

    The product of `self_retrieval` and `stability`, which counts as 0 below that: whether a network tells
    tracklets apart, and whether it groups them alike from either half of their frames. A collapse has
    neither. None where either cannot be taken.
    """
    retrieved, stable = scores.get("self_retrieval"), scores.get("stability")
    return None if retrieved is None or stable is None else float(retrieved * max(0.0, stable))


def self_retrieval(
    first: Float[Tensor, "n d"], last: Float[Tensor, "n d"], cameras: Int[Tensor, " n"] | None
) -> float | None:
    """How high a tracklet's last third ranks for its first third, among those that its camera saw.

    The mean of 1 / rank, in (0, 1]; 1 = always on top. A gallery row that is as near counts as nearer, so
    that features that are all the same come out at the bottom. Rows are of length 1, or 0 where the tracklet
    has no thirds: it is left out. cameras: None = one gallery of all. None where no camera saw two tracklets;
    the only one of a camera is not counted.

    Blind to all that happens across cameras. Thirds that hardly differ make it 1 whatever the network.
    """
    total, count = 0.0, 0
    there = first.any(dim=1) & last.any(dim=1)
    for rows in _by_camera(there, cameras):
        if len(rows) < 2:
            continue
        count += len(rows)
        for part in _parts(rows):
            own = (first[part] * last[part]).sum(dim=1)
            # The own row does not compare with itself, which rounding may decide either way.
            nearer = (_products(first[part], last[rows]) >= own[:, None]) & (part[:, None] != rows)
            total += float((1 / (1 + nearer.sum(dim=1))).double().sum())
    return total / count if count else None


def camera_excess(
    features: Float[Tensor, "n d"], cameras: Int[Tensor, " n"], k: int = NEIGHBOURS
) -> float | None:
    """How much more often than by chance the nearest tracklets are of the same camera; lower is better.

    The mean of (p - e) / (1 - e): p the share of a tracklet's k nearest that its own camera saw, e that share
    of all others. 1 = nothing but its own camera; 0 = as by chance, which random features have too. None
    with one camera, or with no k others.

    Blind to persons: never to be read alone.
    """
    n, cameras = len(features), cameras.to(features.device)
    _, own, counts = torch.unique(cameras, return_inverse=True, return_counts=True)
    if n <= k or len(counts) == 1:
        return None
    chance = ((counts - 1).double() / (n - 1))[own]
    shares = []
    for part in _parts(torch.arange(n, device=features.device)):
        nearest = _nearest(features, part, k)
        shares.append((own[nearest] == own[part, None]).double().mean(dim=1))
    return float(((torch.cat(shares) - chance) / (1 - chance)).mean())


def confidence(
    features: Float[Tensor, "n d"], labels: Int[Tensor, " n"], k: int = NEIGHBOURS
) -> Float[Tensor, " n"]:
    """The share of each tracklet's k nearest others that are in its class, on the CPU; of all where fewer.

    Of a tracklet, not of a partition: whose place in its class the features speak for. At most (c - 1) / k in
    a class of c; 0 in classes of one. features: of length 1, of the network that the classes were made with.
    """
    n, labels = len(features), labels.to(features.device)
    k = min(k, n - 1)
    found = [
        (labels[_nearest(features, part, k)] == labels[part, None]).float().mean(dim=1)
        for part in _parts(torch.arange(n, device=features.device))
    ]
    return torch.cat(found).cpu()


def exclusivity(
    labels: Int[ndarray, " n"], cameras: Int[ndarray, " n"], times: Int[ndarray, "n 2"]
) -> float | None:
    """Pairs in one class that one camera saw at one time, who are two people; lower is better.

    Their share of all pairs in one class, over the same share of all pairs whatever their class: 0 = none,
    1 = as many as classes of these sizes have by chance. times: first and last frame of each tracklet, on
    a clock of its camera. None where no two tracklets of a camera overlap, or no class has two tracklets.

    Blind to all mistakes but merging too far, and to those across cameras.
    """
    n, together, overlaps, wrong = len(labels), 0, 0, 0
    for camera in np.unique(cameras):
        rows = np.flatnonzero(cameras == camera)
        begin, end = times[rows].T
        both = np.triu((begin[:, None] <= end) & (begin <= end[:, None]), 1)
        overlaps += int(both.sum())
        wrong += int((both & (labels[rows][:, None] == labels[rows])).sum())
    sizes = np.bincount(labels)
    together = int((sizes * (sizes - 1)).sum()) // 2
    if not together or not overlaps:
        return None
    return (wrong / together) / (overlaps / (n * (n - 1) / 2))


def same_camera(labels: Int[ndarray, " n"], cameras: Int[ndarray, " n"]) -> float | None:
    """Of all pairs of tracklets in one class the share that one camera saw, in [0, 1]; None without any pair.

    Near 1 classes follow cameras rather than people. What is right depends on how often one camera sees a
    person again: this describes classes, and chooses nothing.
    """
    by_camera = labels.astype(np.int64) * (int(cameras.max()) + 1) + cameras
    together, within = (
        int((counts * (counts - 1)).sum())
        for counts in (np.unique(names, return_counts=True)[1] for names in (labels, by_camera))
    )
    return within / together if together else None


def stability(halves: Float[Tensor, "2 n d"], cameras: Int[Tensor, " n"] | None) -> float | None:
    """How alike tracklets are grouped from either half of their frames: 1 = the same, about 0 = by chance.

    The mean of `agreement` over partitions into n/2, n/4 and n/8 classes, made from single tracklets by
    average linkage on Euclidean distances of the features, normalised per camera where cameras are known:
    the same for every configuration, however that merges. halves: of length 1, in an order that says nothing:
    the first MOST_TRACKLETS stand for all. None of fewer than eight tracklets.

    Blind to mistakes that both halves make: of pose, and of what all tracklets of a place show.
    """
    if halves.shape[1] < max(TRACKLETS_PER_CLASS):
        return None
    halves = halves[:, :MOST_TRACKLETS]
    cameras = None if cameras is None else cameras[:MOST_TRACKLETS]
    one, other = (_cuts(half if cameras is None else camera_normalised(half, cameras)) for half in halves)
    return float(np.mean([agreement(a, b) for a, b in zip(one, other, strict=True)]))


def _cuts(features: Float[Tensor, "n d"]) -> list[Int[ndarray, " n"]]:
    """Partitions with so many tracklets a class, cut from one agglomeration."""
    n = len(features)
    singles, joins = torch.arange(n), [n - n // size for size in TRACKLETS_PER_CLASS]
    first, second = exact_joins(pairwise_distances(features), singles, max(joins), 0.0, 0.0, "samples")
    return [joined_labels(singles, first[:m], second[:m]).numpy() for m in joins]


def agreement(one: Int[ndarray, " n"], other: Int[ndarray, " n"]) -> float:
    """Adjusted mutual information of two partitions: 1 = the same, about 0 or below = by chance.

    Normalised by the mean of both entropies (Vinh et al., 2010).
    """
    table = _contingency(one, other)
    a, b, n = _sums(table, 0), _sums(table, 1), len(one)
    h_a, h_b = _entropy(a, n), _entropy(b, n)
    if min(len(a), len(b)) == 1 or len(a) == len(b) == n:  # nothing to agree on
        return 1.0 if len(a) == len(b) else 0.0
    information = h_a + h_b - _entropy(table[:, 2], n)
    expected = _expected_information(a, b, n)
    most = (h_a + h_b) / 2
    return float((information - expected) / max(most - expected, np.finfo(float).eps))


def join_reliability(
    before: Int[ndarray, " n"], one: Int[ndarray, " n"], other: Int[ndarray, " n"]
) -> float | None:
    """Of the joins that either half of the frames would make, the share that both make: in [0, 1].

    Joins are pairs of the classes `before` that end in one class. None where nothing is joined.

    Blind to what was joined before, and to mistakes that both halves make.
    """
    _, first = np.unique(before, return_index=True)  # one tracklet stands for its class

    def pairs(counts: Int[ndarray, " k"]) -> int:
        return int((counts * (counts - 1)).sum()) // 2

    table = _contingency(one[first], other[first])
    both, a, b = pairs(table[:, 2]), pairs(_sums(table, 0)), pairs(_sums(table, 1))
    return both / (a + b - both) if a + b else None


def size_balance(sizes: Int[ndarray, " c"]) -> float:
    """Entropy of the class sizes as a share of its most, ln c: 1 = all of one size; 0 = one class for all.

    Blind to who is in a class: any partition into equal parts has 1.
    """
    shares = sizes / sizes.sum()
    return float(-(shares * np.log(shares)).sum() / math.log(len(sizes))) if len(sizes) > 1 else 0.0


def silhouette(features: Float[Tensor, "n d"], labels: Int[Tensor, " n"]) -> float | None:
    """How much nearer tracklets are to their own class than to the next one, in features of another network.

    The mean of (b - a) / max(a, b): a the mean squared distance to the others of its class, b the smallest
    mean squared distance to another class; 0 in classes of one. In [-1, 1], higher is better. features: of
    length 1, of the network before training (in a network's own features every partition that it was trained
    on looks good). None with one class, or one for each tracklet.

    Blind to what the untrained network does not see.
    """
    n, labels = len(features), labels.to(features.device)
    sizes = torch.bincount(labels).to(features.dtype)
    c = len(sizes)
    if not 1 < c < n:
        return None
    squares = features.square().sum(dim=1)
    sums = features.new_zeros(c, features.shape[1]).index_add_(0, labels, features)
    of_class = features.new_zeros(c).index_add_(0, labels, squares)
    total = 0.0
    for part in _parts(torch.arange(n, device=features.device)):
        to_all = squares[part, None] * sizes + of_class - 2 * _products(features[part], sums)
        rows, own = torch.arange(len(part), device=part.device), labels[part]
        inner = to_all[rows, own] / (sizes[own] - 1).clamp(min=1)
        to_all /= sizes
        to_all[rows, own] = torch.inf
        outer = to_all.min(dim=1).values
        worth = (outer - inner) / torch.maximum(outer, inner).clamp(min=1e-12)
        total += float(worth.where(sizes[own] > 1, 0.0).double().sum())
    return total / n


def _by_camera(there: Tensor, cameras: Int[Tensor, " n"] | None) -> Iterator[Int[Tensor, " k"]]:
    """The rows of each camera that are there."""
    if cameras is None:
        yield there.nonzero().flatten()
        return
    cameras = cameras.to(there.device)
    for camera in torch.unique(cameras):
        yield (there & (cameras == camera)).nonzero().flatten()


def _parts(rows: Int[Tensor, " n"]) -> Iterator[Int[Tensor, " k"]]:
    """The rows, so many at a time that a matrix of their similarities is small."""
    for start in range(0, len(rows), _ROWS):
        yield rows[start : start + _ROWS]


def _nearest(features: Float[Tensor, "n d"], rows: Int[Tensor, " p"], k: int) -> Int[Tensor, "p k"]:
    """The k nearest others of some tracklets."""
    similar = _products(features[rows], features)
    similar[torch.arange(len(rows), device=rows.device), rows] = -torch.inf
    return similar.topk(k, dim=1).indices


def _products(rows: Float[Tensor, "k d"], columns: Float[Tensor, "n d"]) -> Float[Tensor, "k n"]:
    with full_float32(rows.device):
        return rows @ columns.T


# --- two partitions


def _contingency(one: Int[ndarray, " n"], other: Int[ndarray, " n"]) -> Int[ndarray, "k 3"]:
    """(class, class of the other, tracklets in both), where there are any."""
    _, a = np.unique(one, return_inverse=True)
    _, b = np.unique(other, return_inverse=True)
    width = int(b.max()) + 1
    cells, counts = np.unique(a * width + b, return_counts=True)
    return np.stack([cells // width, cells % width, counts], axis=1)


def _sums(table: Int[ndarray, "k 3"], side: int) -> Int[ndarray, " c"]:
    """Class sizes of one side."""
    return np.bincount(table[:, side], weights=table[:, 2]).astype(np.int64)


def _entropy(counts: Int[ndarray, " k"], n: int) -> float:
    share = counts / n
    return float(-(share * np.log(share)).sum())


def _expected_information(a: Int[ndarray, " r"], b: Int[ndarray, " c"], n: int) -> float:
    """E(mutual information) of random partitions with class sizes a and b (hypergeometric).

    Summed once per pair of different sizes: there are few of these, however many classes.
    """
    total = 0.0
    of_b = list(zip(*np.unique(b, return_counts=True), strict=True))
    for size, times in zip(*np.unique(a, return_counts=True), strict=True):
        for other, often in of_b:
            both = np.arange(max(1, size + other - n), min(size, other) + 1)
            log_chance = (
                gammaln(size + 1) + gammaln(other + 1) + gammaln(n - size + 1) + gammaln(n - other + 1)
                - gammaln(n + 1) - gammaln(both + 1) - gammaln(size - both + 1)
                - gammaln(other - both + 1) - gammaln(n - size - other + both + 1)
            )  # fmt: skip
            terms = both / n * np.log(n * both / (size * other)) * np.exp(log_chance)
            total += float(times * often * terms.sum())
    return total

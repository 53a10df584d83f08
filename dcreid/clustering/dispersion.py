"""Distances summed, or their smallest, over classes, and the dispersions made of them: Eqs (3), (4) and (6).

Notation
    n          tracklets, c classes
    distances  (n, n) symmetric, zero diagonal
    labels     (n,) class of each tracklet; class k of the output is the k-th smallest label
    S          (c, c) S[a, b] = sum of dist(i, j) over i in a, j in b (ordered pairs when a = b)
    sizes      (c,) |a|, Eq (6)

All dispersions follow from S: d(C) = S[C, C] / n (Eq 3 as printed) or / n² (the mean that the
text speaks of), and d_ab = S[a, b] / (n_a n_b) (Eq 4). S costs one pass over the n² distances.

Linkage `nearest`, BUC's, takes the smallest distance between members for d_ab; d(C) stays.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

_ROWS = 512  # rows of distances looked at at a time


class ClassDistances(NamedTuple):
    """What d_ab and d(C) are made of, in ascending order of label."""

    between: Float[Tensor, "c c"]  # S, or the smallest distances
    divisor: Float[Tensor, " c"]  # d_ab = between[a, b] / divisor[a] / divisor[b]
    within: Float[Tensor, " c"]  # S[C, C]
    sizes: Int[Tensor, " c"]


def class_distances(
    distances: Float[Tensor, "n n"], labels: Int[Tensor, " n"], linkage: str
) -> ClassDistances:
    """Linkage: average, Eq (4), or nearest."""
    if linkage == "average":
        sums, sizes = class_sums(distances, labels)
        return ClassDistances(sums, sizes.to(sums.dtype), sums.diagonal().clone(), sizes)
    minima, within, sizes = class_minima(distances, labels)
    return ClassDistances(minima, torch.ones_like(within), within, sizes)


def class_sums(
    distances: Float[Tensor, "n n"], labels: Int[Tensor, " n"]
) -> tuple[Float[Tensor, "c c"], Int[Tensor, " c"]]:
    """S and the class sizes, in ascending order of label."""
    classes, index, sizes = torch.unique(labels, return_inverse=True, return_counts=True)
    n, c = len(labels), len(classes)
    if c == n and bool((index.diff() > 0).all()):  # the first merge step: every tracklet its own class
        return distances.clone(), sizes
    # index_add_ on rows, then on columns, reads each distance once; on two CPU cores it was five
    # to ten times faster than sparse products or segment_reduce, and needs c·n + c² extra numbers.
    by_row = distances.new_zeros(c, n).index_add_(0, index, distances)
    return distances.new_zeros(c, c).index_add_(1, index, by_row), sizes


def intra_dispersion(
    within: Float[Tensor, " c"], sizes: Int[Tensor, " c"], intra: str
) -> Float[Tensor, " c"]:
    """d(C) of Eq (3) from S[C, C]: intra = samples divides it by n, pairs by n²."""
    return within / (sizes if intra == "samples" else sizes.square())


def class_minima(
    distances: Float[Tensor, "n n"], labels: Int[Tensor, " n"]
) -> tuple[Float[Tensor, "c c"], Float[Tensor, " c"], Int[Tensor, " c"]]:
    """The smallest distance between members of two classes; S[C, C] and the size of each class."""
    classes, index, sizes = torch.unique(labels, return_inverse=True, return_counts=True)
    n, c = len(labels), len(classes)
    by_row = distances.new_full((c, n), torch.inf)
    by_row.scatter_reduce_(0, index[:, None].expand(n, n), distances, "amin")
    minima = distances.new_full((c, c), torch.inf)
    minima.scatter_reduce_(1, index[None, :].expand(c, n), by_row, "amin")
    within = distances.new_zeros(c)
    for start in range(0, n, _ROWS):
        rows, own = distances[start : start + _ROWS], index[start : start + _ROWS]
        within.index_add_(0, own, rows.where(own[:, None] == index, 0.0).sum(dim=1))
    return minima, within, sizes

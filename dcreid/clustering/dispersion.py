"""Distances between tracklets and their sums over classes: Eqs (3), (4) and (6).

Notation
    n          tracklets, c classes, d feature width
    distances  (n, n) symmetric, zero diagonal
    labels     (n,) class of each tracklet; class k of the output is the k-th smallest label
    S          (c, c) S[a, b] = sum of dist(i, j) over i in a, j in b (ordered pairs when a = b)
    sizes      (c,) |a|, Eq (6)

All dispersions follow from S: d(C) = S[C, C] / n (Eq 3 as printed) or / n² (the mean that the
text speaks of), and d_ab = S[a, b] / (n_a n_b) (Eq 4). S costs one pass over the n² distances.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from dcreid.float32 import full_float32

# Rows of the product at a time: few enough that little of the lower triangle is computed.
_ROWS = 512


class Parts(NamedTuple):
    """The terms of Eq (7), unweighted, of one class a with each of c classes b."""

    inter: NDArray[np.floating]  # (c,) d_ab, Eq (4)
    intra: NDArray[np.floating]  # (c,) d_a + d_b, Eq (3)
    size: NDArray[np.floating]  # (c,) |a| + |b|, Eq (6)


def pairwise_distances(features: Float[Tensor, "n d"], *, squared: bool = False) -> Float[Tensor, "n n"]:
    """Euclidean distances (squared on request) between rows; one (n, n) array is allocated.

    float32 rows of length 1 that almost coincide come out up to 0.0005 apart: |a|² + |b|² - 2 a·b
    leaves the rounding of 1.
    """
    n, norms = len(features), features.square().sum(dim=1)
    distances = features.new_empty(n, n)
    for start in range(0, n, _ROWS):
        # The product, which is what takes the time, is made above the diagonal and mirrored.
        stop = min(start + _ROWS, n)
        rows = distances[start:stop, start:]
        torch.add(norms[start:stop, None], norms[None, start:], out=rows)
        _less_twice_the_product(rows, features[start:stop], features[start:])
        if not squared:
            rows.sqrt_()
        square = rows[:, : stop - start]
        square.copy_(square.triu() + square.triu(1).T)
        distances[stop:, start:stop] = rows[:, stop - start :].T
    return distances.fill_diagonal_(0.0)


def cross_distances(
    queries: Float[Tensor, "q d"],
    gallery: Float[Tensor, "g d"],
    *,
    squared: bool = False,
    norms: tuple[Float[Tensor, " q"], Float[Tensor, " g"]] | None = None,
) -> Float[Tensor, "q g"]:
    """Euclidean distances (squared on request) from every query to every gallery row.

    norms: |a|² of every query and gallery row, where they are known.
    """
    of_queries, of_gallery = norms or (queries.square().sum(dim=1), gallery.square().sum(dim=1))
    squares = of_queries[:, None] + of_gallery[None, :]
    _less_twice_the_product(squares, queries, gallery)
    return squares if squared else squares.sqrt_()


def _less_twice_the_product(
    norms: Float[Tensor, "q g"], rows: Float[Tensor, "q d"], columns: Float[Tensor, "g d"]
) -> Float[Tensor, "q g"]:
    """|a|² + |b|², as given, less 2 a·b; in place."""
    with full_float32(rows.device):  # bf16 would leave two digits, TF32 three
        return norms.addmm_(rows, columns.T, alpha=-2.0).clamp_(min=0.0)


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
    sums: Float[Tensor, "c c"], sizes: Int[Tensor, " c"], intra: str = "samples"
) -> Float[Tensor, " c"]:
    """d(C) of Eq (3): `samples` divides the sum over ordered pairs by n, `pairs` by n²."""
    return average_inside(sums.diagonal(), sizes, intra)


def average_inside(
    inside: Float[Tensor, " c"], sizes: Int[Tensor, " c"], intra: str = "samples"
) -> Float[Tensor, " c"]:
    """`intra_dispersion` from the diagonal of S alone."""
    if intra not in ("samples", "pairs"):
        raise ValueError(f"intra = {intra!r}: must be samples or pairs")
    return inside / (sizes if intra == "samples" else sizes.square())

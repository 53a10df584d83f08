"""Distances between the features of tracklets, in full float32."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from dcreid.clustering.jaccard import jaccard_distances
from dcreid.config import MergeConfig
from dcreid.precision import full_float32

# Rows of the product at a time: few enough that little of the lower triangle is computed.
_ROWS = 512


def merge_distances(features: Float[Tensor, "n d"], merge: MergeConfig) -> Float[Tensor, "n n"]:
    """The distances of Eqs (3) and (4), by `MergeConfig.distance`; at most two (n, n) arrays at a time."""
    if merge.distance == "jaccard":
        return jaccard_distances(pairwise_distances(features, squared=True), merge.k1, merge.k2)
    return pairwise_distances(features, squared=merge.distance == "squared")


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
        _subtract_twice_the_product(rows, features[start:stop], features[start:])
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
    _subtract_twice_the_product(squares, queries, gallery)
    return squares if squared else squares.sqrt_()


def _subtract_twice_the_product(
    norms: Float[Tensor, "q g"], rows: Float[Tensor, "q d"], columns: Float[Tensor, "g d"]
) -> None:
    """|a|² + |b|², as given, becomes |a|² + |b|² - 2 a·b; in place."""
    with full_float32(rows.device):  # bf16 would leave two digits, TF32 three
        norms.addmm_(rows, columns.T, alpha=-2.0).clamp_(min=0.0)

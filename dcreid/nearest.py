"""The nearest gallery rows of every query: exact, and in blocks, so that a gallery may be larger than memory.

Products of float32 matrices say which rows of a block can be among the nearest k; the distances of these few
are computed from the differences in float64, and they alone decide.

Why nothing is left out: with u = 2⁻²⁴ the squared distances that come from products,
|x|² + |y|² − 2 x·y, are off by at most e = 2 (d + 2) u (|x|² + |y|²) to first order. So the square of a
row among the nearest k is at most 2 e above the k-th smallest of its block, and at most 2 e above that of the
k-th distance found before.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from dcreid.clustering.distances import cross_distances

# Squared distances that are held at once; and numbers of the differences.
_QUERIES, _GALLERY = 1024, 4096
_DIFFERENCES = 1 << 22
# Candidates per query and k, above which the block's own k-th smallest square is looked for: the first block
# always has as many.
_MANY = 4
_UNIT = 2.0**-24


def nearest(
    queries: Float[Tensor, "q d"] | NDArray[np.floating],
    gallery: Float[Tensor, "g d"] | NDArray[np.floating],
    k: int,
) -> tuple[Float[Tensor, "q k"], Int[Tensor, "q k"]]:
    """Euclidean distances of the k nearest gallery rows of every query, ascending, and which rows these are.

    Equal distances (float32) stand by the smaller row. Rows of any length are taken, as float32; the gallery
    may be a memory-mapped array and is read once. Computed, and returned, on the queries' device, with some
    100 MB beside queries, gallery and result.

    k: at least 1; where the gallery has fewer rows, all of them are returned.
    Raises ValueError for a k below 1, an empty gallery, rows of different widths, NaN or infinity.
    """
    queries = _block(queries)
    _check(queries, gallery, k)
    k, norms = min(k, len(gallery)), _norms(queries, "queries")
    distances = queries.new_full((len(queries), k), math.inf)
    rows = torch.full((len(queries), k), -1, device=queries.device)
    for start in range(0, len(gallery), _GALLERY):
        block = _block(gallery[start : start + _GALLERY]).to(queries.device)
        block_norms = _norms(block, "gallery")
        for low in range(0, len(queries), _QUERIES):
            part = slice(low, low + _QUERIES)
            squares = cross_distances(queries[part], block, squared=True, norms=(norms[part], block_norms))
            slack = 4 * (block.shape[1] + 2) * _UNIT * (norms[part] + block_norms.max())
            query, row = _candidates(squares, distances[part, -1].square(), slack, k)
            if len(query):
                found = _exact(queries[part], block, query, row)
                _take_in(distances[part], rows[part], query, found, row + start)
    return distances, rows


def _block(rows: Tensor | NDArray[np.floating]) -> Tensor:
    """float32, without a copy where it is that already; nothing is ever written there."""
    if isinstance(rows, Tensor):
        return rows.detach().float()
    with warnings.catch_warnings(action="ignore"):  # that a memory-mapped file cannot be written to
        return torch.from_numpy(np.asarray(rows, dtype=np.float32))


def _check(queries: Tensor, gallery: Tensor | NDArray[np.floating], k: int) -> None:
    if k < 1:
        raise ValueError(f"k = {k}: at least 1")
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1]:
        raise ValueError(
            f"queries {tuple(queries.shape)} and gallery {tuple(gallery.shape)} must be rows of one width"
        )
    if not len(gallery):
        raise ValueError("the gallery has no rows: nothing to search")


def _norms(rows: Float[Tensor, "n d"], what: str) -> Float[Tensor, " n"]:
    """|x|² of every row. Raises ValueError where that is not finite."""
    norms: Tensor = torch.linalg.vector_norm(rows, dim=1).square()
    if not bool(norms.isfinite().all()):
        raise ValueError(f"the {what} hold NaN, infinity or numbers too large for float32")
    return norms


def _candidates(
    squares: Float[Tensor, "q b"], known: Float[Tensor, " q"], slack: Float[Tensor, " q"], k: int
) -> tuple[Int[Tensor, " c"], Int[Tensor, " c"]]:
    """Query and row of what can be among the nearest k: in ascending order of query, then row.

    known: the square of the k-th smallest distance so far. slack: 2 e, see above.
    """
    query, row = _at_most(known + slack, squares)
    if len(query) > _MANY * k * len(squares) and squares.shape[1] > k:
        own = squares.topk(k, largest=False, sorted=False).values.amax(dim=1)
        query, row = _at_most(torch.minimum(known, own) + slack, squares)
    return query, row


def _at_most(
    limit: Float[Tensor, " q"], squares: Float[Tensor, "q b"]
) -> tuple[Int[Tensor, " c"], Int[Tensor, " c"]]:
    query, row = torch.nonzero(squares <= limit[:, None], as_tuple=True)
    return query, row


def _exact(
    queries: Float[Tensor, "q d"],
    block: Float[Tensor, "b d"],
    query: Int[Tensor, " c"],
    row: Int[Tensor, " c"],
) -> Float[Tensor, " c"]:
    """Distances of pairs, from differences in float64, rounded to float32."""
    at_once = max(1, _DIFFERENCES // queries.shape[1])
    found = [
        torch.linalg.vector_norm(queries[some].double() - block[others].double(), dim=1).float()
        for some, others in zip(torch.split(query, at_once), torch.split(row, at_once), strict=True)
    ]
    return torch.cat(found)


def _take_in(
    distances: Float[Tensor, "q k"],
    rows: Int[Tensor, "q k"],
    query: Int[Tensor, " c"],
    found: Float[Tensor, " c"],
    row: Int[Tensor, " c"],
) -> None:
    """Writes the nearest k of those known and those found into `distances` and `rows`.

    Rows that are known precede those found, and both stand in ascending order where distances are equal:
    stable sorts keep it so.
    """
    k = distances.shape[1]
    touched, place = torch.unique_consecutive(query, return_inverse=True)
    owner = torch.cat([torch.arange(len(touched), device=query.device).repeat_interleave(k), place])
    distance = torch.cat([distances[touched].flatten(), found])
    index = torch.cat([rows[touched].flatten(), row])
    order = distance.argsort(stable=True)
    order = order[owner[order].argsort(stable=True)]
    first = torch.searchsorted(owner[order], torch.arange(len(touched), device=query.device))
    kept = order[first[:, None] + torch.arange(k, device=query.device)]
    distances[touched], rows[touched] = distance[kept], index[kept]

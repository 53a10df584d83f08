"""The Jaccard distance of k-reciprocal neighbourhoods (arXiv 1701.08398; softmax weights as in SpCL).

Notation, of n tracklets with squared distances d²:
    N(i, k)  i and its k nearest others; equal distances in order of index
    R(i, k)  the reciprocal ones among them: j in N(i, k) with i in N(j, k)
    S(i)     R(i, k1), and with each of its j also R(j, k1/2), k1/2 rounded to even, where more than two
             thirds of R(j, k1/2) lie in R(i, k1)
    V        (n, n) row i: softmax of −d² over S(i), 0 elsewhere; then the mean over the rows N(i, k2 − 1)
    d_J      1 − s / (2 − s) with s = Σ_l min(V[i, l], V[j, l]): 0 where two rows are equal, 1 where they
             share nothing. Rows of V sum to 1, so 2 − s is the sum of the maxima.

A row of V has some dozens of entries, so all but d² and d_J is sparse, and on the CPU wherever these are.
The sums of minima are products of sparse matrices, which SciPy makes at the speed of C. Where column l
holds the values v_0 ≥ v_1 ≥ …, min(v_p, v_q) is v_q for p < q; and there is one bit b in which p has a 0,
q a 1 and above which they agree. So, with a node for every column, bit b and number p >> (b + 1),
    s = Σ_nodes X[i, node] Y[j, node] + Y[i, node] X[j, node]   for i ≠ j,
X[i, node] being v_q of the i-th row where bit b of its place q is 1, and Y[i, node] a 1 where it is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_array, vstack
from torch import Tensor

Result = TypeVar("Result")

_ROWS = 512  # of d² and of the products at a time, and the side of a tile


def jaccard_distances(squares: Float[Tensor, "n n"], k1: int, k2: int) -> Float[Tensor, "n n"]:
    """d_J in [0, 1] of all pairs, in the place of their squared distances; k1, k2 >= 1.

    Where there are no more than k1 tracklets, all are neighbours of all.
    """
    n = len(squares)
    neighbours = _neighbours(squares, max(k1, k2 - 1))
    members = _expanded(_reciprocal(neighbours, k1), _reciprocal(neighbours, round(k1 / 2)))
    weights = _softmax(members, squares)
    nearest = _indicator(neighbours[:, :k2])
    return _distances((nearest / min(k2, n)) @ weights, squares)


def _neighbours(squares: Float[Tensor, "n n"], k: int) -> Int[np.ndarray, "n k1"]:
    """Row i: i, then its k nearest others (n - 1 where there are fewer), by distance, then by index."""
    n = len(squares)
    k = min(k, n - 1)

    def of_rows(start: int) -> Int[np.ndarray, "r k1"]:
        rows = squares[start : start + _ROWS].cpu().numpy()
        furthest = np.partition(rows, k, axis=1)[:, k]
        place = np.flatnonzero(rows <= furthest[:, None])  # with all ties for the last place
        row, column = np.divmod(place, n)
        nearness = np.where(column == start + row, -1.0, rows.ravel()[place])  # its copies are no nearer
        column = column[np.lexsort((nearness, row))]
        first = np.searchsorted(row, np.arange(len(rows)))
        return np.asarray(column[first[:, None] + np.arange(k + 1)])

    return np.concatenate(_by_rows(of_rows, n))


def _by_rows(of_rows: Callable[[int], Result], n: int) -> list[Result]:
    """of_rows(start) for every block of rows, on as many threads as torch has."""
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return list(pool.map(of_rows, range(0, n, _ROWS)))


def _indicator(columns: Int[np.ndarray, "n k"]) -> csr_array:
    """(n, n) with a 1 in every row's columns."""
    n, k = columns.shape
    entries = np.sort(columns, axis=1).ravel()
    return csr_array((np.ones(n * k), entries, np.arange(0, n * k + 1, k)), shape=(n, n))


def _reciprocal(neighbours: Int[np.ndarray, "n k"], k: int) -> csr_array:
    """R(i, k) as rows of ones."""
    near = _indicator(neighbours[:, : k + 1])
    return csr_array(near.multiply(near.T))


def _expanded(reciprocal: csr_array, halves: csr_array) -> csr_array:
    """S as rows of non-zeros: `reciprocal` is R(i, k1), `halves` R(j, k1/2)."""
    common = (reciprocal @ halves.T).multiply(reciprocal).tocsr()
    common.data = (3 * common.data > 2 * halves.sum(axis=1)[common.indices]).astype(np.float64)
    common.eliminate_zeros()
    return csr_array(reciprocal + common @ halves)


def _softmax(members: csr_array, squares: Float[Tensor, "n n"]) -> csr_array:
    """V before its mean. The tracklet itself, with d² = 0, keeps every sum above 1."""
    rows = np.repeat(np.arange(members.shape[0]), np.diff(members.indptr))
    device = squares.device
    at = (torch.from_numpy(rows).to(device), torch.from_numpy(members.indices).long().to(device))
    weights = np.exp(-squares[at].double().cpu().numpy())
    sums = np.bincount(rows, weights)
    return csr_array((weights / sums[rows], members.indices, members.indptr), shape=members.shape)


def _distances(v: csr_array, squares: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    """d_J of the rows of V, in the memory of `squares`."""
    smaller, larger = _by_node(v.astype(np.float64 if squares.dtype == torch.float64 else np.float32))
    n, distances = len(squares), squares

    def first_half(start: int) -> None:  # of s
        rows = slice(start, start + _ROWS)
        distances[rows] = torch.from_numpy((smaller[rows] @ larger).toarray())

    _by_rows(first_half, n)
    for start in range(0, n, _ROWS):
        for other in range(start, n, _ROWS):  # in tiles, which the processor's cache holds
            upper = distances[start : start + _ROWS, other : other + _ROWS]
            lower = distances[other : other + _ROWS, start : start + _ROWS]
            s = upper + lower.T
            s = s.div_(2.0 - s).neg_().add_(1.0).clamp_(min=0.0)
            upper.copy_(s)
            lower.copy_(s.T)
    return distances.fill_diagonal_(0.0)


def _by_node(v: csr_array) -> tuple[csr_array, csr_array]:
    """X (n, nodes) and the transpose of Y (nodes, n), both with as few nodes as there are."""
    entries = v.tocoo()
    order = np.lexsort((-entries.data, entries.col))
    row, value, counts = entries.row[order], entries.data[order], np.bincount(entries.col)
    place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)  # in its column
    x: list[csr_array] = []
    y: list[csr_array] = []
    for bit in range(max(1, int(counts.max() - 1).bit_length())):
        node = np.cumsum(place % (2 << bit) == 0) - 1
        one = (place >> bit) % 2 == 1
        for parts, chosen, values in ((x, one, value), (y, ~one, np.ones_like(value))):
            ends = np.cumsum(np.bincount(node[chosen], minlength=int(node[-1]) + 1))
            starts = np.concatenate([[0], ends])
            parts.append(csr_array((values[chosen], row[chosen], starts), shape=(len(ends), v.shape[0])))
    by_node = csr_array(vstack(x))
    del x
    return csr_array(by_node.T), csr_array(vstack(y))

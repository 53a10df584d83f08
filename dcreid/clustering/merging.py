"""The merge of m classes (Algorithm 1, lines 4 and 5), by any method of `MergeConfig`.

once    reads one D: its m lightest joins (`kruskal.py`), or the same without the (n, n) matrix where
        that would not fit (`blocked.py`)
star    reads one D and never joins through a class that was absorbed (`star.py`)
exact   recomputes D after every join (`agglomeration.py`)
anew    is exact from single tracklets to as many classes as the others would leave: it takes nothing
        but their number from the classes before, and has no joins from step to step

`identities`, the method of the bound, merges nothing and is not here (`dcreid/bound.py`).
"""

from __future__ import annotations

import logging

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from dcreid.clustering.agglomeration import exact_joins
from dcreid.clustering.blocked import blocked_joins
from dcreid.clustering.cameras import camera_normalised
from dcreid.clustering.criterion import OnJoin, merge_costs
from dcreid.clustering.distances import merge_distances
from dcreid.clustering.free_memory import free_bytes
from dcreid.clustering.kruskal import Choice, JoinedPairs, lightest_joins, spanning_forest
from dcreid.clustering.star import stars
from dcreid.config import MergeConfig

# The share of the device's free memory that the matrices of a merge may take.
_SHARE = 0.5
_BLOCKS_WARNING = (
    "the matrix of distances does not fit into half of the free memory: classes are merged in blocks; "
    "the joins are the same up to rounding, but their record does not say which joins the wrong ones missed"
)

_log = logging.getLogger("dcreid")


def merge_labels(
    features: Float[Tensor, "n d"],
    labels: Int[Tensor, " n"],
    merge: MergeConfig,
    m: int,
    *,
    cameras: Int[Tensor, " n"] | None = None,
    on_join: OnJoin | None = None,
) -> Int[Tensor, " n"]:
    """Labels 0 … C-m-1 after exactly m joins, in order of each class's first tracklet.

    features: L2-normalised, on the device that merges. labels: the classes before, on any device, which
    is that of the result. cameras: of the rows, for `MergeConfig.camera_normalise`; None = unknown, and
    nothing is done per camera. on_join: called with every join, in order; never by `anew`. Raises
    ValueError unless 0 <= m < C and the features are finite, and for `identities`; MemoryError as
    `check_memory` does.
    """
    c = len(torch.unique(labels))
    if not 0 <= m < c:
        raise ValueError(f"m = {m}: must be at least 0 and less than the number of classes, {c}")
    if not bool(features.isfinite().all()):
        raise ValueError("features hold NaN or infinity")
    if merge.method == "identities":
        raise ValueError("merge.method = identities merges nothing")
    if merge.camera_normalise and cameras is not None:
        features = camera_normalised(features, cameras)
    if merge.method == "anew":
        n = len(labels)
        labels, m, on_join = torch.arange(n, device=labels.device), n - (c - m), None
    pairs = _joins(features, labels.to(features.device), merge, m, on_join)
    return joined_labels(labels, *pairs)


def check_memory(
    merge: MergeConfig, device: torch.device, n: int, c: int | None = None, number: int = 4
) -> None:
    """Raises MemoryError where a merge of n tracklets in c classes (None: n) has no room for its matrices.

    number: bytes of one number of the features. A merge that can be made in blocks always has room.
    """
    needed = matrix_bytes(n, c or n, number)
    on_cpu = merge.method in ("exact", "anew") or merge.distance == "jaccard"
    places = {device, torch.device("cpu")} if on_cpu else {device}
    for place in places if not _has_blocks(merge) else ():
        free = free_bytes(place)
        if needed > free:
            raise MemoryError(
                f"merge.method = {merge.method} with merge.linkage = {merge.linkage} and merge.distance = "
                f"{merge.distance} takes up to {needed / 1e9:.3g} GB for {n:,} tracklets, and the "
                f"{place.type} has {free / 1e9:.3g} GB free: free more, or use the method once with average "
                "linkage and euclidean or squared distances, which can do with less"
            )


def _joins(
    features: Float[Tensor, "n d"],
    labels: Int[Tensor, " n"],
    merge: MergeConfig,
    m: int,
    on_join: OnJoin | None,
) -> JoinedPairs:
    """The m joins of the configured method, in the order in which they are made."""
    if m == 0:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    squared, weights = merge.distance == "squared", (merge.lambda1, merge.lambda2, merge.intra)
    device, number = features.device, features.element_size()
    n, c = len(labels), len(torch.unique(labels))
    if _has_blocks(merge) and matrix_bytes(n, c, number) > _SHARE * free_bytes(device):
        _log.warning(_BLOCKS_WARNING)
        return blocked_joins(features, labels, m, *weights, squared=squared, on_join=on_join)
    check_memory(merge, device, n, c, number)
    distances = merge_distances(features, merge)
    if merge.method in ("exact", "anew"):
        return exact_joins(distances, labels, m, *weights, merge.linkage, on_join)
    choose = stars if merge.method == "star" else spanning_forest
    return joins_of_one(distances, labels, m, *weights, merge.linkage, on_join, choose)


def joins_of_one(
    distances: Float[Tensor, "n n"],
    labels: Int[Tensor, " n"],
    m: int,
    lambda1: float,
    lambda2: float,
    intra: str,
    linkage: str = "average",
    on_join: OnJoin | None = None,
    choose: Choice = spanning_forest,
) -> JoinedPairs:
    """The m joins of one D, from the whole matrix of distances."""
    costs = merge_costs(distances, labels, lambda1, lambda2, intra, linkage)
    first, second = lightest_joins(costs.total, m, choose)
    if on_join is not None:
        for a, b in zip(first.tolist(), second.tolist(), strict=True):
            on_join(a, b, costs.terms(a).with_class(b), costs.terms)
    return first, second


def matrix_bytes(n: int, c: int, number: int) -> int:
    """Peak memory of a merge with the matrix: n² distances, c n and c² sums; at most 3 n² numbers."""
    return number * (n * n + c * n + c * c)


def _has_blocks(merge: MergeConfig) -> bool:
    """Whether it can do without the (n, n) matrix."""
    return (merge.method, merge.linkage) == ("once", "average") and merge.distance in ("euclidean", "squared")


def joined_labels(
    labels: Int[Tensor, " n"], first: Int[np.ndarray, " m"], second: Int[np.ndarray, " m"]
) -> Int[Tensor, " n"]:
    """Labels once class first[k] is joined with second[k] for every k, in order of first tracklet."""
    classes, index = np.unique(labels.cpu().numpy(), return_inverse=True)
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(len(classes), len(classes)))
    _, component = connected_components(graph, directed=False)
    return torch.from_numpy(in_order_of_first(component[index])).to(labels.device)


def in_order_of_first(classes: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """The same partition under 0 … C-1, in order of each class's first row."""
    _, start, index = np.unique(classes, return_index=True, return_inverse=True)
    rank = np.empty_like(start)
    rank[start.argsort()] = np.arange(len(start))
    renamed: Int[np.ndarray, " n"] = rank[index]
    return renamed

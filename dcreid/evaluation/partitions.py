"""The classes at one moment: their sizes, a name for them, and how well they agree with the identities."""

from __future__ import annotations

import dataclasses
import hashlib
import statistics
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray
from numpy.typing import ArrayLike, NDArray
from torch import Tensor


@dataclass(frozen=True)
class ClusteringQuality:
    """Agreement of classes with identities; 1 is perfect. Labels are used for reporting only."""

    purity: float
    nmi: float
    ari: float
    pairwise_f: float


@dataclass(frozen=True)
class Partition:
    """The classes at one moment, as a merge step reports them."""

    name: str  # 12 hex digits: equal for equal partitions of the data set, whatever the seed
    sizes: Int[ndarray, " c"]
    quality: ClusteringQuality | None  # None without identities

    @classmethod
    def of(
        cls,
        labels: Int[Tensor, " n"],
        order: Int[ndarray, " n"],
        identities: Int[ndarray, " n"] | None,
    ) -> Partition:
        """labels: row i is tracklet order[i] of the training split, which `identities` belong to."""
        in_split = np.empty(len(order), dtype=np.int64)
        in_split[order] = labels.numpy()
        quality = None if identities is None else clustering_quality(in_split, identities)
        return cls(partition_name(in_split), np.bincount(in_split), quality)

    @property
    def classes(self) -> int:
        """C"""
        return len(self.sizes)

    def values(self) -> dict[str, Any]:
        """Fields of MergeStep but for the number of classes and the name."""
        return {
            "class_size_max": int(self.sizes.max()),
            "class_size_median": float(statistics.median(self.sizes.tolist())),
            **({} if self.quality is None else dataclasses.asdict(self.quality)),
        }


def partition_name(labels: Int[ndarray, " n"]) -> str:
    """12 hex digits that name a partition of the n tracklets, whatever its classes are called."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int32)
    rank[np.argsort(first)] = np.arange(len(first), dtype=np.int32)  # classes in order of first tracklet
    return hashlib.sha256(rank[inverse].tobytes()).hexdigest()[:12]


def clustering_quality(labels: ArrayLike | Tensor, identities: ArrayLike) -> ClusteringQuality:
    """Purity, NMI (arithmetic mean), ARI and pairwise F of classes against identities, both (n,)."""
    on_host = labels.cpu() if isinstance(labels, Tensor) else labels
    _, cluster = np.unique(np.asarray(on_host), return_inverse=True)
    _, person = np.unique(np.asarray(identities), return_inverse=True)
    n = len(cluster)
    if n != len(person) or n == 0:
        raise ValueError(f"{n} labels for {len(person)} identities")
    a, b = np.bincount(cluster), np.bincount(person)
    cell, both = np.unique(cluster * len(b) + person, return_counts=True)  # the contingency table's cells
    commonest = np.zeros(len(a))
    np.maximum.at(commonest, cell // len(b), both)
    ari, pairwise_f = _pair_scores(both, a, b, n)
    return ClusteringQuality(float(commonest.sum() / n), _nmi(both, a, b, n), ari, pairwise_f)


def _nmi(both: NDArray[np.int64], a: NDArray[np.int64], b: NDArray[np.int64], n: int) -> float:
    def entropy(counts: NDArray[np.int64]) -> float:
        share = counts / n
        return float(-(share * np.log(share)).sum())

    h_a, h_b = entropy(a), entropy(b)
    information = h_a + h_b - entropy(both)
    return 1.0 if h_a + h_b == 0 else min(1.0, max(0.0, 2.0 * information / (h_a + h_b)))


def _pair_scores(
    both: NDArray[np.int64], a: NDArray[np.int64], b: NDArray[np.int64], n: int
) -> tuple[float, float]:
    """Adjusted Rand index and F1 over pairs of tracklets put together."""

    def pairs(counts: NDArray[np.int64]) -> float:
        return float((counts * (counts - 1)).sum() / 2)

    together, in_class, in_person, total = pairs(both), pairs(a), pairs(b), n * (n - 1) / 2
    expected = in_class * in_person / total if total else 0.0
    largest = (in_class + in_person) / 2
    ari = 1.0 if largest == expected else (together - expected) / (largest - expected)
    f1 = 2 * together / (in_class + in_person) if in_class + in_person else 1.0
    return ari, f1

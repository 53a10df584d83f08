"""How many classes training tracklets speak for, without an identity: a proposal, and its evidence.

Single tracklets are merged by average linkage on the distances of `DISTANCES`, whatever a configuration
merges by, and cut at candidate numbers of classes: by the features of all frames, and by those of either half
of them. Two measures of each cut err on different sides, so neither chooses alone:

stability   how alike the cuts from both halves are (`agreement`): about level from few classes on, since what
            parts large groups is seen by both halves, and falling where classes part what a half cannot.
            Those within `_LEVEL` of the highest are stable
silhouette  how much nearer tracklets are to their own class than to the next one, in the distances that made
            it; highest with too many classes, as a rule, since two tracklets of one visit are very near

Proposed is what the silhouette chooses, if it is stable; else the geometric mean of that and the fewest
stable classes. Between these two nothing here decides. docs/selection.md says what it came to where people
were known. On Euclidean distances both were often the first or last candidate: hence `DISTANCES`.

Shapes: n tracklets, d width of the features, k candidates, c classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.cluster.hierarchy import cut_tree, linkage
from scipy.spatial.distance import squareform
from torch import Tensor

from dcreid.clustering.cameras import camera_normalised
from dcreid.clustering.distances import merge_distances
from dcreid.config import MergeConfig
from dcreid.evaluation.unlabelled import agreement, exclusivity

# Those of the recommended preset.
DISTANCES = MergeConfig(distance="jaccard", k1=10, k2=3, camera_normalise=True)
_CANDIDATES = 24
_LEVEL = 0.03  # of the highest stability
_SHARES = 0.012, 0.7  # of n, that the fewest and the most candidate classes are
FEWEST = 8  # tracklets that a proposal can be made of


@dataclass(frozen=True)
class ClassCounts:
    """The measures of each candidate, ascending."""

    classes: Int[ndarray, " k"]
    stability: Float[ndarray, " k"]
    silhouette: Float[ndarray, " k"]
    exclusivity: Float[ndarray, " k"] | None  # None where it cannot be taken; lower is better

    @property
    def interval(self) -> tuple[int, int]:
        """The fewest stable classes and what the silhouette chooses, the smaller first."""
        both = int(self.classes[self._stable.argmax()]), int(self.classes[self.silhouette.argmax()])
        return min(both), max(both)

    @property
    def proposed(self) -> int:
        """One of the interval."""
        best = self.silhouette.argmax()
        return int(self.classes[best]) if self._stable[best] else round(math.sqrt(math.prod(self.interval)))

    @property
    def _stable(self) -> Bool[ndarray, " k"]:
        stable: Bool[ndarray, " k"] = self.stability >= (1 - _LEVEL) * self.stability.max()
        return stable


def count_classes(
    features: Float[Tensor, "n d"],
    halves: Float[Tensor, "2 n d"],
    cameras: Int[Tensor, " n"] | None = None,
    times: Int[ndarray, "n 2"] | None = None,
) -> ClassCounts:
    """Merges all tracklets three times, which takes three (n, n) matrices one after the other.

    features, halves: of length 1. cameras: None = unknown, and nothing is done per camera. times: on a clock
    of each camera (`Split.times`). Raises ValueError for fewer than `FEWEST` tracklets.
    """
    n = len(features)
    if n < FEWEST:
        raise ValueError(f"{n} tracklets: a number of classes can be proposed from {FEWEST} on")
    low, high = (math.log(max(2, share * n)) for share in _SHARES)
    classes = np.unique(np.exp(np.linspace(low, high, _CANDIDATES)).round().astype(np.int64))
    cuts, silhouettes = [], np.empty(0)
    for v in (features, *halves):
        v = v if cameras is None else camera_normalised(v, cameras)
        distances = merge_distances(v, DISTANCES).cpu().numpy()
        cuts.append(_cut(distances, classes))
        if not silhouettes.size:
            silhouettes = np.array([_silhouette(distances, labels) for labels in cuts[0].T])
    whole, one, other = cuts
    exclusive = None
    if times is not None and cameras is not None:
        found = [exclusivity(labels, cameras.cpu().numpy(), times) for labels in whole.T]
        exclusive = None if None in found else np.array(found, dtype=np.float64)
    stable = [agreement(a, b) for a, b in zip(one.T, other.T, strict=True)]
    return ClassCounts(classes, np.array(stable), silhouettes, exclusive)


def _cut(distances: Float[ndarray, "n n"], classes: Int[ndarray, " k"]) -> Int[ndarray, "n k"]:
    """The labels of every candidate."""
    tree = linkage(squareform(distances, checks=False), "average")
    labels: Int[ndarray, "n k"] = cut_tree(tree, n_clusters=classes).astype(np.int64)
    return labels


def _silhouette(distances: Float[ndarray, "n n"], labels: Int[ndarray, " n"]) -> float:
    """The mean of (b - a) / max(a, b) over tracklets; 0 in classes of one (Rousseeuw, 1987)."""
    by_class, sizes = np.argsort(labels, kind="stable"), np.bincount(labels)
    starts = np.cumsum(sizes) - sizes
    sums = np.add.reduceat(distances[:, by_class], starts, axis=1, dtype=np.float64)
    rows, own = np.arange(len(labels)), sizes[labels]
    inner = sums[rows, labels] / np.maximum(own - 1, 1)
    means = sums / sizes
    means[rows, labels] = np.inf
    outer = means.min(axis=1)
    worth = (outer - inner) / np.maximum(np.maximum(outer, inner), 1e-12)
    return float(np.where(own > 1, worth, 0.0).mean())

"""How the public code of BUC and of DBC merges, in plain NumPy and lists, from its description.

docs/public-code.md says how this repository differs. Nothing here is shared with `dcreid`.
"""

from __future__ import annotations

import numpy as np


def buc_merge(features: np.ndarray, labels: list[int], m: int, size_weight: float) -> list[int]:
    """All pairs of samples are sorted once, by squared distance + λ (|a| + |b|); going down, the classes of a
    pair become one if they differ by then, under the smaller label, until m labels are gone."""
    labels, size = list(labels), {label: labels.count(label) for label in labels}
    n, before = len(labels), len(set(labels))
    first, second = np.array([(i, j) for i in range(n) for j in range(i + 1, n)]).T
    squared = ((features[first] - features[second]) ** 2).sum(axis=1)
    penalty = np.array([size[labels[i]] + size[labels[j]] for i, j in zip(first, second, strict=True)])
    for pair in np.argsort(squared + size_weight * penalty):
        if before - len(set(labels)) == m:
            break
        kept, gone = sorted((labels[first[pair]], labels[second[pair]]))
        labels = [kept if label == gone else label for label in labels]
    return _numbered(labels)


def dbc_merge(features: np.ndarray, labels: list[int], m: int, weight: float) -> list[int]:
    """All pairs of classes are sorted once, by the mean squared distance of their members + λ (d_a + d_b),
    d being the mean over all n² ordered pairs of a class; a pair of which one class is gone is passed over,
    else the larger label goes and the smaller one stays at its old distances, until m labels are gone."""
    squared = ((features[:, None] - features[None]) ** 2).sum(axis=-1)
    names = sorted(set(labels))
    samples = {name: [i for i, label in enumerate(labels) if label == name] for name in names}
    mean = np.array([[squared[np.ix_(samples[a], samples[b])].mean() for b in names] for a in names])
    inside = mean.diagonal()
    cost = mean + weight * (inside[:, None] + inside[None, :])
    cost[np.tril_indices(len(names))] = np.inf
    for pair in np.argsort(cost, axis=None):
        if len(names) - len(samples) == m:
            break
        kept, gone = (names[k] for k in np.unravel_index(pair, cost.shape))
        if kept in samples and gone in samples:
            samples[kept] += samples.pop(gone)
    label_of = {i: name for name, inside_of in samples.items() for i in inside_of}
    return _numbered([label_of[i] for i in range(len(labels))])


def _numbered(labels: list[int]) -> list[int]:
    """Labels 0, 1, … in the order of the old ones."""
    return np.unique(labels, return_inverse=True)[1].tolist()

"""Slow float64 versions of the method, written from the equations in plain loops.

Nothing here is shared with `dcreid`: a test that compares the two compares two readings of the paper.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

Matrix = list[list[float]]


def probabilities(rows: np.ndarray, v: np.ndarray, temperature: float) -> np.ndarray:
    """Eq (1): p(i | x) for every sample and class (b, C)."""
    out = np.zeros((len(v), len(rows)))
    for sample, feature in enumerate(v):
        powers = [math.exp(float(row @ feature) / temperature) for row in rows]
        out[sample] = np.array(powers) / sum(powers)
    return out


def loss(rows: np.ndarray, v: np.ndarray, labels: list[int], temperature: float) -> float:
    """Eq (2), mean over the batch."""
    p = probabilities(rows, v, temperature)
    return float(np.mean([-math.log(p[sample, label]) for sample, label in enumerate(labels)]))


def update(rows: np.ndarray, v: np.ndarray, labels: list[int], alpha: float) -> np.ndarray:
    """The memory after M[y_i] ← α M[y_i] + (1 − α) v_i, L2-normalised, one sample after the other."""
    rows = rows.astype(np.float64).copy()
    for feature, label in zip(v, labels, strict=True):
        row = alpha * rows[label] + (1 - alpha) * feature
        rows[label] = row / np.linalg.norm(row)
    return rows


def proxy_keys(labels: list[int], cameras: list[int]) -> list[tuple[int, int]]:
    """Class and camera of every camera proxy."""
    return sorted(set(zip(labels, cameras, strict=True)))


def proxy_loss(
    rows: np.ndarray, keys: list[tuple[int, int]], v: np.ndarray, own: list[tuple[int, int]]
) -> tuple[float, np.ndarray]:
    """intra + inter / 2 of camera proxies `keys` (τ 0.07, 50 nearest), and its gradient in v (b, d).

    own: class and camera of every sample.
    """
    total, gradient = 0.0, np.zeros(v.shape)
    for sample, (label, camera) in enumerate(own):
        sims = [float(row @ v[sample]) / 0.07 for row in rows]
        here = [k for k, key in enumerate(keys) if key[1] == camera]
        positives = [k for k, key in enumerate(keys) if key[0] == label and key[1] != camera]
        others = sorted((k for k, key in enumerate(keys) if key[0] != label), key=lambda k: -sims[k])
        terms = [(1.0, [keys.index((label, camera))], here)]
        if positives:
            terms.append((0.5, positives, positives + others[:50]))
        for weight, wanted, compared in terms:
            whole = sum(math.exp(sims[k]) for k in compared)
            for k in wanted:
                total -= weight / len(wanted) * math.log(math.exp(sims[k]) / whole) / len(own)
                gradient[sample] -= weight / len(wanted) * rows[k] / 0.07 / len(own)
            for k in compared:
                gradient[sample] += weight * math.exp(sims[k]) / whole * rows[k] / 0.07 / len(own)
    return total, gradient


def distances(features: np.ndarray) -> np.ndarray:
    """Euclidean distances between rows."""
    n = len(features)
    out = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            out[i, j] = math.sqrt(float(((features[i] - features[j]) ** 2).sum()))
    return out


def jaccard(squares: Sequence[Sequence[float]] | np.ndarray, k1: int, k2: int) -> np.ndarray:
    """Distances of k-reciprocal neighbourhoods, from squared distances; ties by index, a row itself first."""
    n = len(squares)
    others = [sorted((float(squares[i][j]), j) for j in range(n) if j != i) for i in range(n)]

    def near(i: int, k: int) -> set[int]:
        return {i, *(j for _, j in others[i][:k])}

    def reciprocal(i: int, k: int) -> set[int]:
        return {j for j in near(i, k) if i in near(j, k)}

    weights = np.zeros((n, n))
    for i in range(n):
        own = reciprocal(i, k1)
        neighbourhood = set(own)
        for j in own:
            half = reciprocal(j, round(k1 / 2))
            if len(half & own) > Fraction(2, 3) * len(half):
                neighbourhood |= half
        powers = {j: math.exp(-float(squares[i][j])) for j in neighbourhood}
        for j, power in powers.items():
            weights[i, j] = power / sum(powers.values())
    v = np.array([np.mean([weights[j] for j in near(i, k2 - 1)], axis=0) for i in range(n)])
    out = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            least, most = np.minimum(v[i], v[j]).sum(), np.maximum(v[i], v[j]).sum()
            out[i, j] = 0.0 if i == j else 1.0 - least / most
    return out


def camera_normalised(features: np.ndarray, cameras: Sequence[int]) -> np.ndarray:
    """(f − mean) / deviation of f's camera, of length 1; of all rows for a camera that has no deviation."""
    out = []
    for feature, camera in zip(features, cameras, strict=True):
        own = np.array([f for f, c in zip(features, cameras, strict=True) if c == camera])
        if all((row == own[0]).all() for row in own):
            own = features
        row = [
            0.0 if len(set(column)) == 1 else (x - np.mean(column)) / np.std(column)
            for x, column in zip(feature.tolist(), own.T.tolist(), strict=True)
        ]
        length = math.sqrt(sum(x * x for x in row))
        out.append([x / length if length else 0.0 for x in row])
    return np.array(out)


def members(labels: list[int]) -> list[list[int]]:
    """Tracklets of each class, classes in ascending order of label."""
    return [[i for i, label in enumerate(labels) if label == c] for c in sorted(set(labels))]


def intra(dist: np.ndarray, c: list[int], divisor: str = "samples") -> float:
    """Eq (3)."""
    total = sum(dist[i][j] for i in c for j in c)
    return float(total / (len(c) if divisor == "samples" else len(c) ** 2))


def inter(dist: np.ndarray, a: list[int], b: list[int], linkage: str = "average") -> float:
    """Eq (4); or the distance of the nearest two."""
    between = [dist[i][j] for i in a for j in b]
    return float(min(between) if linkage == "nearest" else sum(between) / (len(a) * len(b)))


def criterion(
    dist: np.ndarray,
    a: list[int],
    b: list[int],
    lambda1: float,
    lambda2: float,
    divisor: str = "samples",
    linkage: str = "average",
) -> float:
    """Eq (7), with Eq (6) for the sizes."""
    spread = intra(dist, a, divisor) + intra(dist, b, divisor)
    return inter(dist, a, b, linkage) + lambda1 * spread + lambda2 * (len(a) + len(b))


def merge_cost(
    dist: np.ndarray,
    labels: list[int],
    lambda1: float,
    lambda2: float,
    divisor: str = "samples",
    linkage: str = "average",
) -> np.ndarray:
    """Eq (7) for all pairs of classes, +inf on the diagonal."""
    classes, how = members(labels), (lambda1, lambda2, divisor, linkage)
    return np.array([[math.inf if a is b else criterion(dist, a, b, *how) for b in classes] for a in classes])


def merge(labels: list[int], cost: np.ndarray, m: int) -> list[int]:
    """The m joins of one D: pairs in ascending (D, a, b), joined unless together already."""
    names = sorted(set(labels))
    parent = list(range(len(names)))

    def root(c: int) -> int:
        while parent[c] != c:
            c = parent[c]
        return c

    pairs = sorted((cost[a][b], a, b) for a in range(len(names)) for b in range(a + 1, len(names)))
    joined = 0
    for _, a, b in pairs:
        if joined == m:
            break
        if root(a) != root(b):
            parent[root(b)] = root(a)
            joined += 1
    assert joined == m
    return in_order_of_first([root(names.index(label)) for label in labels])


def merge_star(labels: list[int], cost: np.ndarray, m: int) -> list[int]:
    """Pairs in ascending (D, a, b), passed over once a or b is absorbed; else a absorbs b; m times."""
    names = sorted(set(labels))
    members_of = {a: [a] for a in range(len(names))}  # of the classes that are left
    pairs = sorted((cost[a][b], a, b) for a in range(len(names)) for b in range(a + 1, len(names)))
    for _, a, b in pairs:
        if len(members_of) == len(names) - m:
            break
        if a in members_of and b in members_of:
            members_of[a] += members_of.pop(b)
    assert len(members_of) == len(names) - m
    keeper = {c: a for a, absorbed in members_of.items() for c in absorbed}
    return in_order_of_first([keeper[names.index(label)] for label in labels])


def merge_exact(
    dist: np.ndarray,
    labels: list[int],
    m: int,
    lambda1: float,
    lambda2: float,
    divisor: str = "samples",
    linkage: str = "average",
) -> list[int]:
    """m times the closest pair, ties by (a, b), every D computed anew; the joined class stands at a."""
    classes = members(labels)
    for _ in range(m):
        _, a, b = min(
            (criterion(dist, classes[a], classes[b], lambda1, lambda2, divisor, linkage), a, b)
            for a in range(len(classes))
            for b in range(a + 1, len(classes))
        )
        classes[a] = classes[a] + classes[b]
        del classes[b]
    merged = {i: c for c, members_of_c in enumerate(classes) for i in members_of_c}
    return in_order_of_first([merged[i] for i in range(len(labels))])


def in_order_of_first(labels: list[int]) -> list[int]:
    """Classes renamed 0, 1, … as they first appear."""
    names: dict[int, int] = {}
    return [names.setdefault(label, len(names)) for label in labels]


def ranks(
    dist: np.ndarray, query: int, q_ids: list[int], g_ids: list[int], q_cams: list[int], g_cams: list[int]
) -> list[int]:
    """1-based ranks of a query's positives, by (distance, gallery position), ignored rows left out."""
    place, found = 0, []
    for row in sorted(range(len(g_ids)), key=lambda g: (dist[query][g], g)):
        if g_ids[row] == -1 or (g_ids[row] == q_ids[query] and g_cams[row] == q_cams[query]):
            continue
        place += 1
        if g_ids[row] == q_ids[query] and q_ids[query] > 0:
            found.append(place)
    return found


def average_precision(found: list[int]) -> float:
    """Mean of the precision at every positive."""
    return sum((i + 1) / rank for i, rank in enumerate(found)) / len(found)


def average_precision_trapezoid(found: list[int], length: int) -> float:
    """The area under the precision-recall curve, walked row by row as MARS's compute_AP does."""
    area, old_recall, old_precision, good = 0.0, 0.0, 1.0, 0
    for place in range(1, length + 1):
        good += place in found
        recall, precision = good / len(found), good / place
        area += (recall - old_recall) * (old_precision + precision) / 2
        old_recall, old_precision = recall, precision
    return area


def evaluate(
    dist: np.ndarray, q_ids: list[int], g_ids: list[int], q_cams: list[int], g_cams: list[int]
) -> dict[str, float]:
    """CMC and both mAPs, query by query."""
    all_ranks = [ranks(dist, q, q_ids, g_ids, q_cams, g_cams) for q in range(len(q_ids))]
    measured = [found for found in all_ranks if found]
    out = {f"rank{k}": float(np.mean([found[0] <= k for found in measured])) for k in (1, 5, 10, 20)}
    out["mAP"] = float(np.mean([average_precision(found) for found in measured]))
    out["mAP_trapezoid"] = float(
        np.mean([average_precision_trapezoid(found, len(g_ids)) for found in measured])
    )
    out["queries"], out["queries_skipped"] = len(measured), len(all_ranks) - len(measured)
    return out


def purity(labels: list[int], people: list[int]) -> float:
    """Share of tracklets that belong to their class's commonest person."""
    return sum(max(Counter(people[i] for i in c).values()) for c in members(labels)) / len(labels)


def nmi(labels: list[int], people: list[int]) -> float:
    """Mutual information over the arithmetic mean of the entropies."""
    n, a, b, both = len(labels), Counter(labels), Counter(people), Counter(zip(labels, people, strict=True))

    def entropy(counts: Counter) -> float:
        return -sum(k / n * math.log(k / n) for k in counts.values())

    information = sum(k / n * math.log(k * n / (a[x] * b[y])) for (x, y), k in both.items())
    mean = (entropy(a) + entropy(b)) / 2
    return 1.0 if mean == 0 else information / mean


def pair_counts(labels: list[int], people: list[int]) -> tuple[int, int, int, int]:
    """Pairs of tracklets: together in both, in the class only, in the person only, in neither."""
    counts = Counter(
        (labels[i] == labels[j], people[i] == people[j])
        for i in range(len(labels))
        for j in range(i + 1, len(labels))
    )
    return tuple(counts[key] for key in ((True, True), (True, False), (False, True), (False, False)))


def pairwise_f(labels: list[int], people: list[int]) -> float:
    """F1 of the pairs that the classes put together."""
    tp, fp, fn, _ = pair_counts(labels, people)
    return 1.0 if tp + fp + fn == 0 else 2 * tp / (2 * tp + fp + fn)


def ari(labels: list[int], people: list[int]) -> float:
    """Adjusted Rand index, from pair counts (Hubert and Arabie)."""
    tp, fp, fn, tn = pair_counts(labels, people)
    if fp == 0 and fn == 0:
        return 1.0
    return 2 * (tp * tn - fn * fp) / ((tp + fn) * (fn + tn) + (tp + fp) * (fp + tn))

"""Scores without labels at MARS's size, each against what a library or a plain loop takes for the same.

    python benchmarks/scores.py --quick             a look, about ten seconds
    python benchmarks/scores.py                     8,298 tracklets, 2,048 features, six cameras, 625 people

Features are drawn: a person's, a camera's and noise, with noise of their own in every sixth of a tracklet.
Scores and rivals get the same ones and must agree to 1e-4. What a step of training takes beside these
stands in a study's results: seconds_scores against the other seconds_….
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from measure import options, set_up, table, timed, write_json
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.metrics import adjusted_mutual_info_score, silhouette_score
from sklearn.neighbors import NearestNeighbors
from torch import Tensor
from torch.nn.functional import normalize

from dcreid.clustering.cameras import camera_normalised
from dcreid.evaluation.unlabelled import (
    NEIGHBOURS,
    TRACKLETS_PER_CLASS,
    agreement,
    camera_excess,
    exclusivity,
    self_retrieval,
    silhouette,
    size_balance,
    stability,
)

CAMERAS, TRACKLETS_OF_ONE = 6, 13  # MARS: 8,298 tracklets of 625 people


def drawn(n: int, d: int) -> tuple[Tensor, Tensor, Tensor]:
    """Parts (2, n, d) of length 1, cameras (n,) and people (n,)."""
    rng = torch.Generator().manual_seed(0)
    people = torch.arange(n) // TRACKLETS_OF_ONE
    cameras = torch.randint(0, CAMERAS, (n,), generator=rng)
    of_people = torch.randn(int(people.max()) + 1, d, generator=rng)
    of_cameras = torch.randn(CAMERAS, d, generator=rng)
    v = of_people[people] + of_cameras[cameras] + 1.5 * torch.randn(n, d, generator=rng)
    return normalize(v + torch.randn(2, n, d, generator=rng), dim=2), cameras, people


def rank_by_rank(first: Tensor, last: Tensor, cameras: Tensor) -> float:
    """Self-retrieval, a tracklet at a time."""
    found = []
    for i in range(len(first)):
        gallery = (cameras == cameras[i]).nonzero().flatten()
        similar = last[gallery] @ first[i]
        found.append(1 / float((similar >= similar[gallery == i]).sum()))
    return float(np.mean(found))


def neighbours_by_scikit_learn(v: Tensor, cameras: Tensor) -> float:
    """Camera excess, from scikit-learn's nearest neighbours."""
    index = NearestNeighbors(n_neighbors=NEIGHBOURS + 1, algorithm="brute").fit(v.numpy())
    nearest = index.kneighbors(v.numpy(), return_distance=False)[:, 1:]
    own = cameras.numpy()
    shares = (own[nearest] == own[:, None]).mean(axis=1)
    chance = (np.bincount(own)[own] - 1) / (len(own) - 1)
    return float(((shares - chance) / (1 - chance)).mean())


def stability_by_scipy(halves: Tensor, cameras: Tensor) -> float:
    """Stability, from SciPy's average linkage and scikit-learn's adjusted mutual information."""
    n = halves.shape[1]
    trees = [linkage(camera_normalised(half, cameras).numpy(), "average") for half in halves]
    cuts = [[fcluster(tree, n // size, "maxclust") for tree in trees] for size in TRACKLETS_PER_CLASS]
    return float(np.mean([adjusted_mutual_info_score(*cut) for cut in cuts]))


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--tracklets", type=int, default=8_298, help="[8298]")
    parser.add_argument("--dim", type=int, default=2_048, help="width of the features [2048]")
    args = parser.parse_args()
    set_up(args)
    n, d = (600, 64) if args.quick else (args.tracklets, args.dim)
    parts, cameras, people = drawn(n, d)
    on_device, v = parts.to(args.device), normalize(parts.sum(dim=0), dim=1)
    mixed = people[torch.randperm(n, generator=torch.Generator().manual_seed(1))]
    some = torch.where(torch.arange(n) % 4 == 0, mixed, people)  # three quarters are right
    one, other = people.numpy(), some.numpy()
    times = np.stack([np.arange(n), np.arange(n) + 20], axis=1)
    compared: dict[str, tuple[Callable[[], float | None], Callable[[], float] | None]] = {
        "self_retrieval": (
            lambda: self_retrieval(on_device[0], on_device[1], cameras),
            lambda: rank_by_rank(parts[0], parts[1], cameras),
        ),
        "camera_excess": (
            lambda: camera_excess(v.to(args.device), cameras),
            lambda: neighbours_by_scikit_learn(v, cameras),
        ),
        "stability": (lambda: stability(on_device, cameras), lambda: stability_by_scipy(parts, cameras)),
        "silhouette": (
            lambda: silhouette(v.to(args.device), some),
            lambda: float(silhouette_score(v.numpy(), other, metric="sqeuclidean")),
        ),
        "agreement": (lambda: agreement(one, other), lambda: adjusted_mutual_info_score(one, other)),
        "size_balance": (lambda: size_balance(np.bincount(one)), None),
        "exclusivity": (lambda: exclusivity(other, cameras.numpy(), times), None),
    }
    rows, results = [], {}
    for name, (score, rival) in compared.items():
        seconds, value = timed(score, args.repeats, args.device)
        assert value is not None
        results[name] = {"value": value, "seconds": seconds}
        if rival is not None:
            slow, expected = timed(rival, 1)
            assert abs(value - expected) < 1e-4, (name, value, expected)
            results[name] |= {"rival_seconds": slow, "ratio": slow / seconds}
        shown = (results[name].get(key, float("nan")) for key in ("seconds", "rival_seconds", "ratio"))
        rows.append((name, f"{value:.3f}", *shown))
    together = sum(found["seconds"] for name, found in results.items() if name != "agreement")
    rows.append(("together", "", together, float("nan"), float("nan")))
    title = f"scores of {n:,} tracklets, {d:,} features (agreement is part of stability)"
    table(title, ("score", "value", "seconds", "rival, s", "ratio"), rows)
    write_json(args.json, "scores", results, args)


if __name__ == "__main__":
    main()

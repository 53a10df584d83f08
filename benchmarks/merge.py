"""The merge step: distances, Eqs (3)-(7), m joins; against the loops of public code and average linkage.

    python benchmarks/merge.py --quick           a look, about 20 seconds
    python benchmarks/merge.py                   MARS's size: 8,298 tracklets, 2,048 features, m = 414
    python benchmarks/merge.py --blocked 100000 --only-blocked   without the matrix (minutes)

The rivals start from the same distances, which public code makes as one product of all pairs. DBC's
double loop is timed on some rows of the criterion and scaled to all pairs (`--dbc-rows 0` runs them
all). Wherever the result must be the same, it is compared, and a difference ends the benchmark.
"half-merged" has the labels left after ten merges. From single tracklets the classes are made anew, down to
as many as the last stage is trained on; the loop that computes Eq (7) anew before every join is timed on
its first joins and scaled by the number of pairs. The blocked merge is run at a tenth, a fifth, two fifths
and all of N.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import numpy as np
import rivals
import torch
from measure import exponent, in_turn, options, peak_bytes, set_up, table, timed, write_json
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from torch import Tensor
from torch.nn import functional

from dcreid.clustering.agglomeration import exact_joins
from dcreid.clustering.blocked import blocked_joins
from dcreid.clustering.criterion import merge_costs
from dcreid.clustering.distances import cross_distances, pairwise_distances
from dcreid.clustering.kruskal import JoinedPairs
from dcreid.clustering.merging import joined_labels, joins_of_one
from dcreid.clustering.star import stars
from dcreid.config import MergeConfig

LAMBDA1, LAMBDA2 = 0.06, 0.003
WEIGHTS = LAMBDA1, LAMBDA2, "samples"
OF_BUC = 0.0, LAMBDA2, "samples", "nearest"
_LARGE = 5000
PER_PERSON = 13  # tracklets of a MARS training identity, on average


def make_features(n: int, d: int, device: str, seed: int = 0) -> Tensor:
    """(n, d) unit rows around n / 13 centres, as far from them as other centres are."""
    generator = torch.Generator(device).manual_seed(seed)
    centres = torch.randn(max(1, n // PER_PERSON), d, generator=generator, device=device)
    person = torch.randint(len(centres), (n,), generator=generator, device=device)
    features = torch.randn(n, d, generator=generator, device=device).add_(centres[person])
    return functional.normalize(features, dim=1)


def joins(n: int) -> int:
    return max(1, n // 20)


def half_merged(distances: Tensor) -> Tensor:
    labels = torch.arange(len(distances), device=distances.device)
    for _ in range(10):
        labels = step(distances, labels, joins(len(distances)))
    return labels


def partition(labels: Any) -> list[int]:
    """Classes renamed in order of first tracklet, whoever made them."""
    names: dict[int, int] = {}
    return [names.setdefault(int(label), len(names)) for label in labels]


def step(distances: Tensor, labels: Tensor, m: int) -> Tensor:
    return joined_labels(labels, *joins_of_one(distances, labels, m, *WEIGHTS))


def against_rivals(n: int, d: int, args: argparse.Namespace) -> list[dict[str, Any]]:
    device, repeats, m = args.device, args.repeats, joins(n)
    features = make_features(n, d, device)
    ways = {"ours": lambda: pairwise_distances(features), "all": lambda: cross_distances(features, features)}
    product, distances = in_turn(ways, repeats, device), pairwise_distances(features)
    host = distances.cpu().numpy()
    results = []
    for start, labels in (
        ("C = N", torch.arange(n, device=device)),
        ("half-merged", half_merged(distances)),
    ):
        ours, _ = timed(lambda labels=labels: step(distances, labels, m), repeats, device)
        exact, _ = timed(lambda labels=labels: exact_joins(distances, labels, m, *WEIGHTS), repeats, device)
        star, starred = timed(
            lambda labels=labels: joined_labels(
                labels, *joins_of_one(distances, labels, m, *WEIGHTS, choose=stars)
            ),
            repeats,
            device,
        )
        nearest, merged = timed(
            lambda labels=labels: joined_labels(labels, *joins_of_one(distances, labels, m, *OF_BUC)),
            repeats,
            device,
        )
        peak = peak_bytes(lambda labels=labels: step(pairwise_distances(features), labels, m), device)
        peak = peak if n >= _LARGE else float("nan")  # the allocator reuses what smaller runs left
        seconds = {
            "this library": ours,
            "this library, exact": exact,
            "this library, star": star,
            "this library, nearest": nearest,
            "BUC's loops": _buc(host, labels, m, merged),
            "DBC's double loop": _dbc(host, labels, m, args.dbc_rows, starred),
            "SciPy average linkage": _scipy(host) if start == "C = N" else float("nan"),
        }
        results.append(
            {"start": start, "classes": len(labels.unique()), "n": n, "d": d, "m": m, "seconds": seconds}
            | {"distances": product["ours"], "distances_of_all_pairs": product["all"]}
            | {"peak_of_n2_float32": peak / (4.0 * n * n)}
        )
    return results


def _buc(host: np.ndarray, labels: Tensor, m: int, expected: Tensor) -> float:
    seconds, merged = timed(lambda: rivals.buc_merge(host, labels.tolist(), m, LAMBDA2), 1)
    assert partition(merged) == expected.tolist(), "BUC's loops join other classes"
    return seconds


def _dbc(host: np.ndarray, labels: Tensor, m: int, n_rows: int, expected: Tensor) -> float:
    """Seconds of all c (c - 1) / 2 pairs and of the sort and joins after them."""
    index, c = labels.cpu().numpy(), len(labels.unique())
    rows = np.unique(np.linspace(0, c - 2, n_rows or c - 1).astype(np.int64))
    loop, some = timed(lambda: rivals.dbc_costs(host, index, LAMBDA1, LAMBDA2, rows), 1)
    cost = merge_costs(torch.from_numpy(host), torch.from_numpy(index), *WEIGHTS).total.triu_(1).numpy()
    cost[np.tril_indices(c)] = np.inf
    there = np.isfinite(some)
    np.testing.assert_allclose(cost[rows][there], some[there], rtol=1e-4)
    rest, merged = timed(lambda: rivals.dbc_merge(cost, index.tolist(), m), 1)
    assert partition(merged) == expected.tolist(), "DBC's loop joins other classes"
    return loop * (c * (c - 1) / 2) / there.sum() + rest


def _scipy(host: np.ndarray) -> float:
    condensed = squareform(host, checks=False).astype(np.float64)
    return timed(lambda: linkage(condensed, "average"), 1)[0]


def from_single(n: int, d: int, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Classes made anew, N - C joins, beside their rivals: (name, seconds, rival, its seconds) by row."""
    distances = pairwise_distances(make_features(n, d, args.device))
    labels, condensed = torch.arange(n, device=args.device), squareform(distances.cpu().numpy(), checks=False)
    gone = n - left_in_the_last_stage(n)
    ways = {
        "average, Eq (7)": WEIGHTS,
        "nearest, Eq (7)": (*WEIGHTS, "nearest"),
        "average, λ = 0": (0.0, 0.0, "samples"),
        "nearest, λ = 0": (0.0, 0.0, "samples", "nearest"),
    }
    runs = {name: lambda how=how: exact_joins(distances, labels, gone, *how) for name, how in ways.items()}
    runs |= {f"SciPy, {how}": lambda how=how: linkage(condensed, how) for how in ("average", "single")}
    seconds = in_turn(runs, args.repeats, args.device, warm=False)
    loop, spent = rivals.recomputed_joins(distances.cpu().numpy(), args.loop_joins, LAMBDA1, LAMBDA2)
    first = exact_joins(distances, labels, args.loop_joins, *WEIGHTS)
    assert loop == list(zip(*(pair.tolist() for pair in first), strict=True)), "the loop joins other classes"
    pairs = sum(c * c for c in range(n - gone + 1, n + 1)) / sum(
        c * c for c in range(n - len(loop) + 1, n + 1)
    )
    seconds["loop"] = sum(spent) * pairs
    beside = {"average, Eq (7)": ("the loop that recomputes Eq (7), scaled", seconds["loop"])}
    beside["average, λ = 0"] = ("SciPy's average linkage, to the root", seconds["SciPy, average"])
    beside["nearest, λ = 0"] = ("SciPy's single linkage, to the root", seconds["SciPy, single"])
    return [
        {"way": name, "n": n, "classes": n - gone, "seconds": seconds[name]}
        | dict(zip(("rival", "rival_seconds"), beside.get(name, ("-", math.nan)), strict=True))
        for name in ways
    ]


def left_in_the_last_stage(n: int) -> int:
    """C before the last merge."""
    merging = MergeConfig()
    return n - merging.joins_per_step(n) * (merging.merge_steps(n) - 1)


def check_average_linkage(n: int = 1500) -> None:
    """With λ1 = λ2 = 0 the exact merge is average linkage: same classes, in float64."""
    distances = pairwise_distances(make_features(n, 64, "cpu").double())
    tree = linkage(squareform(distances.numpy(), checks=False), "average")
    labels = torch.arange(n)
    merged = joined_labels(labels, *exact_joins(distances, labels, n // 2, 0.0, 0.0, "samples"))
    assert merged.tolist() == partition(fcluster(tree, n - n // 2, "maxclust")), "not average linkage"


def sweep(sizes: list[int], d: int, args: argparse.Namespace) -> list[dict[str, float]]:
    """Seconds against n: product, merge step of one D, blocked merge."""
    found = []
    for n in sizes:
        features = make_features(n, d, args.device)
        labels = torch.arange(n, device=args.device)
        product, distances = timed(
            lambda features=features: pairwise_distances(features), args.repeats, args.device
        )
        merging, merged = timed(
            lambda distances=distances, labels=labels: step(distances, labels, joins(len(labels))),
            args.repeats,
            args.device,
        )
        del distances
        found.append({"n": n, "distances": product, "merge": merging} | _blocked(features, labels, 1))
        del merged
    return found


def _blocked(features: Tensor, labels: Tensor, repeats: int) -> dict[str, float]:
    device, m = features.device.type, joins(len(labels))

    def run() -> JoinedPairs:
        return blocked_joins(features, labels, m, *WEIGHTS)

    seconds, _ = timed(run, repeats, device)
    return {"blocked": seconds}


def beyond_memory(n: int, d: int, args: argparse.Namespace) -> list[dict[str, Any]]:
    """The blocked merge up to a size whose matrix does not fit; there also half-merged, and squared."""
    results = [_beyond(size, d, "C = N", False, args) for size in (n // 10, n // 5, 2 * n // 5, n)]
    for start, squared in (("C = N", True), ("half-merged", False), ("half-merged", True)):
        results.append(_beyond(n, d, start, squared, args))
    return results


def _beyond(n: int, d: int, start: str, squared: bool, args: argparse.Namespace) -> dict[str, Any]:
    features = make_features(n, d, args.device)
    # Pairs of tracklets stand for later steps.
    labels = torch.arange(n, device=args.device) // (1 if start == "C = N" else 2)
    used: list[float] = []

    def run() -> JoinedPairs:
        return blocked_joins(features, labels, joins(n), *WEIGHTS, squared=squared)

    seconds, _ = timed(lambda: used.append(peak_bytes(run, args.device)), 1)
    return {
        "start": start,
        "squared": squared,
        "n": n,
        "d": d,
        "seconds": seconds,
        "peak_gb": (used[-1] + features.nbytes) / 1e9,
        "matrix_gb": 4.0 * n * n / 1e9,
    }


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--tracklets", type=int, default=8298, help="N (default: MARS's 8,298)")
    parser.add_argument("--dim", type=int, default=2048, help="feature width (default: ResNet-50's 2,048)")
    parser.add_argument("--dbc-rows", type=int, default=40, help="rows of DBC's double loop run; 0 = all")
    parser.add_argument(
        "--loop-joins", type=int, default=5, help="joins of the loop that recomputes Eq (7) (default: 5)"
    )
    parser.add_argument("--blocked", type=int, default=0, metavar="N", help="also merge N without a matrix")
    parser.add_argument("--only-blocked", action="store_true", help="nothing else")
    args = parser.parse_args()
    set_up(args)
    n, d, sizes = args.tracklets, args.dim, [1000, 2000, 4000, 8000, 16000]
    if args.quick:
        n, d, sizes = min(n, 1500), min(d, 256), [500, 1000, 2000]
    results: dict[str, Any] = {}
    if not args.only_blocked:
        check_average_linkage(300 if args.quick else 1500)
        results = {"rivals": against_rivals(n, d, args), "single": from_single(n, d, args)}
        results["sweep"] = sweep(sizes, d, args)
        for found in results["rivals"]:
            show_rivals(found)
        show_single(results["single"])
        show_sweep(results["sweep"], d)
    if args.blocked:
        results["blocked"] = beyond_memory(args.blocked, args.dim, args)
        show_blocked(results["blocked"])
    write_json(args.json, "merge", results, args)


def show_rivals(found: dict[str, Any]) -> None:
    ours, product, peak = found["seconds"]["this library"], found["distances"], found["peak_of_n2_float32"]
    memory = "" if math.isnan(peak) else f"; peak with them {peak:.2f} × N² float32"
    rows: list[tuple[object, ...]] = []
    for name, seconds in found["seconds"].items():
        before = product if name.startswith("this library") else found["distances_of_all_pairs"]
        rows.append((name, seconds, seconds / ours, before, (seconds + before) / (product + ours)))
    table(
        f"{found['start']}: {found['n']:,} tracklets, {found['classes']:,} classes, m = {found['m']}{memory}",
        ("merge step", "seconds", "× ours", "distances before it, s", "× ours, with them"),
        rows,
    )


def show_single(found: list[dict[str, Any]]) -> None:
    table(
        f"Made anew: {found[0]['n']:,} tracklets to {found[0]['classes']} classes, after the distances",
        ("way", "seconds", "rival", "its seconds", "× ours"),
        [
            (
                row["way"],
                row["seconds"],
                row["rival"],
                row["rival_seconds"],
                row["rival_seconds"] / row["seconds"],
            )
            for row in found
        ],
    )


def show_sweep(found: list[dict[str, float]], d: int) -> None:
    parts = ("distances", "merge", "blocked")
    sizes = [int(row["n"]) for row in found]
    rows: list[tuple[object, ...]] = [(f"{row['n']:,}", *(row[part] for part in parts)) for row in found]
    rows.append(("exponent", *(exponent(sizes, [row[part] for row in found]) for part in parts)))
    table(
        f"Seconds against N (one tracklet per class, {d:,} features; blocked makes its own distances)",
        ("N", *parts),
        rows,
    )


def show_blocked(found: list[dict[str, Any]]) -> None:
    rows: list[tuple[object, ...]] = [
        (
            f"{row['n']:,}",
            row["start"],
            "squared" if row["squared"] else "euclidean",
            row["seconds"],
            row["peak_gb"],
            row["matrix_gb"],
        )
        for row in found
    ]
    same = [row for row in found if row["start"] == "C = N" and not row["squared"]]
    grow = exponent([row["n"] for row in same], [row["seconds"] for row in same])
    table(
        f"Without the matrix, {found[0]['d']:,} features; euclidean from C = N: seconds ∝ N^{grow:.2f}",
        ("N", "start", "distance", "seconds", "peak GB, features included", "the matrix, GB"),
        rows,
    )


if __name__ == "__main__":
    main()

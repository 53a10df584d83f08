"""The Jaccard distance of k-reciprocal neighbours, against the usual re-ranking row by row in NumPy.

    python benchmarks/jaccard.py --quick     a look, a few seconds
    python benchmarks/jaccard.py             MARS's size: 8,298 tracklets, 2,048 features, k1 = 20, k2 = 6

Both start from the same squared distances and take turns; the
results are compared, and a difference ends the benchmark. Features are drawn twice: around people, 13
tracklets each, and without any order, which gives the largest neighbourhoods. "whole" is features to
distances as a merge makes them, with its peak memory beyond the features.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
from measure import in_turn, options, peak_bytes, set_up, table, timed, write_json
from merge import make_features
from rivals import rerank_by_rows
from torch import Tensor
from torch.nn import functional

from dcreid.clustering.distances import merge_distances, pairwise_distances
from dcreid.clustering.jaccard import jaccard_distances
from dcreid.config import MergeConfig

_TOLERANCE = 2e-5  # the rival's sums are of float32


def against_rival(kind: str, features: Tensor, args: argparse.Namespace) -> dict[str, Any]:
    device, k1, k2 = args.device, args.k1, args.k2
    merge = MergeConfig(distance="jaccard", k1=k1, k2=k2)
    peak = peak_bytes(lambda: merge_distances(features, merge), device)
    whole, _ = timed(lambda: merge_distances(features, merge), args.repeats, device)
    squares = pairwise_distances(features, squared=True)
    host, found = squares.cpu().numpy(), {}
    copies = [squares.clone() for _ in range(args.repeats)]  # ours overwrites its argument

    def ours() -> None:
        found["ours"] = jaccard_distances(copies.pop(), k1, k2)

    def theirs() -> None:
        found["theirs"] = rerank_by_rows(host, k1, k2)

    seconds = in_turn({"this library": ours, "row by row": theirs}, args.repeats, device, warm=False)
    apart = float(np.abs(found["ours"].cpu().numpy() - found["theirs"]).max())
    assert apart < _TOLERANCE, f"the results differ by {apart}"
    return {
        "features": kind,
        "n": len(features),
        "seconds": seconds,
        "whole": whole,
        "ratio": seconds["row by row"] / seconds["this library"],
        "peak_of_n2_float32": peak / (4.0 * len(features) ** 2),
    }


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--tracklets", type=int, default=8298, help="N (default: MARS's 8,298)")
    parser.add_argument("--dim", type=int, default=2048, help="feature width (default: ResNet-50's 2,048)")
    parser.add_argument("--k1", type=int, default=20)
    parser.add_argument("--k2", type=int, default=6)
    args = parser.parse_args()
    set_up(args)
    n, d = args.tracklets, args.dim
    if args.quick:
        n, d = min(n, 1000), min(d, 128)
    generator = torch.Generator().manual_seed(1)
    without_order = torch.randn(n, d, generator=generator).to(args.device)
    drawn = {
        "people": make_features(n, d, args.device),
        "no order": functional.normalize(without_order, dim=1),
    }
    results = {"rival": [against_rival(kind, features, args) for kind, features in drawn.items()]}
    table(
        f"{n:,} tracklets, {d:,} features, k1 = {args.k1}, k2 = {args.k2}; equal results; medians of seconds",
        ("features", "from distances", "row by row", "ratio", "whole", "peak / N² float32"),
        [
            (
                found["features"],
                *found["seconds"].values(),
                found["ratio"],
                found["whole"],
                found["peak_of_n2_float32"],
            )
            for found in results["rival"]
        ],
    )
    write_json(args.json, "jaccard", results, args)


if __name__ == "__main__":
    main()

"""Retrieval: CMC and both mAPs of a distance matrix, against the usual loop over queries.

    python benchmarks/evaluate.py --quick                   a look, a few seconds
    python benchmarks/evaluate.py                           MARS's counts, identities and cameras drawn
    python benchmarks/evaluate.py --mars-info FOLDER        MARS's own identities and cameras

FOLDER holds tracks_test_info.mat and query_IDX.mat. Distances are drawn, closer for the same person;
both evaluators get the same ones and must agree to 1e-9, in all six numbers.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rivals
import torch
from measure import exponent, options, peak_bytes, set_up, table, timed, write_json
from numpy.typing import NDArray
from torch import Tensor

from dcreid.data.readers.mars import read_query_rows, read_tracks
from dcreid.evaluation.retrieval import RetrievalMetrics, evaluate

Ints = NDArray[np.int64]
NAMES = ("rank1", "rank5", "rank10", "rank20", "mAP", "mAP_trapezoid")
# MARS: 12,180 test tracklets, of which 870 junk and 3,248 distractors; 1,980 queries, 636 people, 6 cameras.
GALLERY, JUNK, DISTRACTORS, QUERIES, PEOPLE, CAMERAS = 12_180, 870, 3_248, 1_980, 636, 6


class Labels(NamedTuple):
    """Identities and cameras of queries (q,) and gallery (g,)."""

    q_ids: Ints
    g_ids: Ints
    q_cams: Ints
    g_cams: Ints


def mars_labels(folder: Path) -> Labels:
    """The official protocol: every test row is in the gallery."""
    tracks = read_tracks(folder / "tracks_test_info.mat")
    query = read_query_rows(folder / "query_IDX.mat", len(tracks))
    return Labels(tracks[query, 2], tracks[:, 2], tracks[query, 3], tracks[:, 3])


def drawn_labels(scale: float = 1.0, seed: int = 0) -> Labels:
    """MARS's counts times `scale`; queries are gallery rows."""
    rng = np.random.default_rng(seed)
    g, people = int(GALLERY * scale), max(2, int(PEOPLE * scale))
    ids = rng.integers(1, people + 1, g)
    ids[: int((JUNK + DISTRACTORS) * scale)] = 0
    ids[: int(JUNK * scale)] = -1
    ids, cams = rng.permutation(ids), rng.integers(1, CAMERAS + 1, g)
    query = rng.choice(np.flatnonzero(ids > 0), int(QUERIES * scale), replace=False)
    return Labels(ids[query], ids, cams[query], cams)


def draw_distances(labels: Labels, device: str, seed: int = 0) -> Tensor:
    """(q, g) uniform, a third closer on average for the same person."""
    rng = np.random.default_rng(seed)
    distances = rng.random((len(labels.q_ids), len(labels.g_ids)), dtype=np.float32)
    distances[labels.q_ids[:, None] == labels.g_ids[None, :]] *= 0.4
    return torch.from_numpy(distances).to(device)


def run(distances: Tensor, labels: Labels) -> RetrievalMetrics:
    return evaluate(distances, labels.q_ids, labels.g_ids, labels.q_cams, labels.g_cams)


def against_rival(labels: Labels, args: argparse.Namespace) -> dict[str, Any]:
    distances = draw_distances(labels, args.device)
    ours, got = timed(lambda: run(distances, labels), args.repeats, args.device)
    peak = peak_bytes(lambda: run(distances, labels), args.device)
    loop, expected = timed(lambda: rivals.evaluate_per_query(distances.cpu().numpy(), *labels), 1)
    for name in NAMES:
        assert abs(getattr(got, name) - expected[name]) < 1e-9, (name, getattr(got, name), expected[name])
    return {
        "queries": len(labels.q_ids),
        "gallery": len(labels.g_ids),
        "seconds": {"this library": ours, "loop over queries": loop},
        "peak_of_distances": peak / distances.nbytes,
        "metrics": {name: getattr(got, name) for name in NAMES},
        "queries_skipped": got.queries_skipped,
    }


def sweep(scales: list[float], args: argparse.Namespace) -> list[dict[str, float]]:
    """Seconds against the gallery's size, with 1,980 queries (fewer where the gallery is small)."""
    found = []
    for scale in scales:
        labels = drawn_labels(scale)
        few = Labels(labels.q_ids[:QUERIES], labels.g_ids, labels.q_cams[:QUERIES], labels.g_cams)
        distances = draw_distances(few, args.device)
        seconds, _ = timed(
            lambda distances=distances, few=few: run(distances, few), args.repeats, args.device
        )
        found.append({"queries": len(few.q_ids), "gallery": len(few.g_ids), "seconds": seconds})
    return found


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--mars-info", type=Path, metavar="FOLDER", help="MARS's own .mat files")
    args = parser.parse_args()
    set_up(args)
    scale = 0.2 if args.quick else 1.0
    labels = mars_labels(args.mars_info) if args.mars_info else drawn_labels(scale)
    results: dict[str, Any] = {"rival": against_rival(labels, args)}
    show_rival(results["rival"], "MARS's own" if args.mars_info else "drawn")
    results["sweep"] = sweep([0.25, 0.5] if args.quick else [1.0, 2.0, 4.0], args)
    show_sweep(results["sweep"])
    write_json(args.json, "evaluate", results, args)


def show_rival(found: dict[str, Any], source: str) -> None:
    ours = found["seconds"]["this library"]
    table(
        f"{found['queries']:,} queries × {found['gallery']:,} gallery rows, identities and cameras {source}; "
        f"equal results; memory {found['peak_of_distances']:.1f} × the distances beside them",
        ("evaluator", "seconds", "× ours"),
        [(name, seconds, seconds / ours) for name, seconds in found["seconds"].items()],
    )


def show_sweep(found: list[dict[str, float]]) -> None:
    rows: list[tuple[object, ...]] = [
        (f"{row['gallery']:,}", row["queries"], row["seconds"]) for row in found
    ]
    per_query = [row["seconds"] / row["queries"] for row in found]
    rows.append(("exponent", "-", exponent([int(row["gallery"]) for row in found], per_query)))
    table(
        "Seconds against the gallery (exponent: of seconds per query)",
        ("gallery", "queries", "seconds"),
        rows,
    )


if __name__ == "__main__":
    main()

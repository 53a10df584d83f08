"""Exact nearest neighbours in blocks, against FAISS's exact index and NumPy's full matrix with argpartition.

    python benchmarks/search.py --quick                       a look, a few seconds
    python benchmarks/search.py                               1,000,000 × 512, 1,000 queries, k = 10
    python benchmarks/search.py --threads 1 --queries 1       one query

The gallery is a memory-mapped .npy file of 4 × rows × width bytes, written to a temporary folder first
(TMPDIR), of drawn rows of length 1. All take turns on the same queries and must find the same rows, but for
ties in float32. FAISS holds a copy of the gallery, and making it is not counted. NumPy takes a tenth of the
queries, and its seconds are scaled up: its matrices and indices have 20 bytes × queries × gallery.
"peak" is all that the process holds while it searches, mapped pages included. FAISS is left out where
faiss-cpu is not installed, and with --device cuda.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import held_bytes, in_turn, options, peak_bytes, set_up, table, write_json
from numpy.typing import NDArray

from dcreid.nearest import nearest

Floats = NDArray[np.float32]
Rows = NDArray[np.integer[Any]]
_WRITTEN_AT_ONCE = 65_536
_TOLERANCE = 1e-5  # of squared distances, where the rivals found another row


def draw(rng: np.random.Generator, n: int, d: int) -> Floats:
    """(n, d) directions without any order: the least helpful to whoever prunes."""
    rows = rng.standard_normal((n, d), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def write_gallery(path: Path, rng: np.random.Generator, g: int, d: int) -> NDArray[np.float32]:
    """The gallery, mapped from its file."""
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(g, d))
    for start in range(0, g, _WRITTEN_AT_ONCE):
        rows[start : start + _WRITTEN_AT_ONCE] = draw(rng, min(_WRITTEN_AT_ONCE, g - start), d)
    rows.flush()
    del rows
    mapped: NDArray[np.float32] = np.load(path, mmap_mode="r")
    return mapped


def faiss_search(gallery: Floats, threads: int) -> Callable[[Floats, int], Rows] | None:
    """Search by FAISS's exact index; None where it is not installed."""
    try:
        import faiss
    except ImportError:
        print("faiss-cpu is not installed: FAISS is left out (pip install -e '.[dev]')")
        return None
    faiss.omp_set_num_threads(threads)
    index = faiss.IndexFlatL2(gallery.shape[1])
    for start in range(0, len(gallery), _WRITTEN_AT_ONCE):
        index.add(gallery[start : start + _WRITTEN_AT_ONCE])

    def search(queries: Floats, k: int) -> Rows:
        rows: Rows = index.search(queries, k)[1]
        return rows

    return search


def numpy_search(queries: Floats, gallery: Floats, k: int) -> Rows:
    """The usual lines: the full matrix, the k smallest of each row, these sorted."""
    squares = (queries**2).sum(1)[:, None] + (gallery**2).sum(1)[None, :] - 2 * queries @ gallery.T
    few = np.argpartition(squares, k - 1, axis=1)[:, :k]
    order = np.take_along_axis(squares, few, 1).argsort(1)
    return np.take_along_axis(few, order, 1)


def check_same(queries: Floats, gallery: Floats, ours: Rows, theirs: Rows, name: str) -> None:
    """Another row is taken only where it is as far away, to float32."""
    query, place = np.nonzero(ours[: len(theirs)] != theirs)
    apart = [
        ((queries[query] - gallery[rows[query, place]]).astype(np.float64) ** 2).sum(1)
        for rows in (ours, theirs)
    ]
    assert np.allclose(*apart, rtol=0, atol=_TOLERANCE), f"{name} finds other rows"


def measure(gallery: Floats, queries: Floats, args: argparse.Namespace) -> dict[str, Any]:
    q, k, found = len(queries), args.k, {}
    given = torch.from_numpy(queries).to(args.device)

    def ours() -> None:
        found["this library"] = nearest(given, gallery, k)[1].cpu().numpy()

    before = held_bytes()
    peak = peak_bytes(ours, args.device)
    runs: dict[str, Callable[[], None]] = {"this library": ours}
    share = {"this library": 1.0}
    faiss = faiss_search(gallery, torch.get_num_threads()) if args.device == "cpu" else None
    if faiss is not None:
        runs["FAISS IndexFlatL2"] = lambda: found.update({"FAISS IndexFlatL2": faiss(queries, k)})
    some = max(1, q // 10)
    runs["NumPy, full matrix"] = lambda: found.update(
        {"NumPy, full matrix": numpy_search(queries[:some], gallery, k)}
    )
    share["NumPy, full matrix"] = some / q
    seconds = in_turn(runs, args.repeats, args.device, warm=False)
    for name in list(runs)[1:]:
        check_same(queries, gallery, found["this library"], found[name], name)
    return {
        "queries": q,
        "gallery": len(gallery),
        "width": gallery.shape[1],
        "k": k,
        "seconds": {name: spent / share.get(name, 1.0) for name, spent in seconds.items()},
        "peak_bytes": before + peak if args.device == "cpu" else peak,
    }


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--gallery", type=int, default=1_000_000, help="gallery rows (default: 1,000,000)")
    parser.add_argument("--queries", type=int, default=1000, help="queries (default: 1,000)")
    parser.add_argument("--dim", type=int, default=512, help="feature width (default: 512)")
    parser.add_argument("--k", type=int, default=10, help="neighbours of a query (default: 10)")
    args = parser.parse_args()
    set_up(args)
    g, q = (min(args.gallery, 20_000), min(args.queries, 200)) if args.quick else (args.gallery, args.queries)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(prefix="dcreid-search-") as folder:
        gallery = write_gallery(Path(folder) / "gallery.npy", rng, g, args.dim)
        results = {"rival": measure(gallery, draw(rng, q, args.dim), args)}
    show(results["rival"], args.repeats)
    write_json(args.json, "search", results, args)


def show(found: dict[str, Any], repeats: int) -> None:
    ours = found["seconds"]["this library"]
    table(
        f"{found['queries']:,} queries × {found['gallery']:,} gallery rows of {found['width']:,}, "
        f"k = {found['k']}; equal results; medians of {repeats}; peak {found['peak_bytes'] / 1e9:.2f} GB, "
        "gallery included",
        ("search", "seconds", "ms a query", "ours / this"),
        [
            (name, spent, 1000 * spent / found["queries"], ours / spent)
            for name, spent in found["seconds"].items()
        ],
    )


if __name__ == "__main__":
    main()

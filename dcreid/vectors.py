"""Features of tracklets in files that other programs read.

NPZ: arrays `vectors` (n, d) float32, `names` (n,), `cameras` (n,), `identities` (n,), `frames` (n,).
Parquet: columns `name`, `camera`, `identity`, `frames` and `vector` (lists of d float32), a row per tracklet.
Cameras and identities are -1, in Parquet null, where nobody knows them.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from dcreid.data.tracklets import Ints, Split
from dcreid.errors import InputError
from dcreid.paths import check_file_place, write_whole

_UNKNOWN = -1


def check_vectors_file(path: Path) -> None:
    """Raises InputError where `write_vectors` cannot write such a file here."""
    if path.suffix not in (".npz", ".parquet"):
        raise InputError(f"--out {path}: must end in .npz or .parquet")
    check_file_place("--out", path)
    if path.suffix == ".parquet":
        _parquet()


def write_vectors(path: Path, vectors: Float32[ndarray, "n d"], split: Split) -> None:
    """Writes the rows of a split's tracklets, whole or not at all. Raises InputError, OSError."""
    content = io.BytesIO()
    names, cameras = list(map(str, split.names)), known_cameras(split)
    identities = np.full(len(split), _UNKNOWN) if split.identities is None else split.identities
    if path.suffix == ".npz":
        np.savez(
            content,
            vectors=vectors,
            names=np.array(names),
            cameras=cameras,
            identities=identities,
            frames=split.lengths,
        )
    else:
        pa, pq = _parquet()
        flat = pa.array(np.ascontiguousarray(vectors).reshape(-1))
        table = pa.table(
            {
                "name": names,
                "camera": pa.array(cameras, mask=cameras == _UNKNOWN),
                "identity": pa.array(identities, mask=np.full(len(split), split.identities is None)),
                "frames": split.lengths,
                "vector": pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]),
            }
        )
        pq.write_table(table, content)
    write_whole(path, content.getvalue())


def known_cameras(split: Split) -> Ints:
    """(n,) cameras; -1 in all rows where not all are known."""
    return split.cameras if split.cameras_known else np.full(len(split), _UNKNOWN, dtype=np.int64)


def _parquet() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError("--out *.parquet: needs pyarrow: pip install pyarrow, or write .npz") from None
    return pyarrow, pyarrow.parquet

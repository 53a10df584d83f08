"""Features in files: what is written is read back by NumPy and pyarrow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from dcreid.data.tracklets import JpegFrames, Split
from dcreid.errors import InputError
from dcreid.vectors import check_vectors_file, write_vectors

VECTORS = np.arange(12, dtype=np.float32).reshape(3, 4)


def split(**changes: object) -> Split:
    given = {"cameras": np.array([3, 1, 2]), "identities": np.array([7, -1, 0])} | changes
    offsets = np.array([0, 1, 3, 6])
    frames = JpegFrames(Path("/data"), list("abcdef"), offsets[:-1])
    return Split("made", frames, offsets, names=["a", "b/c", "d"], **given)  # type: ignore[arg-type]


def test_npz(tmp_path: Path):
    write_vectors(tmp_path / "v.npz", VECTORS, split())
    found = np.load(tmp_path / "v.npz")  # no pickles
    np.testing.assert_array_equal(found["vectors"], VECTORS)
    assert found["vectors"].dtype == np.float32 and found["names"].tolist() == ["a", "b/c", "d"]
    assert found["cameras"].tolist() == [3, 1, 2] and found["identities"].tolist() == [7, -1, 0]
    assert found["frames"].tolist() == [1, 2, 3]
    write_vectors(tmp_path / "v.npz", VECTORS, split(identities=None, unknown_cameras=1))
    found = np.load(tmp_path / "v.npz")
    assert found["cameras"].tolist() == found["identities"].tolist() == [-1] * 3


def test_parquet(tmp_path: Path):
    write_vectors(tmp_path / "v.parquet", VECTORS, split())
    table = pq.read_table(tmp_path / "v.parquet")
    np.testing.assert_array_equal(np.array(table["vector"].to_pylist(), dtype=np.float32), VECTORS)
    assert table["name"].to_pylist() == ["a", "b/c", "d"] and table["frames"].to_pylist() == [1, 2, 3]
    assert table["camera"].to_pylist() == [3, 1, 2] and table["identity"].to_pylist() == [7, -1, 0]
    write_vectors(tmp_path / "v.parquet", VECTORS, split(identities=None, unknown_cameras=1))
    table = pq.read_table(tmp_path / "v.parquet")
    assert table["camera"].to_pylist() == table["identity"].to_pylist() == [None] * 3


def test_files_that_cannot_be_written_are_refused_first(tmp_path: Path):
    check_vectors_file(tmp_path / "a.npz")
    check_vectors_file(tmp_path / "a.parquet")
    (tmp_path / "b.npz").mkdir()
    for name, said in (
        ("a.csv", "must end in"),
        ("no/a.npz", "must be a folder"),
        ("b.npz", "the file none"),
    ):
        with pytest.raises(InputError, match=said):
            check_vectors_file(tmp_path / name)

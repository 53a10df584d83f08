"""Exact search in blocks: the rows and distances of a float64 matrix, whatever blocks, ties and lengths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dcreid import nearest as module
from dcreid.nearest import nearest


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 3 queries and 8 gallery rows; 2 differences at a time for rows of 5."""
    monkeypatch.setattr(module, "_QUERIES", 3)
    monkeypatch.setattr(module, "_GALLERY", 8)
    monkeypatch.setattr(module, "_DIFFERENCES", 10)


def drawn(seed: int, n: int, d: int, length: float | None = 1.0) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((n, d))
    return (rows / (np.linalg.norm(rows, axis=1, keepdims=True) / length if length else 1.0)).astype(
        np.float32
    )


def reference(
    queries: NDArray[np.float32], gallery: NDArray[np.float32], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """All distances in float64, rounded to float32; a stable sort of every row."""
    differences = queries[:, None].astype(np.float64) - gallery[None].astype(np.float64)
    distances = np.sqrt((differences**2).sum(2)).astype(np.float32)
    rows = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, rows, 1), rows


def check(queries: NDArray[np.float32], gallery: NDArray[np.float32], k: int) -> None:
    distances, rows = nearest(torch.from_numpy(queries), torch.from_numpy(gallery), k)
    expected, expected_rows = reference(queries, gallery, k)
    assert distances.dtype == torch.float32 and rows.dtype == torch.int64
    assert rows.tolist() == expected_rows.tolist()
    assert distances.tolist() == expected.tolist()  # to the last digit of float32


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("k", [1, 2, 7, 8, 9, 40])
@pytest.mark.parametrize("length", [1.0, None, 1000.0])
def test_rows_and_distances_are_those_of_the_whole_matrix(k: int, length: float | None):
    check(drawn(1, 10, 5, length), drawn(2, 41, 5, length), k)


@pytest.mark.usefixtures("small_blocks")
@settings(max_examples=40)
@given(st.integers(0, 2**16), st.integers(1, 12))
def test_equal_distances_stand_by_the_smaller_row(seed: int, k: int):
    # A few directions, drawn again and again: most distances are tied, within blocks and across them.
    rng = np.random.default_rng(seed)
    few = drawn(seed, 4, 5)
    check(few[rng.integers(0, 4, 7)], few[rng.integers(0, 4, 30)], k)


def test_ties_are_kept_apart_in_blocks_of_their_usual_size():
    few = drawn(3, 50, 64)
    gallery = few[np.random.default_rng(4).integers(0, 50, 9000)]
    check(few[:5], gallery, 300)


def test_what_products_of_float32_cannot_tell_apart():
    # Rows 4e-4 and less from the query: |x|² + |y|² − 2 x·y has nothing but rounding there.
    query = drawn(5, 1, 64)
    steps = np.random.default_rng(6).permutation(np.arange(1, 401))[:, None] * 1e-6
    gallery = (query + steps * drawn(7, 1, 64)).astype(np.float32)
    check(query, gallery, 10)
    assert nearest(query, np.concatenate([gallery, query]), 1)[0].item() == 0.0


@pytest.mark.usefixtures("small_blocks")
def test_the_nearest_may_come_last():
    query, gallery = drawn(8, 4, 5), drawn(9, 60, 5)
    far_first = gallery[np.argsort(gallery @ query[0])]
    check(query, far_first, 5)


def test_rows_far_from_the_origin():
    offset = np.float32(30.0)
    check(drawn(10, 6, 32) + offset, drawn(11, 5000, 32) + offset, 10)


@pytest.mark.usefixtures("small_blocks")
def test_a_memory_mapped_gallery_in_half_precision(tmp_path: Path):
    queries, gallery = drawn(12, 4, 5), drawn(13, 30, 5).astype(np.float16)
    np.save(tmp_path / "gallery.npy", gallery)
    mapped = np.load(tmp_path / "gallery.npy", mmap_mode="r")
    _, rows = nearest(queries, mapped, 3)
    assert rows.tolist() == reference(queries, gallery.astype(np.float32), 3)[1].tolist()


def test_no_gradient_is_kept():
    queries = torch.from_numpy(drawn(1, 2, 5)).requires_grad_()
    assert not nearest(queries, drawn(2, 9, 5), 3)[0].requires_grad


def test_a_gallery_with_fewer_rows_is_returned_whole():
    distances, rows = nearest(drawn(1, 2, 5), drawn(2, 3, 5), 10)
    assert distances.shape == rows.shape == (2, 3)
    assert [sorted(row) for row in rows.tolist()] == [[0, 1, 2]] * 2


def test_no_query():
    distances, rows = nearest(np.zeros((0, 5), np.float32), drawn(2, 9, 5), 4)
    assert distances.shape == rows.shape == (0, 4)


@pytest.mark.parametrize(
    ("queries", "gallery", "k", "said"),
    [
        (drawn(1, 2, 5), drawn(2, 3, 5), 0, "k = 0: at least 1"),
        (
            drawn(1, 2, 5),
            drawn(2, 3, 4),
            1,
            r"queries \(2, 5\) and gallery \(3, 4\) must be rows of one width",
        ),
        (drawn(1, 2, 5)[0], drawn(2, 3, 5), 1, "must be rows of one width"),
        (drawn(1, 2, 5), np.zeros((0, 5), np.float32), 1, "the gallery has no rows"),
        (np.full((2, 5), np.nan, np.float32), drawn(2, 3, 5), 1, "the queries hold NaN"),
        (drawn(1, 2, 5), np.full((2, 5), np.inf, np.float32), 1, "the gallery hold NaN, infinity"),
    ],
)
def test_what_cannot_be_searched(
    queries: NDArray[np.float32], gallery: NDArray[np.float32], k: int, said: str
):
    with pytest.raises(ValueError, match=said):
        nearest(queries, gallery, k)


@pytest.mark.usefixtures("small_blocks")
def test_nan_in_the_last_block_is_refused():
    gallery = drawn(2, 30, 5)
    gallery[29, 4] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        nearest(drawn(1, 2, 5), gallery, 1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_finds_the_same():
    queries, gallery = drawn(1, 10, 64), drawn(2, 9000, 64)
    distances, rows = nearest(torch.from_numpy(queries).cuda(), gallery, 10)
    expected, expected_rows = reference(queries, gallery, 10)
    assert rows.device.type == "cuda" and rows.cpu().tolist() == expected_rows.tolist()
    assert np.allclose(distances.cpu().numpy(), expected, rtol=1e-6, atol=0)

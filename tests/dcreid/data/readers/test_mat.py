"""The reader of .mat files against SciPy's, and against whatever bytes."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from dcreid.data.readers.mat import MatError, read_matrices

_NUMBERS = ("f8", "f4", "i8", "u8", "i4", "u4", "i2", "u2", "i1", "u1")


def saved(packed: bool = False, **variables: object) -> bytes:
    """A file as SciPy writes it."""
    stream = io.BytesIO()
    scipy.io.savemat(stream, variables, do_compression=packed)
    return stream.getvalue()


@given(
    arrays(st.sampled_from(_NUMBERS), array_shapes(max_dims=3, min_side=0, max_side=6)),
    st.text(st.sampled_from("abc_12"), min_size=1, max_size=31).filter(lambda name: name[0] in "abc"),
    st.booleans(),
)
def test_matrices_are_what_scipy_reads(array: np.ndarray, name: str, packed: bool):
    content = saved(packed, **{name: array}, other=[1.0, 2.0])
    expected = scipy.io.loadmat(io.BytesIO(content))
    found = read_matrices(content)
    assert list(found) == [name, "other"]
    for variable, matrix in found.items():
        assert matrix is not None and np.array_equal(matrix, expected[variable], equal_nan=True)


@settings(max_examples=150)
@given(
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 10**4), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_changed_bytes_are_an_error_or_other_numbers(packed: bool, changes: list[tuple[int, int]]):
    content = bytearray(saved(packed, table=np.arange(12).reshape(3, 4), words="three"))
    for place, value in changes:
        content[place % len(content)] = value
    for number in (None, *range(0, len(content), 16)):
        try:
            matrices = read_matrices(bytes(content[:number]))
        except MatError as error:
            assert "\n" not in str(error) and len(str(error)) < 100
        else:
            assert all(isinstance(m, np.ndarray) or m is None for m in matrices.values())


def test_numbers_in_a_smaller_type_and_the_other_byte_order():
    def element(kind: int, data: bytes) -> bytes:
        return np.array([kind, len(data)], dtype=">u4").tobytes() + data + bytes(-len(data) % 8)

    matrix = (
        element(6, bytes([0, 0, 0, 6, 0, 0, 0, 0]))  # a matrix of doubles
        + element(5, np.array([2, 2], dtype=">i4").tobytes())
        + np.array([(1 << 16) | 1], dtype=">u4").tobytes() + b"t\0\0\0"  # its name, in one word with its size
        + element(3, np.array([1, 2, -3, 400], dtype=">i2").tobytes())
    )  # fmt: skip
    content = b"MATLAB 5.0".ljust(124) + b"\x01\x00MI" + element(14, matrix)
    assert read_matrices(content)["t"].tolist() == [[1, -3], [2, 400]]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "value", ["words", np.array([[1, 2]], dtype=object), {"a": 1}, np.array([1j]), scipy.sparse.eye_array(2)]
)
def test_other_variables_are_named_without_a_matrix(value: object):
    assert read_matrices(saved(v=value)) == {"v": None}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no header"),
        (b"<html>" * 99, "no header"),
        (b"MATLAB 7.3".ljust(124) + b"\x00\x02IM", "save it again with -v7"),
        (b"MATLAB 7.3".ljust(124) + b"\x02\x00MI", "save it again with -v7"),
        (saved(t=[1]) + saved(t=[1])[128:], "variable t occurs twice"),
        (saved(t=[1])[:-8], "ends early"),
        (saved(True, t=np.arange(999))[:-8], "ends early"),
    ],
)
def test_files_that_cannot_be_read(content: bytes, why: str):
    with pytest.raises(MatError, match=why):
        read_matrices(content)


def test_a_few_bytes_that_unpack_to_gigabytes_are_not_unpacked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("dcreid.data.readers.mat._MOST_BYTES", 1 << 20)
    packed = zlib.compress(bytes(1 << 21))
    header = saved(t=[1])[:128]
    with pytest.raises(MatError, match="too large"):
        read_matrices(header + np.array([15, len(packed)], dtype="<u4").tobytes() + packed)

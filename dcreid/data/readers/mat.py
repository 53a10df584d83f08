"""The plain matrices in a .mat file of MATLAB 5 to 7, which are all that MARS's tables consist of.

scipy.io.loadmat reads everything that MATLAB writes, but some damaged files end the process there (by faults
of its compiled part); here every byte is looked at by Python and NumPy, and a damaged file is an error.

A file is a header of 128 bytes and elements: a type and a size in two 32-bit words, or in one with at most
four bytes of data in the other, then the data, padded to 8 bytes. A matrix is an element of elements: flags,
dimensions, name, and the numbers column by column, often in a smaller type than the matrix's own.
"""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_MATRIX, _COMPRESSED = 14, 15
_NUMERIC = range(6, 16)  # classes of matrices: double, single, int8, …, uint64
_COMPLEX = 0x800
_HEADER = 128
_MOST_BYTES = 1 << 28  # of a compressed matrix; MARS's largest has 100 kB


class MatError(Exception):
    """A file that cannot be read; the message is one phrase, without the path."""


def read_matrices(content: bytes) -> dict[str, NDArray[Any] | None]:
    """Every variable by name; None = no plain matrix of real numbers (words, cells, structures, …)."""
    order = {b"IM": "<", b"MI": ">"}.get(content[_HEADER - 2 : _HEADER])
    if order is None:
        raise MatError("no header of MATLAB 5 to 7")
    if content[124:126][:: 1 if order == ">" else -1] == b"\x02\x00":
        raise MatError("written as MATLAB 7.3 (HDF5); save it again with -v7")
    found: dict[str, NDArray[Any] | None] = {}
    place = _HEADER
    while place < len(content):
        kind, data, place = _element(content, place, order)
        if kind == _COMPRESSED:
            kind, data, _ = _element(_inflated(data), 0, order)
        if kind != _MATRIX:
            raise MatError(f"an element of type {kind}")
        name, matrix = _variable(data, order)
        if name in found:
            raise MatError(f"variable {name} occurs twice")
        if name:  # MATLAB keeps data of its own under no name
            found[name] = matrix
    return found


def _element(content: bytes, place: int, order: str) -> tuple[int, bytes, int]:
    """Type, data, and where the next element begins."""
    if place + 8 > len(content):
        raise MatError("it ends early")
    kind, size = np.frombuffer(content, f"{order}u4", 2, place).tolist()
    start = place + 8
    if kind >> 16:  # both in one word
        kind, size, start = kind & 0xFFFF, kind >> 16, place + 4
        after = place + 8
    else:
        after = start + size + (0 if kind == _COMPRESSED else -size % 8)
    if start + size > min(len(content), after):
        raise MatError("it ends early")
    return kind, content[start : start + size], after


def _inflated(data: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    try:
        content = unpacking.decompress(data, _MOST_BYTES)
    except zlib.error:
        raise MatError("its compressed data are damaged") from None
    if not unpacking.eof:
        raise MatError("its compressed data end early" if len(content) < _MOST_BYTES else "it is too large")
    return content


def _variable(data: bytes, order: str) -> tuple[str, NDArray[Any] | None]:
    """Name and matrix."""
    _, flags, place = _element(data, 0, order)
    _, dimensions, place = _element(data, place, order)
    _, name, place = _element(data, place, order)
    if len(flags) < 4 or len(dimensions) % 4:
        raise MatError("a matrix without its measures")
    word = int(np.frombuffer(flags, f"{order}u4", 1)[0])
    title = name.decode("ascii", "replace")
    if word & 0xFF not in _NUMERIC or word & _COMPLEX:
        return title, None
    kind, numbers, _ = _element(data, place, order)
    shape = np.frombuffer(dimensions, f"{order}i4").tolist()
    if kind not in _TYPES or min(shape, default=-1) < 0:
        raise MatError("a matrix without its numbers")
    dtype = np.dtype(order + _TYPES[kind])
    if math.prod(shape) * dtype.itemsize != len(numbers):
        raise MatError(f"{len(numbers):,} bytes for a matrix of shape {tuple(shape)}")
    return title, np.frombuffer(numbers, dtype).reshape(shape, order="F")

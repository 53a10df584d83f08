"""Room on disks: taken in advance, and told with the file, the need and what there is."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from dcreid.disk import allocate, located, size_text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"), (1023, "1,023 bytes"), (1024, "1.0 KiB"), (1536 << 10, "1.5 MiB"),
        (117 << 30, "117.0 GiB"), (5 << 50, "5120.0 TiB"),
    ],
)  # fmt: skip
def test_sizes_are_said_in_the_unit_that_fits(size: int, text: str):
    assert size_text(size) == text


@pytest.mark.parametrize("size", [0, 1, 3 << 20])
def test_room_is_there_before_a_byte_is_written(tmp_path: Path, size: int):
    with (tmp_path / "file").open("wb") as file:
        allocate(file, size)
        assert os.fstat(file.fileno()).st_blocks * 512 >= size
        assert file.tell() == 0


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL])
def test_a_file_system_that_cannot_is_let_be(tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch):
    def refuse(*arguments: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.posix_fallocate", refuse)
    with (tmp_path / "file").open("wb") as file:
        allocate(file, 100)


def test_a_disk_that_is_full_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*arguments: int) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr("os.posix_fallocate", refuse)
    with (tmp_path / "file").open("wb") as file, pytest.raises(OSError, match="quota"):
        allocate(file, 100)


def test_want_of_room_is_told_with_path_need_and_what_there_is(tmp_path: Path, monkeypatch):
    usage = type("usage", (), {"free": 3 << 20})
    monkeypatch.setattr("dcreid.disk.shutil.disk_usage", lambda path: usage)
    told = located(OSError(errno.ENOSPC, "No space left on device"), tmp_path / "file", 5 << 20)
    assert str(told) == (
        f"[Errno 28] No space left on device (5.0 MiB needed, 3.0 MiB free): '{tmp_path / 'file'}'"
    )
    assert told.errno == errno.ENOSPC


def test_other_errors_get_the_file_unless_they_name_one(tmp_path: Path):
    path = tmp_path / "file"
    assert str(located(OSError(errno.EIO, "Input/output error"), path, 5)) == (
        f"[Errno 5] Input/output error: '{path}'"
    )
    named = FileNotFoundError(errno.ENOENT, "No such file or directory", "other")
    assert located(named, path, 5) is named
    assert isinstance(located(FileNotFoundError(errno.ENOENT, "gone"), path, 5), FileNotFoundError)

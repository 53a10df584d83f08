"""Paths that users give: what is put in, and what is refused with the option's name."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from dcreid.checked import ConfigError
from dcreid.paths import user_path, write_whole


def test_home_is_put_in_and_everything_else_is_left(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/someone")
    assert user_path("--cache", "~/frames") == Path("/home/someone/frames")
    assert user_path("--cache", "a/../b") == Path("a/../b")
    assert user_path("--cache", "λ é") == Path("λ é")
    assert user_path("--cache", "x" * 255) == Path("x" * 255)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ("", "--cache '': an empty path"),
        ("  ", "--cache '  ': an empty path"),
        ("~nosuch-user/x", "--cache ~nosuch-user/x: ~nosuch-user is no home folder"),
        ("a\0b", "NUL"),
        ("caf\udce9/x", "--cache caf\udce9/x: "),
        ("λ" * 128, "longer than 255 bytes"),
    ],
)
def test_what_cannot_be_a_path_is_refused(given: str, what: str):
    with pytest.raises(ConfigError) as error:
        user_path("--cache", given)
    assert what in str(error.value) and len(str(error.value)) < 200


def test_without_a_home_the_path_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # no HOME, and no entry for this user
    with pytest.raises(ConfigError, match="~ is no home folder"):
        user_path("--out", "~/x")


# --- files that are written


def test_a_file_is_there_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "picture.png"
    write_whole(path, b"first")

    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left") as refused:
        write_whole(path, b"second")
    assert refused.value.filename == str(path)
    assert path.read_bytes() == b"first" and list(tmp_path.iterdir()) == [path]


def test_a_link_is_followed_and_a_device_stays_one(tmp_path: Path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_whole(tmp_path / "link", b"content")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_bytes() == b"content"
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as refused:
        write_whole(tmp_path / "full", b"content")
    assert refused.value.filename == str(tmp_path / "full") and Path("/dev/full").is_char_device()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError) as refused:
        write_whole(tmp_path / "none" / "file", b"")
    assert refused.value.filename == str(tmp_path / "none" / "file")


def test_a_working_folder_that_is_no_utf8_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    here = tmp_path / "caf\udce9"
    here.mkdir()
    monkeypatch.chdir(here)
    with pytest.raises(ConfigError, match="frames is no UTF-8, which Ray and Arrow want; rename the folder"):
        user_path("--cache", "frames")

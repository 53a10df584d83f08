"""Paths that users give: what is put in, and what is refused with the option's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcreid.checked import ConfigError
from dcreid.paths import user_path


def test_home_is_put_in_and_everything_else_is_left(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/someone")
    assert user_path("--cache", "~/frames") == Path("/home/someone/frames")
    assert user_path("--cache", "a/../b") == Path("a/../b")
    assert user_path("--cache", "λ \udcff") == Path("λ \udcff")
    assert user_path("--cache", "x" * 255) == Path("x" * 255)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ("", "--cache '': an empty path"),
        ("  ", "--cache '  ': an empty path"),
        ("~nosuch-user/x", "--cache ~nosuch-user/x: ~nosuch-user is no home folder"),
        ("a\0b", "NUL"),
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

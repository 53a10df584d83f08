"""Paths as users give them, and files written there."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from dcreid.checked import ConfigError

_LONGEST = 255  # bytes of one name, on the file systems in use


def user_path(option: str, given: str) -> Path:
    """The path that was given for `option` (such as `--cache`), with `~` put in.

    Raises ConfigError where it cannot be one; whether anything is there is not looked at.
    """
    if not given.strip():
        raise ConfigError(f"{option} {given!r}: an empty path; give a folder or file, or '.' for this folder")
    if "\0" in given:
        raise ConfigError(f"{option} {given!r}: a path cannot hold the character NUL")
    try:
        path = Path(given).expanduser()
    except RuntimeError:
        home = given.partition("/")[0]
        raise ConfigError(
            f"{option} {given}: {home} is no home folder on this machine; write the path out, from / on"
        ) from None
    try:
        os.path.abspath(path).encode()
    except UnicodeEncodeError:
        raise ConfigError(
            f"{option} {given}: {path.absolute()} is no UTF-8, which Ray and Arrow want; rename the folder"
        ) from None
    if any(len(part.encode(errors="surrogateescape")) > _LONGEST for part in path.parts):
        raise ConfigError(f"{option} {given[:40]}…: a name in it is longer than {_LONGEST} bytes; shorten it")
    return path


def check_file_place(option: str, path: Path) -> None:
    """Raises ConfigError where `write_whole` has no folder to write in, or a folder is in the way."""
    if not path.parent.is_dir() or path.is_dir():
        raise ConfigError(f"{option} {path}: {path.parent} must be a folder, and the file none")


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file that is there whole or not at all. Raises OSError, which names it (disk full, …)."""
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():  # a device or pipe is written to, not replaced
        _write(path, target, content)
        return
    beside = target.with_name(f".{os.getpid()}.partial")
    try:
        _write(path, beside, content)
        os.replace(beside, target)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()


def _write(named: Path, target: Path, content: bytes) -> None:
    try:
        target.write_bytes(content)
    except OSError as error:
        error.filename = str(named)
        raise

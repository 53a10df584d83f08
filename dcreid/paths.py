"""Paths as users give them."""

from __future__ import annotations

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
    if any(len(part.encode(errors="surrogateescape")) > _LONGEST for part in path.parts):
        raise ConfigError(f"{option} {given[:40]}…: a name in it is longer than {_LONGEST} bytes; shorten it")
    return path

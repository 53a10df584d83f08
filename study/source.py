"""The code that a study runs: where it is, its version, its commit."""

from __future__ import annotations

import functools
import hashlib
import subprocess
from pathlib import Path

import dcreid

REPOSITORY = Path(__file__).resolve().parents[1]
# What runs on other machines of a cluster.
PACKAGES = ("dcreid", "search_spaces", "study")


@functools.cache
def code_version() -> str:
    """16 hex digits of the sources of `dcreid`: they decide what a configuration computes."""
    digest = hashlib.sha256()
    # Not beside this package: Ray sends each package to a folder of its own.
    root = Path(dcreid.__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def git_commit() -> str | None:
    """The commit of the code, with `+changes` where the work tree differs; None outside a checkout."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True, timeout=20, check=True
        )
        return done.stdout.strip()

    if not (REPOSITORY / ".git").exists():  # installed, perhaps inside somebody else's repository
        return None
    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None

"""The version of the code: that of `dcreid`, wherever it was sent."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from study import source
from study.source import PACKAGES, REPOSITORY, code_version


def version_of(*folders: Path) -> str:
    """The version that a process finds with the packages in these folders."""
    done = subprocess.run(
        [sys.executable, "-c", "from study.source import code_version; print(code_version())"],
        cwd=folders[0],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, folders))},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_packages_in_folders_of_their_own_are_the_same_code(tmp_path: Path):
    """So Ray sends them to the nodes of a cluster."""
    folders = []
    for package in PACKAGES:
        folders.append(tmp_path / f"of-{package}")
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / package, folders[-1] / package, ignore=skip)
    assert version_of(*folders) == code_version()
    with (folders[0] / "dcreid" / "memory.py").open("a") as memory:
        memory.write("# changed\n")
    assert version_of(*folders) != code_version()


def test_the_commit_is_that_of_the_checkout_and_not_of_a_repository_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True, capture_output=True)

    git("init", "-q")
    git("-c", "user.name=x", "-c", "user.email=x@y", "commit", "-q", "--allow-empty", "-m", "outer")
    monkeypatch.setattr(source, "REPOSITORY", tmp_path)
    assert source.git_commit() is not None
    installed = tmp_path / "site-packages"
    installed.mkdir()
    monkeypatch.setattr(source, "REPOSITORY", installed)
    assert source.git_commit() is None

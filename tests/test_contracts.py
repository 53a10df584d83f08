"""Imports go one way and in no circle: the contracts of pyproject.toml hold, and each of them can fail."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGES = ("dcreid", "search_spaces", "study", "analysis")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """`lint-imports` on the packages in a folder."""
    code = (
        "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as run; run()"
    )
    return subprocess.run(
        [sys.executable, "-c", code, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False
    )


def test_the_contracts_hold():
    done = lint(REPOSITORY)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        (
            "dcreid/memory.py",
            "import study.plan",
            "what came out, how to try it, what to try, the method BROKEN",
        ),
        ("dcreid/data/store.py", "import pandas", "the method knows no study BROKEN"),
        ("search_spaces/grid.py", "import ray", "spaces and plans know no Ray BROKEN"),
        ("study/record/ledger.py", "import study.decide.queue", "the rooms of a study BROKEN"),
        ("study/extra.py", "", "the rooms of a study BROKEN"),
        ("study/worker/heartbeat.py", "import study.worker.trainable", "no circles BROKEN"),
    ],
)
def test_an_import_that_points_back_breaks_them(tmp_path: Path, file: str, line: str, broken: str):
    for package in PACKAGES:
        shutil.copytree(
            REPOSITORY / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    with (tmp_path / file).open("a") as source:
        source.write(f"\n{line}\n")
    done = lint(tmp_path)
    assert done.returncode == 1 and broken in done.stdout

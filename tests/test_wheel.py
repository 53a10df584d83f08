"""Installed as a wheel the program is whole: every module is found, and commands run without a checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGES = ("dcreid", "search_spaces", "study", "analysis")
LITTLE = (
    *("--synthetic-train-identities", "4", "--synthetic-test-identities", "3", "--synthetic-frames", "4"),
    *("--height", "32", "--width", "16", "--first-epochs", "1", "--lr-decay-epoch", "1"),
    *("--later-epochs", "1", "--merge-rate", "0.4", "--samples", "2"),
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel would install."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in (*PACKAGES, "pyproject.toml", "README.md", "LICENSE"):
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
        source.mkdir(exist_ok=True)
        copy(REPOSITORY / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-w", str(folder), str(source)], check=True)
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def run(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of the installed program, from a folder that is no checkout."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=site.parent,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_module_is_in_it(site: Path):
    wanted = {p.relative_to(REPOSITORY) for package in PACKAGES for p in (REPOSITORY / package).rglob("*.py")}
    assert {path for path in wanted if not (site / path).is_file()} == set()
    assert {p.name for p in (REPOSITORY / "study" / "cluster").iterdir()} == {
        p.name for p in (site / "study" / "cluster").iterdir()
    }


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (("study.run", "--dry-run"), "search space default"),
        (("dcreid.data", "inspect", "--dataset", "synthetic"), "synthetic"),
        (("study", "status", "--help"), "usage: python -m study status"),
        (("analysis.tables", "--help"), "usage: python analysis/tables.py"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_its_commands_run(site: Path, arguments: tuple[str, ...], printed: str):
    done = run(site, *arguments)
    assert done.returncode == 0 and printed in done.stdout, done.stderr


@pytest.mark.slow
def test_a_study_runs_from_it(site: Path):
    done = run(site, "study.run", "--name", "wheel", *LITTLE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (site.parent / "studies" / "wheel" / "results.parquet").is_file()

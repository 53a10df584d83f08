"""Imports go one way and in no circle: the contracts of pyproject.toml hold, and each of them can fail."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import grimp
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


# --- the pictures in docs/architecture.md

# Parts of `study` that everything may import: no arrow is drawn to them.
_LEAVES = {"errors", "source", "stdin", "private", "aside"}


def drawn(package: str) -> set[tuple[str, str]]:
    """The arrows of the picture under the heading of a package."""
    text = (REPOSITORY / "docs" / "architecture.md").read_text()
    section = next(part for part in text.split("\n## ") if f"`{package}`" in part.partition("\n")[0])
    picture = section.partition("```mermaid")[2].partition("```")[0]
    lines = [line.split("-->") for line in picture.splitlines() if "-->" in line]
    return {(start.strip(), end.strip()) for start, ends in lines for end in ends.split("&")}


def imported(package: str) -> set[tuple[str, str]]:
    """The imports between the parts of a package."""
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True)
    found = set()
    for module in graph.modules:
        for other in graph.find_modules_directly_imported_by(module):
            ends = [name.split(".")[1] for name in (module, other) if name.startswith(f"{package}.")]
            if len(ends) == 2 and ends[0] != ends[1]:
                found.add((ends[0], ends[1]))
    return found


@pytest.mark.parametrize("package", ["dcreid", "study", "analysis"])
def test_the_pictures_show_the_arrows_that_there_are(package: str):
    left_out = _LEAVES if package == "study" else set()
    arrows = {arrow for arrow in imported(package) if arrow[1] not in left_out}
    assert drawn(package) == {arrow for arrow in arrows if not detour(arrows - {arrow}, *arrow)}


def detour(arrows: set[tuple[str, str]], start: str, end: str) -> bool:
    """Whether there is a way from start to end."""
    return any(start == a and (b == end or detour(arrows, b, end)) for a, b in arrows)

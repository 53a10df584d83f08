"""Arrows go one way: analysis → study → search_spaces → dcreid, read off the source files."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
_NOT_IN_THE_METHOD = (
    *("analysis", "study", "search_spaces"),
    *("ray", "optuna", "argparse", "matplotlib", "pandas", "rich"),
)
FORBIDDEN = {
    "dcreid": _NOT_IN_THE_METHOD,
    "search_spaces": ("study", "analysis"),
    "study": ("analysis",),
}


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and top-level package of every import in a file, those inside functions included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module.split(".")[0]


@pytest.mark.parametrize("package", FORBIDDEN)
def test_no_import_points_backwards(package: str):
    wrong = [
        f"{path.relative_to(REPOSITORY)}:{line} imports {name}"
        for path in sorted((REPOSITORY / package).rglob("*.py"))
        for line, name in imported(path)
        if name in FORBIDDEN[package] and not (path.name == "__main__.py" and name == "argparse")
    ]
    assert not wrong, "\n".join(wrong)


def test_imports_are_seen_wherever_they_stand(tmp_path: Path):
    path = tmp_path / "module.py"
    path.write_text(
        "import os.path, ray\ndef f():\n    from optuna.trial import Trial\nfrom . import study\n"
    )
    assert sorted(imported(path)) == [(1, "os"), (1, "ray"), (3, "optuna")]

"""The example in docs/use.md does what stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def blocks(language: str) -> list[str]:
    """Code blocks of docs/use.md."""
    text = (REPOSITORY / "docs" / "use.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.slow
def test_from_python(tmp_path: Path):
    example = next(block for block in blocks("python") if "Study.create" in block)
    (tmp_path / "example.py").write_text(example)
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"the right person for \d+ of 72 queries", done.stdout)
    assert (tmp_path / "hits.csv").read_text().count("\n") == 1 + 72 * 5
    assert {path.name for path in tmp_path.iterdir()} >= {"people.safetensors", "studies", "hits.csv"}


def test_every_block_of_python_is_python():
    for block in blocks("python"):
        compile(block, "docs/use.md", "exec")

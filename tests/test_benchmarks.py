"""Every benchmark runs at its small size, finds equal results and writes its numbers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.mark.slow
@pytest.mark.parametrize("name", ["merge", "evaluate"])
def test_the_small_size_runs_through(name: str, tmp_path: Path):
    path = tmp_path / "numbers.json"
    command = [sys.executable, f"benchmarks/{name}.py", "--quick", "--repeats", "1", "--json", str(path)]
    command += ["--threads", "1", *(("--tracklets", "300", "--dbc-rows", "5") if name == "merge" else ())]
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env={"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    written = json.loads(path.read_text())
    assert written["benchmark"] == name and written["results"]["sweep"]
    assert "exponent" in done.stdout

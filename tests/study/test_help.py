"""`--help` lists everything and imports nothing heavy: parse first, then load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dcreid.config import fields
from study.command.method_options import option_name

REPOSITORY = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "torchvision", "ray", "optuna", "numpy", "scipy", "pandas", "pyarrow", "rich", "matplotlib")


def run(*command: str) -> tuple[str, set[str]]:
    """What a command prints, and the packages that it imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *command],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    names = (line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line)
    return done.stdout, {name.partition(".")[0] for name in names}


@pytest.mark.parametrize(
    "command",
    [
        ["study/run.py", "--help"],
        ["-m", "study.run", "--help"],
        ["-m", "study", "--help"],
        ["-m", "study", "status", "--help"],
        ["-m", "study", "dashboard", "--help"],
    ],
    ids=" ".join,
)
def test_help_imports_nothing_heavy(command: list[str]):
    output, imported = run(*command)
    assert "argparse" in imported and not imported & set(HEAVY)
    assert output.startswith("usage: ")


def test_a_study_is_looked_at_without_pytorch_and_ray():
    output, imported = run(
        "-m", "study", "status", str(REPOSITORY / "tests" / "study" / "record" / "schema1")
    )
    assert "rich" in imported and not imported & {"torch", "torchvision", "ray"}
    assert "trial" in output


def test_every_field_of_the_configuration_is_in_the_help():
    done = subprocess.run(
        [sys.executable, "study/run.py", "--help"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    missing = [name for name in fields() if option_name(name) not in done.stdout.split()]
    assert [name for name in missing if f"{option_name(name)}," not in done.stdout] == []

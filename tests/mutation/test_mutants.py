"""The mutants fit the present source, and `mutation` tells killed, surviving, lost and broken ones apart."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest
from mutants import MUTANTS

from mutation.run import Mutant, gone

REPOSITORY = Path(__file__).resolve().parents[2]
AREAS = (
    *("training", "memory", "criterion", "merging", "metrics", "frame sampling", "store", "stages", "state"),
    *("searcher", "spaces", "rungs", "Optuna's side", "ledger", "budgets", "tables", "intervals", "claims"),
    *("schema", "the paper's tables", "queries", "view", "aside", "terminal", "workers' output", "failures"),
    *("owners", "data folders", "halves", "left out", "given values", "rivals"),
    *("cameras", "presets", "network", "augmentation", "jaccard", "the bound", "times in names"),
    *("models", "hits", "models that are kept"),
    *("scores", "selection", "classes by tracklet", "studies without labels", "number of classes"),
    *("exact search", "exports"),
    "page",
    *("over people", "versions of the code", "tables that typeset", "diverged runs in figures"),
    "tracklets from video",
    "public trainable",
    "people",
    "studies from Python",
    "confirmed searches",
    "reports",
    "the paper on a page",
)


def test_every_mutants_line_is_there_once():
    assert gone(MUTANTS, REPOSITORY) == []


def test_a_mutant_changes_one_line():
    for mutant in MUTANTS:
        assert mutant.find != mutant.replacement
        assert mutant.line((REPOSITORY / mutant.file).read_text()) > 0


def test_there_are_enough_in_every_area_under_names_of_their_own():
    areas, names = Counter(mutant.area for mutant in MUTANTS), Counter(mutant.name for mutant in MUTANTS)
    assert set(areas) == set(AREAS) and min(areas.values()) >= 4
    assert len(MUTANTS) >= 80 and max(names.values()) == 1


def test_neighbourhoods_are_tests_that_exist():
    for test in {test for mutant in MUTANTS for test in mutant.tests}:
        file, _, function = test.partition("::")
        source = (REPOSITORY / file).read_text()
        for name in filter(None, function.partition("[")[0].split("::")):
            assert f"def {name}(" in source or f"class {name}:" in source, test


# --- the runner, on a package of two functions

_FILES = {
    "pyproject.toml": """
        [tool.pytest.ini_options]
        addopts = "--import-mode=importlib"
        [tool.mypy]
        packages = ["little"]
    """,
    "little/__init__.py": "",
    "little/sums.py": """
        def total(values: list[int]) -> int:
            return sum(values)


        def spread(values: list[int]) -> int:
            return max(values) - min(values)
    """,
    "tests/test_total.py": """
        from little.sums import total


        def test_total():
            assert total([1, 2]) == 3
    """,
    "tests/test_spread.py": """
        from little.sums import spread


        def test_spread():
            assert spread([4, 4]) == 0
    """,
    "tests/helpers/embedded.py": """
        from little.sums import spread


        def study(folder):
            if spread([1, 2]) > 5:
                raise RuntimeError("too wide")
    """,
}
_DIES = ("dies", "return sum(values)", "return sum(values[1:])", "tests/test_total.py")
_LIVES = ("lives", "max(values) - min(values)", "min(values) - max(values)", "tests/test_spread.py")
_CRASHES = ("crashes", "return sum(values)", "return sum(values) // 0", "tests/test_total.py")
_HANGS = (
    "hangs",
    "return sum(values)",
    "return [sum(values), __import__('time').sleep(99)][0]",
    "tests/test_total.py",
)
_GONE = ("gone", "return sum(every)", "return 0", "tests/test_total.py")
_WRONG_TYPE = ("wrong type", "return sum(values)", "return str(sum(values))", "tests/test_total.py")
_WIDE = ("wide", "max(values) - min(values)", "max(values) - min(values) + 9", "tests/test_spread.py")


@pytest.fixture
def little(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    for name, content in _FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(textwrap.dedent(content).lstrip())
    return folder


def run(repository: Path, *mutants: tuple[str, str, str, str], work: str = "run", limit: float = 60.0):
    """What a process of its own says of these mutants, since this one cannot be forked."""
    made = [
        Mutant(name, "sums", "little/sums.py", find, replacement, (test,))
        for name, find, replacement, test in mutants
    ]
    scratch = repository.parent / "scratch"
    scratch.mkdir()
    code = (
        "import sys; from pathlib import Path; from mutation.check import *; from mutation.run import *;"
        "from mutation.forked import import_heavy; import_heavy(('pytest', 'hypothesis'));"
        f"sys.exit({work}({made!r}, Path({str(repository)!r}), Path({str(scratch)!r}), limit={limit}))"
    )
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=REPOSITORY / "tests", timeout=120, check=False
    )


def contents(folder: Path) -> dict[str, str]:
    return {str(path): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_the_test_that_killed_is_named_and_the_working_tree_is_left_alone(little: Path):
    before = contents(little)
    done = run(little, _DIES)
    assert done.returncode == 0, done.stderr
    row = next(line for line in done.stdout.splitlines() if line.startswith("dies"))
    assert row.split()[1] == "sums" and row.endswith("tests/test_total.py::test_total")
    assert done.stdout.endswith("1 of 1 killed\n") and contents(little) == before


def test_survivors_and_what_does_not_die_by_a_value_fail_the_run(little: Path):
    done = run(little, _DIES, _LIVES, _CRASHES, _HANGS, limit=5.0)
    assert done.returncode == 1
    assert "lives: survived" in done.stdout
    assert "crashes: not killed by a value: tests/test_total.py::test_total: ZeroDivisionError" in done.stdout
    assert "hangs: not killed by a value: no test: no end within 5 s" in done.stdout
    assert "dies: " not in done.stdout and done.stdout.endswith("1 of 4 killed\n")


def test_a_line_that_is_gone_fails_the_run_before_anything_is_run(little: Path):
    done = run(little, _DIES, _GONE)
    assert done.returncode == 1 and "killed" not in done.stdout
    assert "gone: the line is gone: little/sums.py holds 'return sum(every)' 0 times" in done.stdout


def test_a_suite_that_is_red_without_a_mutant_fails_the_run(little: Path):
    path = little / "tests" / "test_total.py"
    path.write_text(path.read_text().replace("== 3", "== 4"))
    done = run(little, _DIES, _LIVES)
    assert done.returncode == 1 and "1 of 2 killed" not in done.stdout
    assert "red without any mutant" in done.stdout
    assert "tests/test_total.py::test_total: AssertionError" in done.stdout


def test_a_neighbourhood_that_holds_no_test_is_red(little: Path):
    done = run(little, (*_DIES[:3], "tests/test_total.py::test_other"))
    assert done.returncode == 1 and "red without any mutant" in done.stdout


def test_faults_of_type_and_broken_programs_are_told_by_the_check(little: Path):
    done = run(little, _DIES, _WRONG_TYPE, _WIDE, work="check")
    assert done.returncode == 1
    complaints = [line for line in done.stdout.splitlines() if "error:" in line]
    assert len(complaints) == 1 and complaints[0].endswith("[wrong type]")
    assert "wide: the embedded study breaks: RuntimeError: too wide" in done.stdout
    assert "the embedded study: 2 of 3 completed" in done.stdout


# --- all of them


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--check",)], ids=["killed", "faults of meaning"])
def test_every_mutant(options: tuple[str, ...]):
    command = [sys.executable, str(REPOSITORY / "tests" / "mutants.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    if not options:
        assert done.stdout.endswith(f"{len(MUTANTS)} of {len(MUTANTS)} killed\n")

"""The kill script (tests/kills.py): a study survives it, and the comparison would notice if not."""

from __future__ import annotations

from pathlib import Path

import kills
import pandas as pd
import pytest


@pytest.mark.slow
def test_a_study_that_is_killed_comes_to_the_same(tmp_path: Path, capsys: pytest.CaptureFixture):
    assert kills.main(["--kills", "4", "--folder", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert out.endswith("the same trials with the same results\n")
    assert {"driver", "worker", "node"} <= {line.split(": ")[1].split()[0] for line in out.splitlines()[1:5]}


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame({"trial": [0, 0, 1], "step": [0, 1, 0], "mAP": [0.1, None, 0.3]})


def test_equal_tables_differ_in_nothing(table: pd.DataFrame):
    assert kills.differences(table, table.copy()) == []


def test_differences_are_named(table: pd.DataFrame):
    (output,) = kills.differences(table, table.assign(mAP=[0.1, None, 0.3 + 1e-12]))
    assert output.startswith("mAP differs")
    assert kills.differences(table, table.iloc[:2]) == [
        "3 rows of ['trial', 'step', 'mAP'] against 2 rows of ['trial', 'step', 'mAP']"
    ]

"""The kill script (tests/kills.py): a study survives it, and the comparison would notice if not."""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path

import kills
import pandas as pd
import pytest


@pytest.mark.slow
def test_a_study_that_is_disturbed_comes_to_the_same(tmp_path: Path, capsys: pytest.CaptureFixture):
    assert kills.main(["--events", "7", "--folder", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert out.endswith("the same trials with the same results, joins, queries and classes\n")
    kinds = [kind for kind in kills.KINDS if f"left out: {kind} " not in out]
    (counts,) = [line.split()[1:] for line in out.splitlines() if line.startswith("all ")]
    assert int(counts[-1]) == 7 == sum(map(int, counts[:-1]))
    for kind in kinds:
        assert re.search(rf"(?m)^{kind} .* 1$", out), kind


OUTPUT = """--- attempt 1 at trial 3, 2026-01-01 10:00:00, process 11 on here
2026-01-01 10:00:01,000 INFO frame store of train: packed
2026-01-01 10:00:01,000 INFO report merge step 0
2026-01-01 10:00:02,000 INFO train
a warning: INFO merge of x
2026-01-01 10:00:03,000 INFO features
2026-01-01 10:00:03,000 INFO evaluate
2026-01-01 10:00:04,000 INFO merge
2026-01-01 10:00:05,000 INFO write merge step 1
2026-01-01 10:00:05,000 WARNING train
2026-01-01 10:00:06,000 INFO report merge step 1
2026-01-01 10:00:07,000 INFO report merge step 2
--- attempt 2 at trial 3, 2026-01-01 10:01:00, process 12 on here
""".splitlines()


def test_what_a_worker_notes_is_a_phase():
    told = [kills.phase_of("\n".join(OUTPUT[:lines]), 2) for lines in range(len(OUTPUT) + 1)]
    assert told[0] == (None, "starting") and told[-1] == (12, "starting")
    assert [phase for _, phase in told[1:-1]] == [
        "starting", "starting", "starting", "training", "training", "features", "features", "merging",
        "writing", "writing", "reporting", "ending",
    ]  # fmt: skip
    assert {pid for pid, _ in told[1:-1]} == {11}


def test_hits_are_counted_by_kind_and_phase():
    hits = [("driver", "ending"), ("driver", "ending"), ("S3", "training")]
    lines = kills.table_of_phases(hits, ["driver", "S3"]).splitlines()
    assert lines[0].split() == [*kills.PHASES, "all"]
    assert [line.split() for line in lines[1:]] == [
        ["driver", *"0000002", "2"], ["S3", *"0100000", "1"], ["all", *"0100002", "3"],
    ]  # fmt: skip


def test_an_event_is_aimed_where_its_kind_has_hit_least(tmp_path: Path):
    disturbed = object.__new__(kills.Disturbed)
    disturbed.rng, disturbed.events = random.Random(0), []
    for _ in range(4 * len(kills.PHASES)):
        for kind in ("driver", "worker"):
            phase = disturbed._aim(kind)
            disturbed.events.append(kills.Event(kind, phase, phase, "", 0))
    counts = Counter((event.kind, event.phase) for event in disturbed.events)
    assert len(counts) == 2 * len(kills.PHASES) and set(counts.values()) == {4}


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

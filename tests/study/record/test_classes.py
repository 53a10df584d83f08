"""classes.csv: what its columns say, and that it is there whole or not at all."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from study.errors import StudyError
from study.record.classes import write_classes
from study.record.ledger import TrialRecord
from study.record.storage import Storage
from study.record.trial_tables import _save


@pytest.fixture
def trial(plan_of):
    return TrialRecord(
        number=3, config=plan_of().base, digest="a digest", origin="search", labels=(), params={},
        distributions={}, created=0.0,
    )  # fmt: skip


@pytest.fixture
def table(data) -> pd.DataFrame:
    """Three steps: classes of two, of four, of eight tracklets. Its rows are in no order."""
    place = np.arange(len(data.train), dtype=np.int32)
    tables = [
        {
            "step": np.int32(step),
            "tracklet": place,
            "class": place // 2**step,
            "confidence": place / 50 / step,
        }
        for step in (1, 2, 3)
    ]
    made = pd.concat([pd.DataFrame(columns) for columns in tables], ignore_index=True)
    return made.sample(frac=1.0, random_state=0, ignore_index=True)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def test_a_row_for_each_tracklet_with_its_class_at_every_step(plan_of, data, trial, table) -> None:
    plan = plan_of()
    _save(Storage(plan.trial_storage(3)), "classes.parquet", table, {"configuration": "a digest"})
    path = write_classes(plan, trial, 2, data)
    assert path == plan.folder / "classes.csv"
    rows = read(path)
    assert list(rows[0]) == ["tracklet", "class", "confidence", "step_001", "step_002", "step_003"]
    assert [row["tracklet"] for row in rows] == list(data.train.names)
    assert [int(row["class"]) for row in rows] == [i // 4 for i in range(len(rows))]
    assert [float(row["confidence"]) for row in rows] == pytest.approx(
        [i / 100 for i in range(len(rows))], abs=5e-4
    )
    for step in (1, 2, 3):
        assert [int(row[f"step_00{step}"]) for row in rows] == [i // 2**step for i in range(len(rows))]
    write_classes(plan, trial, 3, data)
    assert [int(row["class"]) for row in read(path)] == [i // 8 for i in range(len(rows))]
    assert [path.name for path in plan.folder.iterdir() if path.is_file()] == ["classes.csv"]


def test_names_of_any_kind_stand_as_they_are(plan_of, data, trial, table) -> None:
    odd = [
        "a,b",
        'quoted "x"',
        "two\nlines",
        "not UTF-8 \udcff",
        *(f"t{i}" for i in range(len(data.train) - 4)),
    ]
    plan = plan_of()
    _save(Storage(plan.trial_storage(3)), "classes.parquet", table, {"configuration": "a digest"})
    path = write_classes(
        plan, trial, 1, dataclasses.replace(data, train=dataclasses.replace(data.train, names=odd))
    )
    assert [row["tracklet"] for row in read(path)] == odd and b"not UTF-8 \xff" in path.read_bytes()


def test_classes_that_are_not_there_or_of_another_trial_are_named(plan_of, data, trial, table) -> None:
    plan = plan_of()
    with pytest.raises(
        StudyError, match=r"trials/0003: no classes of trial 3 after merge step 2: .* kept none"
    ):
        write_classes(plan, trial, 2, data)
    storage = Storage(plan.trial_storage(3))
    _save(storage, "classes.parquet", table, {"configuration": "another"})
    with pytest.raises(StudyError, match="kept none"):
        write_classes(plan, trial, 2, data)
    _save(storage, "classes.parquet", table, {"configuration": "a digest"})
    trial.reused = "study x, trial 1"
    with pytest.raises(StudyError, match=r"merge step 4: the trial was taken over \(study x, trial 1\)"):
        write_classes(plan, trial, 4, data)
    assert not (plan.folder / "classes.csv").exists()

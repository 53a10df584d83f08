"""classes.csv in the study folder: the classes of one trial, for people who want their tracklets sorted.

A row per training tracklet, in the order of the data set: `tracklet` (its path below train/ in a user's own
folder, elsewhere its name), `class` at the chosen merge step, `confidence` there (the share of its five
nearest tracklets that are in its class), and `step_001`, `step_002`, …: its class after each merge step.
Classes are numbered anew at every step.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from dcreid.data.tracklets import TrackletDataset
from study.errors import StudyError
from study.plan import StudyPlan
from study.record.ledger import TrialRecord
from study.record.storage import Storage
from study.record.trial_tables import load_classes

_NAME = "classes.csv"


def write_classes(plan: StudyPlan, trial: TrialRecord, step: int, data: TrackletDataset) -> Path:
    """Writes the classes of a trial of the study, `step` chosen, whole or not at all; returns the file.

    data: the study's. Raises StudyError where the trial has kept no classes of that step; OSError.
    """
    storage = Storage(plan.trial_storage(trial.number))
    table = load_classes(storage, {"configuration": trial.digest})
    if table is None or step not in table.step.to_numpy():
        whose = f"was taken over ({trial.reused})" if trial.reused else "has kept none that can be read"
        raise StudyError(
            f"{storage.root}: no classes of trial {trial.number} after merge step {step}: the trial {whose}; "
            "name another trial, or compute it again with --force"
        )
    content = classes_of(table, step, list(data.train.names)).to_csv(index=False, lineterminator="\n")
    folder = Storage(str(plan.folder))
    folder.write(_NAME, content.encode(errors="surrogateescape"))  # names need not be UTF-8
    return plan.folder / _NAME


def classes_of(table: pd.DataFrame, step: int, names: list[str]) -> pd.DataFrame:
    """The columns at the top of this file, from a trial's table of classes (`classes_table`)."""
    by_step = table.pivot(index="tracklet", columns="step", values="class")
    chosen = table[table.step == step].set_index("tracklet").sort_index()
    every = by_step.rename(columns=lambda step: f"step_{step:03d}")
    every.insert(0, "tracklet", pd.Series(names, dtype=object))  # not Arrow's text, which must be UTF-8
    every.insert(1, "class", chosen["class"])
    every.insert(2, "confidence", chosen["confidence"].round(3))
    return every

"""Runs on data that nobody has labelled, as tables: their scores, and how their classes grow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis.data.candidates import COMBINED, SCORES
from analysis.data.changes import changed_in_base
from analysis.data.results import Group
from analysis.data.runs import Run
from analysis.page.typeset import Table
from study.record.intervals import MISSING, interval_text

HEADINGS = {**SCORES, COMBINED: "score"}
_SIZES = {"step": "step", "classes_after": "classes", "class_size_max": "largest class"}
_MEANING = (
    "No score is an accuracy: none of them knows who is who. The score by which runs and steps are chosen "
    "is made of others. Of camera excess and exclusivity the lower is the better."
)


def scores_known(found: Sequence[Run]) -> list[str]:
    """Keys of HEADINGS that some merge step of a run has."""
    rows = [row for run in found for row in run.trial.steps.values()]
    return [name for name in HEADINGS if any(row.get(name) is not None for row in rows)]


def scores_table(found: Sequence[Run], group: Group) -> Table:
    """The untrained network, then every run at its selected step, in the order of `by_score`."""
    known = scores_known(found)
    lines = [("untrained network", MISSING, MISSING, found[0].trial.steps.get(0, {}))]
    for run in found:
        name = f"{changed_in_base(run.config, group)}, seed {run.trial.seed}"
        row = {} if run.diverged else run.trial.selected
        lines.append((name, str(run.trial.number), run.trial.state, row))
    rows = [
        (*words, *(_count(row, key) for key in _SIZES), *(_percent(row.get(key)) for key in known))
        for *words, row in lines
    ]
    numbers = [
        {
            "configuration": name,
            "trial": trial,
            "state": state,
            **{key: row.get(key) for key in (*_SIZES, *known)},
        }
        for name, trial, state, row in lines
    ]
    return Table(
        name="scores",
        title=f"Scores without labels, {group.name}",
        columns=("configuration", "trial", "state", *_SIZES.values(), *(HEADINGS[key] for key in known)),
        rows=tuple(rows),
        caption=f"Percent, at the selected step: that of the highest score. Best first. {_MEANING}",
        numbers=pd.DataFrame(numbers),
        left=3,
    )


def classes_table(run: Run, group: Group) -> Table:
    """Number and sizes of the classes of a run by merge step, and how far they follow cameras."""
    rows, numbers = [], []
    for step, row in sorted(run.trial.steps.items()):
        if step == 0:
            continue
        sizes = [_count(row, key) for key in ("classes_after", "class_size_max", "class_size_median")]
        mark = " (selected)" if step == run.selected_step else ""
        rows.append((f"{step}{mark}", *sizes, _percent(row.get("same_camera")), _percent(row.get(COMBINED))))
        keys = ("step", "classes_after", "class_size_max", "class_size_median", "same_camera", COMBINED)
        numbers.append({key: row.get(key) for key in keys})
    return Table(
        name="classes",
        title=f"The classes of trial {run.trial.number} by merge step, {group.name}",
        columns=("step", "classes", "largest", "median size", "same camera", "score"),
        rows=tuple(rows),
        caption=(
            "Tracklets; percent. Same camera: of all pairs in one class those that one camera saw. A person "
            "whom several cameras saw is in pairs across them: near 100, classes follow cameras, not people."
        ),
        numbers=pd.DataFrame(numbers),
    )


def _count(row: dict[str, Any], name: str) -> str:
    return MISSING if row.get(name) is None else f"{row[name]:g}"


def _percent(value: float | None) -> str:
    return MISSING if value is None else interval_text(100 * value)

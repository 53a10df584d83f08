"""A study's trials as one table for pandas, a row each."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dcreid.config import Config
from study.record.ledger import FINISHED, TrialRecord
from study.show.view import StudyView


def trials_table(view: StudyView) -> pd.DataFrame:
    """One row per trial, in the order of their numbers.

    trial, state, origin, reason, reused (the study and trial that its results are of), seed; the fields that
    are searched, and all others in which trials differ, by dotted name; value (of the study's objective),
    steps and total_steps; `last_`, `best_` and `selected_` mAP and step: of the newest merge step that was
    measured, of that with the highest mAP, of that with the highest score without labels, which stands as
    `selected_score`; seconds spent. mAP and scores are fractions; what is not known is missing.
    """
    trials, names = view.trials, fields_told(view)
    rows = [_row(view, trial, names) for trial in trials]
    table = pd.DataFrame(rows, columns=list(_row_types(names)))
    return table.astype(_row_types(names))


def fields_told(view: StudyView) -> list[str]:
    """The dotted fields that a search varies, and those in which some trial is not like trial 0's."""
    base, space = view.plan.config.flat(), view.plan.search_space
    others = [Config.from_dict(trial.config).flat() for trial in view.trials]
    searched = () if space is None else space.fields
    return [
        name
        for name in base
        if name != "seed" and (name in searched or any(own[name] != base[name] for own in others))
    ]


def _row(view: StudyView, trial: TrialRecord, names: list[str]) -> dict[str, Any]:
    own, curve = Config.from_dict(trial.config).flat(), trial.curve()
    steps = {"last": max(curve, default=None), "best": trial.highest_step("mAP")}
    told: dict[str, Any] = {}
    for which, step in (steps | {"selected": trial.selected_step}).items():
        told[f"{which}_mAP"] = None if step is None else trial.steps[step].get("mAP")
        told[f"{which}_step"] = step
    return {
        "trial": trial.number,
        "state": view.state(trial) if trial.state == "running" else trial.state,
        "origin": trial.origin,
        "reason": trial.reason,
        "reused": trial.reused,
        "seed": trial.seed,
        **{name: own[name] for name in names},
        "value": trial.objective_value(view.plan.objective) if trial.state in FINISHED else None,
        "steps": max(trial.last_step, 0),
        "total_steps": trial.total_steps,
        **told,
        "selected_score": trial.selected.get("unlabelled"),
        "seconds": trial.seconds,
    }


def _row_types(names: list[str]) -> dict[str, str]:
    """Columns in their order, with types that do not depend on what happens to be missing."""
    texts, whole, real = "str", "Int64", "float64"
    standard = Config().flat()
    of_fields = {bool: "bool", int: "int64", float: real, str: texts}
    return {
        "trial": "int64",
        **dict.fromkeys(("state", "origin", "reason", "reused"), texts),
        "seed": "int64",
        **{name: of_fields[type(standard[name])] for name in names},
        "value": real,
        "steps": "int64",
        "total_steps": whole,
        **{
            f"{which}_{what}": kind
            for which in ("last", "best", "selected")
            for what, kind in (("mAP", real), ("step", whole))
        },
        "selected_score": real,
        "seconds": real,
    }

"""results.parquet: the ledger as one table for pandas, a row per trial and merge step."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from dcreid.algorithm import MergeStep
from dcreid.config import Config, fields
from study.record.ledger import FINISHED, Ledger, TrialRecord
from study.record.storage import Storage

_TYPES = {bool: "boolean", int: "Int64", float: "float64", str: "str"}

# Columns of a merge step, with the type of what is not missing.
_MEASURED: dict[str, type] = {
    name: next(kind for kind in (typing.get_args(hint) or (hint,)) if kind is not type(None))
    for name, hint in typing.get_type_hints(MergeStep).items()
}


def results_table(name: str, trials: list[TrialRecord], objective: str) -> pd.DataFrame:
    """One row per trial and merge step; step 0 is the untrained network.

    `value` is what the trial has come to by the study's objective: 0 where its training diverged. `best_…`
    and `selected_…` are of the steps so far: the one of the highest mAP, and the one of the highest score
    without labels. A trial that ended before it reported anything has one row, without a step.
    """
    rows = [row for trial in trials for row in _rows(name, trial, objective)]
    return pd.DataFrame(rows, columns=None if rows else list(_column_types())).astype(_column_types())


def _rows(name: str, trial: TrialRecord, objective: str) -> Iterator[dict[str, Any]]:
    best: dict[str, Any] = {}  # the row of the highest mAP so far
    selected: dict[str, Any] = {}  # and of the highest score without labels
    flat = {f"config.{key}": value for key, value in Config.from_dict(trial.config).flat().items()}
    steps = [trial.steps[step] for step in sorted(trial.steps)]
    for row in steps or [{}] * (trial.state != "running"):
        best, selected = _higher(best, row, "mAP"), _higher(selected, row, "unlabelled")
        yield {
            "study": name,
            "trial": trial.number,
            "seed": trial.seed,
            "state": trial.state,
            "reason": trial.reason,
            "origin": trial.origin,
            "labels": ",".join(trial.labels),
            "digest": trial.digest,
            "reused": trial.reused,
            "objective": objective,
            "value": trial.objective_value(objective) if trial.state in FINISHED else None,
            **dict.fromkeys(_MEASURED) | {key: row[key] for key in _MEASURED if key in row},
            "total_steps": row.get("total_steps"),
            "best_mAP": best.get("mAP"),
            "best_step": best.get("step"),
            "selected_mAP": selected.get("mAP"),
            "selected_step": selected.get("step"),
            **flat,
        }


def _higher(best: dict[str, Any], row: dict[str, Any], metric: str) -> dict[str, Any]:
    """The row where a metric is higher, the earlier of equals; the untrained network's does not count."""
    value = row.get(metric)
    if value is None or row["step"] == 0:
        return best
    return row if not best or value > best[metric] else best


def _column_types() -> dict[str, str]:
    """Types that do not depend on which values happen to be missing; whole numbers may be missing too."""
    texts = ("study", "state", "reason", "origin", "labels", "digest", "reused", "objective")
    hints = {f"config.{name}": type(field.default) for name, field in fields().items()}
    chosen = {"best_mAP": float, "best_step": int, "selected_mAP": float, "selected_step": int}
    counted = {**_MEASURED, "total_steps": int, **chosen}
    kinds = {**dict.fromkeys(texts, str), "value": float, **counted, **hints}
    return {name: _TYPES[kind] for name, kind in kinds.items()} | dict.fromkeys(("trial", "seed"), "int64")


def write_results(folder: Path, ledger: Ledger, objective: str) -> None:
    """Projects the ledger into results.parquet, atomically. Raises StudyError where another driver has it."""
    ledger.check_alone()
    table = results_table(folder.name, list(ledger.trials.values()), objective)
    if len(table):
        Storage(str(folder)).write("results.parquet", table.to_parquet())

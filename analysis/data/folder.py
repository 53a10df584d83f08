"""The files of one study folder: its description, and its trials from the ledger or from results.parquet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from dcreid.config import Config
from dcreid.errors import InputError
from study.record.ledger import Ledger, TrialRecord

# Columns of results.parquet that do not belong to a merge step.
_OF_TRIAL = (
    *("study", "trial", "seed", "state", "reason", "origin", "labels", "digest", "reused"),
    *("objective", "value"),
)


class ResultsError(InputError):
    """A study that cannot be read; the message names the folder and what to do."""


def read_description(folder: Path) -> dict[str, Any]:
    """study.json. Raises ResultsError."""
    if not folder.is_dir():
        raise ResultsError(f"{folder}: no such folder; give the folder of a study (with study.json in it)")
    path = folder / "study.json"
    if not path.is_file():
        inside = sorted(entry.parent.name for entry in folder.glob("*/study.json"))
        hint = f"it holds the studies {', '.join(inside[:5])}: name one" if inside else "no study.json in it"
        raise ResultsError(f"{folder}: not the folder of a study; {hint}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ResultsError(f"{path}: not readable ({error}); copy it again") from None
    if not isinstance(content, dict) or not {"plan", "dataset"} <= content.keys():
        raise ResultsError(f"{path}: not a study's description; copy it again")
    return content


def read_trials(folder: Path) -> tuple[list[TrialRecord], list[tuple[float, float]]]:
    """The trials, and when each session began and was last heard of. Raises ResultsError."""
    ledger, table = folder / "ledger.jsonl", folder / "results.parquet"
    sessions: list[tuple[float, float]] = []
    if ledger.is_file():
        read = Ledger(ledger, read_only=True)
        records = list(read.trials.values())
        sessions = [(one["time"], one["last"]) for one in read.sessions]
    elif table.is_file():
        try:
            records = _records(pd.read_parquet(table))
        except (OSError, ValueError) as error:
            raise ResultsError(f"{table}: not readable ({error}); copy it again") from None
    else:
        raise ResultsError(f"{folder}: neither ledger.jsonl nor results.parquet in it; copy one of them")
    if not records:
        raise ResultsError(f"{folder}: no trial has been started yet")
    for record in records:
        Config.from_dict(record.config)
    return records, sessions


def _records(table: pd.DataFrame) -> list[TrialRecord]:
    """Trials as results.parquet has them: those without a step, and what was drawn, are not in it."""
    found: dict[int, TrialRecord] = {}
    for row in table.sort_values(["trial", "step"]).to_dict("records"):
        values = {str(name): _plain(value) for name, value in row.items()}
        number = int(values["trial"])
        if number not in found:
            flat = {n.removeprefix("config."): v for n, v in values.items() if n.startswith("config.")}
            found[number] = TrialRecord(
                number=number,
                config=Config().replace(**flat).to_dict(),
                digest=values["digest"],
                origin=values["origin"],
                labels=tuple(filter(None, values["labels"].split(","))),
                params={},
                distributions={},
                created=float("nan"),
                state=values["state"],
                reason=values["reason"],
                reused=values.get("reused"),
                attempts=1,
            )
        if values["step"] is None:  # it ended before it reported anything
            continue
        step = {n: v for n, v in values.items() if not n.startswith("config.") and n not in _OF_TRIAL}
        found[number].steps[int(step["step"])] = step
    return list(found.values())


def _plain(value: Any) -> Any:
    """NumPy's scalars as Python's, missing values as None."""
    plain = value.item() if hasattr(value, "item") else value
    return None if plain is None or plain != plain else plain

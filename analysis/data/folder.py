"""The files of one study folder: its description, and its trials from the ledger or from results.parquet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from dcreid.config import Config
from dcreid.data.readers.walk import first_few
from dcreid.errors import InputError
from study.record.ledger import Ledger, TrialRecord

# Columns of results.parquet that do not belong to a merge step.
_OF_TRIAL = (
    *("study", "trial", "seed", "state", "reason", "origin", "labels", "digest", "reused"),
    *("objective", "value"),
)


_NEEDED = ("trial", "step", "seed", "state", "reason", "origin", "labels", "digest")
# What study.json holds beside the plan.
_TYPES: dict[str, Any] = {
    "plan": dict,
    "dataset": {
        **{"name": str, "fingerprint": str, "protocol": str, "train_tracklets": int, "queries": int},
        "problems": list,
    },
    "commands": list,
    "packages": dict,
    "hardware": {"gpus": list},
    "git": str,
}
_WORDS = {str: "text", int: "whole number", list: "list", dict: "table of fields"}


class ResultsError(InputError):
    """A study that cannot be read; the message names the folder and what to do."""


class NothingYetError(ResultsError):
    """A study of which no trial has been started."""


def read_description(folder: Path) -> dict[str, Any]:
    """study.json. Raises ResultsError."""
    if not folder.is_dir():
        raise ResultsError(f"{folder}: no such folder; give the folder of a study (with study.json in it)")
    path = folder / "study.json"
    if not path.is_file():
        inside = sorted(entry.parent.name for entry in folder.glob("*/study.json"))
        hint = f"it holds the studies {first_few(inside)}: name one" if inside else "no study.json in it"
        raise ResultsError(f"{folder}: not the folder of a study; {hint}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ResultsError(f"{path}: not readable ({error}); copy it again") from None
    if not isinstance(content, dict) or not {"plan", "dataset"} <= content.keys():
        raise ResultsError(f"{path}: not a study's description; copy it again")
    _check_types(path, "", content, _TYPES)
    return content


def _check_types(path: Path, above: str, content: dict[str, Any], types: dict[str, Any]) -> None:
    """Raises ResultsError for a field that somebody has changed by hand into something else."""
    for name, kind in types.items():
        value = content.get(name)
        wanted = dict if isinstance(kind, dict) else kind
        if value is not None and not isinstance(value, wanted):
            raise ResultsError(
                f"{path}: {above}{name} is {json.dumps(value)[:40]}, not a {_WORDS[wanted]}; copy it again"
            )
        if isinstance(kind, dict) and value is not None:
            _check_types(path, f"{name}.", value, kind)


def read_trials(folder: Path) -> tuple[list[TrialRecord], list[dict[str, Any]], list[str]]:
    """The trials, the ledger's sessions, and what is wrong. Raises ResultsError."""
    ledger, table = folder / "ledger.jsonl", folder / "results.parquet"
    sessions: list[dict[str, Any]] = []
    problems: list[str] = []
    if ledger.exists() and not ledger.is_file():
        raise ResultsError(f"{ledger}: not a file; copy the study's own there")
    if ledger.is_file():
        read = Ledger(ledger, read_only=True)
        records = list(read.trials.values())
        sessions = read.sessions
        problems = read.problems()
    elif table.is_file():
        try:
            content = pd.read_parquet(table)
        except (OSError, ValueError) as error:
            raise ResultsError(f"{table}: not readable ({error}); copy it again") from None
        missing = [name for name in _NEEDED if name not in content.columns]
        if missing:
            raise ResultsError(
                f"{table}: not the results of a study (no column {missing[0]}): another program's? Copy the "
                "study's own, or its ledger.jsonl"
            )
        records = _records(content)
    else:
        raise ResultsError(f"{folder}: neither ledger.jsonl nor results.parquet in it; copy one of them")
    if not records:
        raise NothingYetError(f"{folder}: no trial has been started yet")
    for record in records:
        Config.from_dict(record.config)
    return records, sessions, problems


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

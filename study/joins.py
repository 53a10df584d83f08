"""What a trial's merges joined, one row per join, in `joins.parquet` beside its checkpoints.

For reports (see `dcreid/joins.py`); the checkpoints hold the same, so that a cut trial loses none.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence

import pandas as pd

from dcreid.joins import Joins
from study.storage import Storage

_NAME = "joins.parquet"


def joins_table(joins: Sequence[Joins]) -> pd.DataFrame:
    """Columns `step` (1, 2, …) and the fields of Joins; joins[0] are those of merge step 1."""
    tables = [
        pd.DataFrame({"step": step} | {name: column.numpy() for name, column in vars(made).items()})
        for step, made in enumerate(joins, start=1)
    ]
    return pd.concat(tables, ignore_index=True)


def save_joins(storage: Storage, joins: Sequence[Joins]) -> None:
    """Writes the joins of all merge steps so far, whole or not at all. Raises OSError."""
    storage.write(_NAME, joins_table(joins).to_parquet())


def load_joins(storage: Storage) -> pd.DataFrame | None:
    """The table that `save_joins` wrote; None where there is none, or another version wrote it."""
    content = storage.read(_NAME)
    if content is None:
        return None
    table = pd.read_parquet(io.BytesIO(content))
    wanted = {"step", *(field.name for field in dataclasses.fields(Joins))}
    return table if wanted <= set(table.columns) else None

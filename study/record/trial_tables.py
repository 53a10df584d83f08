"""Tables that a trial keeps beside its checkpoints, for reports; the checkpoints hold the same, so that a
cut trial loses none.

joins.parquet     what its merges joined, a row per join (see `dcreid/evaluation/joins.py`)
queries.parquet   how every query fared at every measured step, a row per step and query (step 0: the
                  untrained network): its place among the queries, its identity and camera, both average
                  precisions, and the rank of its first match. Queries without a match have no row.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from dcreid.data.tracklets import TrackletDataset
from dcreid.evaluation.joins import Joins
from dcreid.evaluation.retrieval import QueryResults
from study.record.storage import Storage

_JOINS, _QUERIES = "joins.parquet", "queries.parquet"
_QUERY_COLUMNS = (
    *("step", "query", "identity", "camera"),
    *("average_precision", "average_precision_trapezoid", "first_match"),
)


def joins_table(joins: Sequence[Joins]) -> pd.DataFrame:
    """Columns `step` (1, 2, …) and the fields of Joins; joins[0] are those of merge step 1."""
    tables = [
        pd.DataFrame({"step": step} | {name: column.numpy() for name, column in vars(made).items()})
        for step, made in enumerate(joins, start=1)
    ]
    return pd.concat(tables, ignore_index=True)


def save_joins(storage: Storage, joins: Sequence[Joins]) -> None:
    """Writes the joins of all merge steps so far, whole or not at all. Raises OSError."""
    storage.write(_JOINS, joins_table(joins).to_parquet())


def load_joins(storage: Storage) -> pd.DataFrame | None:
    """The table that `save_joins` wrote; None where there is none, or another version wrote it."""
    return _load(storage, _JOINS, {"step", *(field.name for field in dataclasses.fields(Joins))})


def queries_table(queries: Mapping[int, QueryResults], data: TrackletDataset) -> pd.DataFrame:
    """The results of measured steps as the table that stands at the top of this file."""
    assert data.test is not None and data.test.identities is not None
    tables = []
    for step, found in sorted(queries.items()):
        tracklet = data.query[found.query.numpy()]
        columns = (
            np.full(len(tracklet), step, dtype=np.int32),
            found.query.numpy().astype(np.int32),
            data.test.identities[tracklet].astype(np.int32),
            data.test.cameras[tracklet].astype(np.int32),
            found.average_precision.numpy(),
            found.average_precision_trapezoid.numpy(),
            found.first_match.numpy().astype(np.int32),
        )
        tables.append(pd.DataFrame(dict(zip(_QUERY_COLUMNS, columns, strict=True))))
    return pd.concat(tables, ignore_index=True)


def save_queries(storage: Storage, queries: Mapping[int, QueryResults], data: TrackletDataset) -> None:
    """Writes the queries of all steps measured so far, if any was. Raises OSError."""
    if queries:
        storage.write(_QUERIES, queries_table(queries, data).to_parquet())


def load_queries(storage: Storage) -> pd.DataFrame | None:
    """The table that `save_queries` wrote; None where there is none, or another version wrote it."""
    return _load(storage, _QUERIES, set(_QUERY_COLUMNS))


def _load(storage: Storage, name: str, wanted: set[str]) -> pd.DataFrame | None:
    content = storage.read(name)
    if content is None:
        return None
    table = pd.read_parquet(io.BytesIO(content))
    return table if wanted <= set(table.columns) else None

"""Tables that a trial keeps beside its checkpoints, for reports; the checkpoints hold the same, so that a
cut trial loses none.

joins.parquet     what its merges joined, a row per join (see `dcreid/evaluation/joins.py`); none is written
                  under `merge.method = anew` and `identities`, whose classes are not joined from step to step
queries.parquet   how every query fared at every measured step, a row per step and query (step 0: the
                  untrained network): its place among the queries, its identity and camera, both average
                  precisions, and the rank of its first match. Queries without a match have no row.
classes.parquet   what its merges made of the training tracklets, a row per step and tracklet: its place in
                  the training split, its class, and the share of its nearest that are in that class
                  (`dcreid.evaluation.unlabelled.confidence`; NaN where older code made the step)

Their metadata say of which study and configuration they are, and hold a digest of what is in them. A
table that is damaged or of another trial is not used, and a warning names it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dcreid.algorithm import Algorithm
from dcreid.data.tracklets import TrackletDataset
from dcreid.evaluation.joins import Joins
from dcreid.evaluation.retrieval import QueryResults
from study.errors import first_line
from study.record.storage import Storage

_METADATA = b"dcreid"
_JOINS, _QUERIES, _CLASSES = "joins.parquet", "queries.parquet", "classes.parquet"
_QUERY_COLUMNS = (
    *("step", "query", "identity", "camera"),
    *("average_precision", "average_precision_trapezoid", "first_match"),
)
_CLASS_COLUMNS = ("step", "tracklet", "class", "confidence")


def joins_table(joins: Sequence[Joins]) -> pd.DataFrame:
    """Columns `step` (1, 2, …) and the fields of Joins; joins[0] are those of merge step 1."""
    tables = [
        pd.DataFrame({"step": step} | {name: column.numpy() for name, column in vars(made).items()})
        for step, made in enumerate(joins, start=1)
    ]
    return pd.concat(tables, ignore_index=True)


def save_joins(storage: Storage, joins: Sequence[Joins], stamp: Mapping[str, str]) -> None:
    """Writes the joins of all merge steps so far, if there are any (`anew` and `identities` have none).

    Raises OSError. stamp: what the table is to say of itself (study and configuration).
    """
    table = joins_table(joins)
    if len(table):
        _save(storage, _JOINS, table, stamp)


def load_joins(storage: Storage, stamp: Mapping[str, str]) -> pd.DataFrame | None:
    """The table that `save_joins` wrote; None where there is none that can be used."""
    return _load(storage, _JOINS, {"step", *(field.name for field in dataclasses.fields(Joins))}, stamp)


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


def save_queries(
    storage: Storage, queries: Mapping[int, QueryResults], data: TrackletDataset, stamp: Mapping[str, str]
) -> None:
    """Writes the queries of all steps measured so far, if any was. Raises OSError."""
    if queries:
        _save(storage, _QUERIES, queries_table(queries, data), stamp)


def load_queries(storage: Storage, stamp: Mapping[str, str]) -> pd.DataFrame | None:
    """The table that `save_queries` wrote; None where there is none that can be used."""
    return _load(storage, _QUERIES, set(_QUERY_COLUMNS), stamp)


def classes_table(algorithm: Algorithm) -> pd.DataFrame:
    """The classes of every merge step so far as the table that stands at the top of this file."""
    row = np.argsort(algorithm.order)  # of labels, for each tracklet
    unknown = np.full(len(row), np.nan, dtype=np.float32)
    tables = []
    for step, labels in enumerate(algorithm.labels_history, start=1):
        sure = algorithm.confidence.get(step)
        columns = (
            np.full(len(row), step, dtype=np.int32),
            np.arange(len(row), dtype=np.int32),
            labels.numpy()[row],
            unknown if sure is None else sure.numpy()[row],
        )
        tables.append(pd.DataFrame(dict(zip(_CLASS_COLUMNS, columns, strict=True))))
    return pd.concat(tables, ignore_index=True)


def save_classes(storage: Storage, algorithm: Algorithm, stamp: Mapping[str, str]) -> None:
    """Writes the classes of all merge steps so far, of which there must be one. Raises OSError."""
    _save(storage, _CLASSES, classes_table(algorithm), stamp)


def load_classes(storage: Storage, stamp: Mapping[str, str]) -> pd.DataFrame | None:
    """The table that `save_classes` wrote; None where there is none that can be used."""
    return _load(storage, _CLASSES, set(_CLASS_COLUMNS), stamp)


def _save(storage: Storage, name: str, table: pd.DataFrame, stamp: Mapping[str, str]) -> None:
    arrow = pa.Table.from_pandas(table)
    said = json.dumps({**stamp, "content": _digest(table)}).encode()
    arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), _METADATA: said})
    content = io.BytesIO()
    pq.write_table(arrow, content)
    storage.write(name, content.getvalue())


def _load(storage: Storage, name: str, wanted: set[str], stamp: Mapping[str, str]) -> pd.DataFrame | None:
    content = storage.read(name)
    if content is None:
        return None
    try:
        arrow = pq.read_table(io.BytesIO(content))
        table = arrow.to_pandas()
        said = json.loads((arrow.schema.metadata or {}).get(_METADATA, b"{}"))
    except (OSError, ValueError) as error:
        storage.pass_over(name, f"cannot be read ({first_line(error, type(error).__name__)})")
        return None
    if said.get("content", "") not in ("", _digest(table)):
        storage.pass_over(name, "is damaged")
        return None
    differing = [key for key, value in stamp.items() if said.get(key, value) != value]
    if differing:
        storage.pass_over(name, f"is of another {' and '.join(differing)}")
        return None
    return table if wanted <= set(table.columns) else None


def _digest(table: pd.DataFrame) -> str:
    """Of what is in a table of numbers and truth values."""
    content = hashlib.sha256()
    for name, column in table.items():
        values = column.to_numpy()
        content.update(f"{name} {values.dtype} {len(values)} ".encode())
        content.update(np.ascontiguousarray(values).tobytes())
    return content.hexdigest()

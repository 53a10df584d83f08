"""How the queries of a run fared, added up over every test identity's: what bootstraps over people need."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

from study.errors import StorageError
from study.record.storage import Storage
from study.record.trial_tables import load_queries

# Metric to what a query adds to its mean.
_OF_QUERY: dict[str, Callable[[pd.DataFrame], pd.Series[float]]] = {
    "mAP": lambda table: table["average_precision"],
    "mAP_trapezoid": lambda table: table["average_precision_trapezoid"],
    **{f"rank{k}": lambda table, k=k: table["first_match"] <= k for k in (1, 5, 10, 20)},  # type: ignore[misc]
}


@dataclass(frozen=True)
class Queries:
    """The queries of i test identities, at every measured merge step of a run (0 = the untrained network)."""

    identities: Int[ndarray, " i"]  # ascending
    counts: Float[ndarray, " i"]  # queries of each
    sums: Mapping[str, Mapping[int, Float[ndarray, " i"]]]  # by metric and merge step

    def resampled(self, metric: str, step: int, times: Float[ndarray, "i b"]) -> Float[ndarray, " b"]:
        """The metric in percent where each identity, with all its queries, counts so many times.

        The ratio of two sums: people with more queries weigh more, as in the mean over queries.
        """
        drawn: Float[ndarray, " b"] = 100.0 * (self.sums[metric][step] @ times) / (self.counts @ times)
        return drawn


def same_people(found: Sequence[Queries]) -> bool:
    """Whether all are queries of the same test identities, so that one draw of these serves all."""
    return all(np.array_equal(each.identities, found[0].identities) for each in found)


def read_queries(storage: Storage, stamp: Mapping[str, str], measured: Collection[int]) -> Queries | None:
    """None where the folder does not hold the queries of all these merge steps."""
    try:
        table = load_queries(storage, stamp)
    except (OSError, StorageError):
        return None
    if table is None or not {*measured} <= {*table["step"]} or table.empty:
        return None
    identities, column = np.unique(table["identity"], return_inverse=True)
    steps, row = np.unique(table["step"], return_inverse=True)
    shape = (len(steps), len(identities))

    def added(values: pd.Series[float] | None = None) -> Float[ndarray, "s i"]:
        return np.bincount(row * shape[1] + column, values, shape[0] * shape[1]).reshape(shape).astype(float)

    sums = {
        metric: dict(zip(steps.tolist(), added(of(table)), strict=True)) for metric, of in _OF_QUERY.items()
    }
    return Queries(identities, added()[0], sums)

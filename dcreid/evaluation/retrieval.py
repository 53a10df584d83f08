"""Retrieval: CMC and mAP.

Protocol (MARS, and the public code of this family): for each query, gallery rows of the same
identity *and* camera and junk rows (identity -1) are left out; distractors (identity 0) stay and
are wrong. A query whose identity has no other row in the gallery is not counted.

With g positives at ranks r_1 < … < r_g (1-based, after leaving rows out), precision P_i = i / r_i:
    AP            = 1/g Σ P_i                                        (rectangle rule)
    AP_trapezoid  = 1/g Σ (P_i + Q_i) / 2,  Q_i = (i-1) / (r_i - 1)  (Q_i = 1 where r_i = 1)
the latter being the area under the precision-recall curve that MARS's compute_AP draws: Q_i is the
precision one row above the i-th positive.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from dcreid.data.tracklets import JUNK

_TIES_AT_ONCE = 2048


@dataclass(frozen=True)
class RetrievalMetrics:
    """Fractions in [0, 1]; `queries` counts those measured, `queries_skipped` those without a match.

    The last two are of test features normalised per camera; None = not measured.
    """

    rank1: float
    rank5: float
    rank10: float
    rank20: float
    mAP: float
    mAP_trapezoid: float
    queries: int
    queries_skipped: int
    mAP_camera_normalised: float | None = None
    rank1_camera_normalised: float | None = None


@dataclass(frozen=True)
class QueryResults:
    """The result of every query with a match, in ascending order of query; `asked` counts all queries.

    The last two are of test features normalised per camera; None = not measured.
    """

    query: Int[Tensor, " k"]  # position among the queries
    average_precision: Float[Tensor, " k"]  # rectangle rule
    average_precision_trapezoid: Float[Tensor, " k"]
    first_match: Int[Tensor, " k"]  # rank of the best match, 1 = on top
    asked: int
    average_precision_camera_normalised: Float[Tensor, " k"] | None = None
    first_match_camera_normalised: Int[Tensor, " k"] | None = None

    def with_camera_normalised(self, normalised: QueryResults) -> QueryResults:
        """These results and, beside them, those of the same queries on features normalised per camera."""
        return dataclasses.replace(
            self,
            average_precision_camera_normalised=normalised.average_precision,
            first_match_camera_normalised=normalised.first_match,
        )

    def metrics(self) -> RetrievalMetrics:
        """CMC and both mAPs: means over the queries."""
        precision, first = self.average_precision_camera_normalised, self.first_match_camera_normalised

        def found_within(k: int) -> float:
            return float((self.first_match <= k).double().mean())

        return RetrievalMetrics(
            rank1=found_within(1),
            rank5=found_within(5),
            rank10=found_within(10),
            rank20=found_within(20),
            mAP=float(self.average_precision.double().mean()),
            mAP_trapezoid=float(self.average_precision_trapezoid.double().mean()),
            queries=len(self.query),
            queries_skipped=self.asked - len(self.query),
            mAP_camera_normalised=None if precision is None else float(precision.double().mean()),
            rank1_camera_normalised=None if first is None else float((first == 1).double().mean()),
        )


def evaluate(
    distances: Float[Tensor, "q g"] | NDArray[np.floating],
    query_ids: ArrayLike | Tensor,
    gallery_ids: ArrayLike | Tensor,
    query_cams: ArrayLike | Tensor,
    gallery_cams: ArrayLike | Tensor,
) -> RetrievalMetrics:
    """CMC and both mAPs of a distance matrix; arguments and errors are those of `evaluate_queries`."""
    return evaluate_queries(distances, query_ids, gallery_ids, query_cams, gallery_cams).metrics()


def evaluate_queries(
    distances: Float[Tensor, "q g"] | NDArray[np.floating],
    query_ids: ArrayLike | Tensor,
    gallery_ids: ArrayLike | Tensor,
    query_cams: ArrayLike | Tensor,
    gallery_cams: ArrayLike | Tensor,
) -> QueryResults:
    """Both average precisions and the first match's rank of every query, on the CPU.

    Equal distances rank by gallery position.

    ids and cams: (q,) and (g,) integers. Raises ValueError for NaN or infinite distances, mismatched
    or zero lengths, or when no query at all has a match.
    """
    distances = torch.as_tensor(distances)
    device = distances.device
    q_ids, g_ids, q_cams, g_cams = (
        torch.as_tensor(np.asarray(values) if not isinstance(values, Tensor) else values).to(device).long()
        for values in (query_ids, gallery_ids, query_cams, gallery_cams)
    )
    _check_shapes(distances, q_ids, g_ids, q_cams, g_cams)
    same = q_ids[:, None] == g_ids[None, :]  # (q, g)
    same_camera = q_cams[:, None] == g_cams[None, :]
    ignored = (same & same_camera) | (g_ids == JUNK)[None, :]
    positive = same & ~ignored & (q_ids > 0)[:, None]
    query, rank = _ranks(distances, positive, ignored)  # (p,) sorted by query, then rank
    return _query_results(query, rank, len(q_ids))


def _ranks(
    distances: Float[Tensor, "q g"], positive: Tensor, ignored: Tensor
) -> tuple[Int[Tensor, " p"], Int[Tensor, " p"]]:
    """Query index and 1-based rank of every positive, ordered by query and rank.

    Sorting values and looking the few positives up is about five times faster than a stable
    argsort of every row, and gives the same ranks.
    """
    masked = distances.masked_fill(ignored, torch.inf)
    query, column = torch.nonzero(positive, as_tuple=True)
    value = masked[query, column]
    per_query = torch.bincount(query, minlength=len(masked))
    slot = torch.arange(len(query), device=query.device) - (per_query.cumsum(0) - per_query)[query]
    looked_up = masked.new_full((len(masked), max(1, int(per_query.max()))), torch.inf)
    looked_up[query, slot] = value
    in_order = _sort_rows(masked)
    closer = torch.searchsorted(in_order, looked_up)[query, slot]
    ties = torch.searchsorted(in_order, looked_up, right=True)[query, slot] - closer > 1
    rank = closer + 1 + _ties_before(masked, query, column, value, ties)
    order = (query * (masked.shape[1] + 1) + rank).argsort()
    return query[order], rank[order]


def _sort_rows(values: Float[Tensor, "q g"]) -> Float[Tensor, "q g"]:
    # NumPy's vectorised sort of values was five times faster than torch's on the CPU.
    return (
        torch.from_numpy(np.sort(values.numpy(), axis=1))
        if values.device.type == "cpu"
        else values.sort(1).values
    )


def _ties_before(
    masked: Float[Tensor, "q g"],
    query: Int[Tensor, " p"],
    column: Int[Tensor, " p"],
    value: Float[Tensor, " p"],
    ties: Tensor,
) -> Int[Tensor, " p"]:
    """For positives with equal distances in their row: how many of those stand earlier in the gallery."""
    before = torch.zeros_like(query)
    position = torch.arange(masked.shape[1], device=masked.device)
    for some in torch.split(torch.nonzero(ties).flatten(), _TIES_AT_ONCE):
        equal = masked[query[some]] == value[some, None]
        before[some] = (equal & (position < column[some, None])).sum(dim=1)
    return before


def _query_results(query: Int[Tensor, " p"], rank: Int[Tensor, " p"], q: int) -> QueryResults:
    positives = torch.bincount(query, minlength=q)
    measured = positives > 0
    if not bool(measured.any()):
        raise ValueError(
            "no query has a match in the gallery: identities or cameras are wrong, or data are missing"
        )
    first = positives.cumsum(0) - positives  # index of each query's best positive
    i = (torch.arange(len(query), device=query.device) - first[query] + 1).double()
    r = rank.double()
    precision = i / r
    above = torch.where(r > 1, (i - 1) / (r - 1).clamp(min=1), torch.ones_like(r))

    def mean_per_query(values: Tensor) -> Float[Tensor, " k"]:
        sums = torch.zeros(q, dtype=torch.float64, device=values.device).index_add_(0, query, values)
        return (sums[measured] / positives[measured]).cpu()

    return QueryResults(
        query=torch.nonzero(measured).flatten().cpu(),
        average_precision=mean_per_query(precision),
        average_precision_trapezoid=mean_per_query((precision + above) / 2),
        first_match=rank[first[measured]].cpu(),
        asked=q,
    )


def _check_shapes(distances: Tensor, q_ids: Tensor, g_ids: Tensor, q_cams: Tensor, g_cams: Tensor) -> None:
    expected = (len(q_ids), len(g_ids))
    if distances.shape != expected or (len(q_cams), len(g_cams)) != expected:
        raise ValueError(
            f"distances {tuple(distances.shape)}, ids {expected} and cameras "
            f"{(len(q_cams), len(g_cams))} must agree as (queries, gallery rows)"
        )
    if not distances.numel():
        raise ValueError(f"{expected[0]} queries, {expected[1]} gallery rows: nothing to evaluate")
    if not bool(distances.isfinite().all()):
        raise ValueError("distances hold NaN or infinity: the features they come from are not finite")

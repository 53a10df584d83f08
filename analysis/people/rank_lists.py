"""Rank lists of single queries, by the rules of `dcreid.evaluation.retrieval`: what a user sees first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcreid.data.tracklets import JUNK, Ints

RIGHT, WRONG, IGNORED = "right", "wrong", "ignored"


@dataclass(frozen=True)
class RankList:
    """A query's nearest gallery entries. AP is the usual average precision, NaN without any match."""

    query: int  # position among the queries
    gallery: Ints  # positions in the gallery, nearest first
    kinds: tuple[str, ...]  # right, wrong or ignored
    average_precision: float
    first_right: int  # rank of the first match among entries that count; 0 without any


def rank_lists(
    distances: NDArray[np.floating],
    query_ids: Ints,
    gallery_ids: Ints,
    query_cams: Ints,
    gallery_cams: Ints,
    top: int = 10,
) -> list[RankList]:
    """One list per query, in the order of the queries; equal distances rank by gallery position.

    distances: (queries, gallery). Entries of the query's own identity and camera and junk are ignored:
    they stand in the list but have no rank.
    """
    found = []
    for q, row in enumerate(distances):
        same = gallery_ids == query_ids[q]
        ignored = (same & (gallery_cams == query_cams[q])) | (gallery_ids == JUNK)
        right = same & ~ignored & (query_ids[q] > 0)
        order = np.argsort(row, kind="stable").astype(np.int64)
        counted = order[~ignored[order]]
        ranks = np.flatnonzero(right[counted]) + 1
        precision = float((np.arange(1, len(ranks) + 1) / ranks).mean()) if len(ranks) else float("nan")
        shown = order[:top]
        kinds = tuple(IGNORED if ignored[g] else RIGHT if right[g] else WRONG for g in shown.tolist())
        found.append(RankList(q, shown, kinds, precision, int(ranks[0]) if len(ranks) else 0))
    return found


def nearest_elsewhere(
    v: NDArray[np.floating], chosen: Sequence[int], cameras: Ints | None, top: int = 10
) -> list[tuple[int, Ints]]:
    """(tracklet, the nearest of other cameras, nearest first) for these tracklets; equal ones by number.

    v: (n, d), rows of length 1. cameras: None where nobody knows them: the nearest of all others.
    """
    found: list[tuple[int, Ints]] = []
    for tracklet in chosen:
        others = np.arange(len(v)) != tracklet if cameras is None else cameras != cameras[tracklet]
        rows = np.flatnonzero(others).astype(np.int64)
        order = np.argsort(-(v[rows] @ v[tracklet]), kind="stable")
        found.append((tracklet, rows[order[:top]]))
    return found


def by_difficulty(lists: list[RankList], count: int, *, hardest: bool) -> list[RankList]:
    """The lists of lowest (or highest) average precision; queries without any match are left out."""
    measured = [one for one in lists if one.first_right]
    sign = 1 if hardest else -1
    return sorted(measured, key=lambda one: (sign * one.average_precision, one.query))[:count]

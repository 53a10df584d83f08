"""Rank lists of single queries, by the rules of `dcreid.evaluation.retrieval`: what a user sees first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcreid.data.tracklets import JUNK, Ints

RIGHT, WRONG, IGNORED = "right", "wrong", "ignored"


@dataclass(frozen=True)
class CameraPair:
    """Queries of one camera whose person another camera has seen."""

    query_camera: int
    gallery_camera: int
    queries: int
    right: int  # of them: the nearest entry of the gallery camera is that person


@dataclass(frozen=True)
class RankList:
    """A query's nearest gallery entries, and the first match wherever it ranks.

    AP is the usual average precision, NaN without any match.
    """

    query: int  # position among the queries
    gallery: Ints  # positions in the gallery, nearest first
    kinds: tuple[str, ...]  # right, wrong or ignored
    ranks: tuple[int, ...]  # among the entries that count; 0: ignored
    average_precision: float
    first_right: int  # rank of the first match; 0 without any
    ignored: int  # entries that are ignored and stand among those that are shown


def rank_lists(
    distances: NDArray[np.floating],
    query_ids: Ints,
    gallery_ids: Ints,
    query_cams: Ints,
    gallery_cams: Ints,
    top: int = 10,
    most_ignored: int = 5,
) -> list[RankList]:
    """One list per query, in the order of the queries; equal distances rank by gallery position.

    distances: (queries, gallery). Entries of the query's own identity and camera and junk are ignored: they
    take no rank. Listed are `top` entries that count, the nearest `most_ignored` of the ignored ones before
    the last of these, and, if it ranks lower, the first match.
    """
    found = []
    for q, row in enumerate(distances):
        same = gallery_ids == query_ids[q]
        ignored = (same & (gallery_cams == query_cams[q])) | (gallery_ids == JUNK)
        right = same & ~ignored & (query_ids[q] > 0)
        order = np.argsort(row, kind="stable").astype(np.int64)
        counts = ~ignored[order]
        rank = np.where(counts, np.cumsum(counts), 0)  # of order's entries
        matches = rank[right[order]]
        precision = float((np.arange(1, len(matches) + 1) / matches).mean()) if len(matches) else float("nan")
        first = int(matches[0]) if len(matches) else 0
        near = np.cumsum(counts) - counts < min(top, int(counts.sum()))  # before the last that is shown
        shown = near & (counts | (np.cumsum(~counts) <= most_ignored)) | (counts & (rank == first))
        entries = order[shown]
        kinds = tuple(IGNORED if ignored[g] else RIGHT if right[g] else WRONG for g in entries.tolist())
        found.append(
            RankList(
                q, entries, kinds, tuple(rank[shown].tolist()), precision, first, int((near & ~counts).sum())
            )
        )
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


def in_between(lists: list[RankList], count: int) -> list[RankList]:
    """`count` lists evenly by difficulty, of those that are neither the hardest nor the easiest."""
    ends = {one.query for hardest in (True, False) for one in by_difficulty(lists, count, hardest=hardest)}
    others = [one for one in by_difficulty(lists, len(lists), hardest=True) if one.query not in ends]
    return [
        others[i] for i in np.unique(np.linspace(0, len(others) - 1, min(count, len(others))).astype(int))
    ]


def first_by_camera(
    distances: NDArray[np.floating], query_ids: Ints, gallery_ids: Ints, query_cams: Ints, gallery_cams: Ints
) -> list[CameraPair]:
    """For every pair of cameras: how often the nearest entry that one saw is right for a query of the other.

    Rank-1 with one gallery camera at a time: of the queries of camera a whose person camera b has seen, how
    many have that person as the nearest of b's entries, junk left out. Distractors count as wrong, equal
    distances rank by gallery position. a = b cannot be: the query's own person in its own camera is ignored.
    """
    pairs = []
    who = query_ids > 0
    for b in np.unique(gallery_cams).tolist():
        seen = np.flatnonzero((gallery_cams == b) & (gallery_ids != JUNK))
        if not len(seen):
            continue
        nearest = gallery_ids[seen[distances[:, seen].argmin(axis=1)]]
        asked = who & (query_cams != b) & np.isin(query_ids, gallery_ids[seen])
        for a in np.unique(query_cams[asked]).tolist():
            of = asked & (query_cams == a)
            pairs.append(CameraPair(a, b, int(of.sum()), int((nearest[of] == query_ids[of]).sum())))
    return sorted(pairs, key=lambda pair: (pair.query_camera, pair.gallery_camera))

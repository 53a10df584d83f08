"""What goes wrong most, in sentences: numbers that were planted."""

from __future__ import annotations

import numpy as np
from made_joins import joins_of_step
from markupsafe import Markup

from analysis.page.frame import Pictures
from analysis.people.findings import Findings, First, Seen
from analysis.people.history import History
from analysis.people.rank_lists import CameraPair
from analysis.people.shown import Portraits, camera_pairs
from analysis.people.tiles import Thumbnails
from analysis.people.wrong import of_classes, of_first_ranks, of_joins
from analysis.stats.joins import with_causes
from dcreid.config import MergeConfig
from study.record.trial_tables import joins_table

NOWHERE = Thumbnails(None, Pictures(), "")


def first(query: int, identity: int, first_right: int, camera: int = 1) -> First:
    """A query of camera 1 whose first rank is `identity`, seen by `camera`; its own person is 100 + query."""
    kind = "right" if first_right == 1 else "wrong"
    hit = Seen(500 + identity, f"h{identity}", camera, identity, kind, 1)
    return First(Seen(query, f"q{query}", 1, 100 + query), hit, first_right, 0.5)


FIRSTS = (first(0, 7, 2), first(1, 7, 21, camera=2), first(2, 8, 57), first(3, 103, 1))
PAIRS = (CameraPair(1, 2, 3, 0), CameraPair(1, 3, 10, 4), CameraPair(2, 1, 20, 5))


def sentences(found: Findings) -> list[str]:
    return [item.said for item in of_first_ranks(found, NOWHERE)]


def test_wrong_first_ranks_are_counted_by_camera_and_by_who_takes_them():
    items = of_first_ranks(Findings(0, 1, (), PAIRS, FIRSTS, 5, 0.25), NOWHERE)
    said = [item.said for item in items]
    assert said[0] == (
        "Another person stands first for 3 of 4 queries (75 %). Of these wrong first ranks 2 of 3 "
        "(67 %) were seen "
        "by the query's own camera; of all other persons' tracklets 25 % were."
    )
    assert [heading for heading, _ in items[1].people] == [
        "person 7 stands first for 2 queries of 2 other persons",
        "person 8 stands first for 1 query of 1 other person",
    ]
    assert all(isinstance(tiles, Markup) for _, tiles in items[1].people)
    assert said[3] == (
        "For 2 of 4 queries (50 %) the first match ranks beyond 20; the furthest is at rank 57 (query q2)."
    )
    assert said[4] == "1 of 5 queries (20 %) have no match in the gallery and are not counted."


def test_pairs_of_few_queries_are_named_only_where_there_are_no_others():
    assert sentences(Findings(0, 1, (), PAIRS, FIRSTS, 4))[2] == (
        "Hardest from camera to camera: queries of camera 2 in camera 1, right for 5 of 20 (25 %); "
        "queries of camera "
        "1 in camera 3, right for 4 of 10 (40 %)."
    )
    assert "right for 0 of 3 (0 %)" in sentences(Findings(0, 1, (), PAIRS[:1], FIRSTS, 4))[2]


def test_the_matrix_shows_counts_and_marks_few():
    shown = camera_pairs(PAIRS)
    assert "25 %<small>5 of 20</small>" in shown and "40 %<small>4 of 10</small>" in shown
    assert shown.count('number few"') == 1 and '<td class="number">–</td>' in shown


def test_wrong_joins_are_told_by_cause():
    history = History(
        np.zeros((2, 6), dtype=int), np.full((2, 6), np.nan),
        with_causes(joins_table([joins_of_step()]), MergeConfig(lambda1=0.06, lambda2=0.003)),
    )  # fmt: skip
    (item,) = of_joins(history)
    assert item.said.startswith("4 of 5 joins (80 %) were wrong: in 25 % ")
    for part in ("tighter classes (λ1", "smaller classes (λ2", "nearer together (d_ab)", "left to join"):
        assert part in item.said
    unknown = history.joins.assign(right=-1)
    assert of_joins(History(history.labels, history.confidence, unknown)) == []
    assert of_joins(History(history.labels, history.confidence, None)) == []


def test_classes_are_told_by_size_and_certainty():
    labels = np.array([[0, 1, 2, 3, 4], [0, 0, 0, 3, 4]])
    sure = np.array([[np.nan] * 5, [0.4, 0.2, 0.0, 0.0, 0.0]])
    portraits = Portraits([f"t{i}" for i in range(5)], None, NOWHERE)
    said = [item.said for item in of_classes(History(labels, sure, None), 1, portraits)]
    assert said == [
        "5 training tracklets are in 3 classes; the largest has 3, and 2 stand alone.",
        "3 of 5 tracklets (60 %) have none of their five nearest in their class.",
    ]

"""Joins and classes by merge step: their numbers against planted ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import vl_convert
from made_joins import joins_of_step
from specs import drawn

from analysis.charts.classes import KINDS, causes_chart, joins_chart, quality_chart, sizes_chart
from analysis.data.results import load
from analysis.data.runs import runs, runs_of
from analysis.stats.joins import CAUSES, with_causes
from dcreid.config import Config
from study.record.trial_tables import joins_table as table_of


def recorded_joins() -> list[Any]:
    return [with_causes(table_of([joins_of_step()] * steps), Config().merge) for steps in (2, 1)]


def test_bars_are_means_over_runs_by_person_and_camera() -> None:
    bars = drawn(joins_chart(recorded_joins()), "bar", x=1)
    assert {one["kind"]: one["joins"] for one in bars} == {
        "wrong, one camera": 1, "wrong, several cameras": 3,
        "right, one camera": 1, "right, several cameras": 0,
    }  # fmt: skip
    assert sum(one["joins"] for one in drawn(joins_chart(recorded_joins()), "bar", x=2)) == 2.5
    assert len({colour for _, colour in KINDS.values()}) == 4


def test_wrong_joins_by_cause() -> None:
    chart = causes_chart(recorded_joins())
    assert {one["kind"]: one["joins"] for one in drawn(chart, "bar", x=2)} == {
        name: 0.5 for name, _ in CAUSES.values()
    }
    vl_convert.vegalite_to_svg(chart.to_dict() | {"width": 300})


def test_agreement_in_percent_and_the_largest_class(make: Callable[..., Any]) -> None:
    made = make("duke", experiments="table1")
    made.run_plan(2)
    found = runs(load([made.folder]).groups[0])
    quality = quality_chart(runs_of(found, "fig3/final"))
    means = [one for one in drawn(quality, "line") if "seed" not in one]
    assert {one["name"]: one["value"] for one in means if one["x"] == 3} == pytest.approx(
        {"purity": 90, "NMI": 80, "ARI": 10, "pairwise F": 20}
    )
    sizes = drawn(sizes_chart({"one": runs_of(found, "table1/baseline")}), "line", name="one", x=2)
    assert {one["value"] for one in sizes} == {10}


def test_without_identities_there_is_no_agreement(make: Callable[..., Any]) -> None:
    made = make("duke", experiments="fig3")
    blind = {"purity": None, "nmi": None, "ari": None, "pairwise_f": None}
    made.run_plan(1, scores=lambda config, step: blind)
    assert quality_chart(runs(load([made.folder]).groups[0])) is None

"""Curves over merge steps and epochs: their numbers against planted ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import vl_convert
from specs import drawn, layers

from analysis.charts.steps import DIVERGED, curves, epochs_chart, steps_chart
from analysis.charts.style import step_axis
from analysis.data.results import load
from analysis.data.runs import runs, runs_of
from analysis.stats.series import over_steps


def rising(config: Any, step: int) -> float:
    """mAP 10, 20, 30, 40 % of seed 0; a point more for every seed."""
    return 0.1 * (step + 1) + 0.01 * config.seed


def runs_of_base(make: Callable[..., Any], seeds: int, **further: Any) -> list[Any]:
    made = make("duke", experiments="fig3")
    made.run_plan(seeds, rising, **further)
    return runs(load([made.folder]).groups[0])


def test_seeds_mean_and_band_from_the_untrained_network_on(make: Callable[..., Any]) -> None:
    chart = steps_chart(runs_of_base(make, 3), "mAP_trapezoid", "mAP trapezoid")
    thin, mean = drawn(chart, "line", seed=1), [one for one in drawn(chart, "line") if "seed" not in one]
    assert [(one["x"], one["value"]) for one in thin] == [
        (x, pytest.approx(9 + 10 * x)) for x in (0, 1, 2, 3)
    ]  # trapezoid: 2 points below
    assert [one["value"] for one in mean] == pytest.approx([9, 19, 29, 39])
    band = drawn(chart, "area")
    assert [one["high"] - one["low"] for one in band] == pytest.approx([2 * 2.484] * 4, abs=1e-3)
    assert mean[0]["seeds"] == "8.0 (seed 0), 9.0 (seed 1), 10.0 (seed 2)"
    vl_convert.vegalite_to_svg(chart.to_dict())


def test_two_seeds_are_two_lines_and_no_band(make: Callable[..., Any]) -> None:
    chart = steps_chart(runs_of_base(make, 2), "rank1", "rank-1")
    assert {one["seed"] for one in drawn(chart, "line") if "seed" in one} == {0, 1}
    assert not drawn(chart, "area")


def test_one_seed_is_one_line(make: Callable[..., Any]) -> None:
    chart = steps_chart(runs_of_base(make, 1), "rank1", "rank-1")
    assert len(drawn(chart, "line")) == 4 and not drawn(chart, "line", seed=0)


def test_the_steps_that_are_told_of_are_marked(make: Callable[..., Any]) -> None:
    found = runs_of_base(make, 1, scores=lambda config, step: {"unlabelled": -abs(step - 2)})
    marks = {
        one["mark"]: (one["x"], one["value"])
        for one in drawn(steps_chart(found, "mAP", "mAP"), "point", seed=0)
    }
    assert marks == {
        "best": (3, pytest.approx(40)), "last": (3, pytest.approx(40)), "selected": (2, pytest.approx(30))
    }  # fmt: skip


def test_a_training_that_diverged_goes_on_at_zero_and_is_marked(make: Callable[..., Any]) -> None:
    made = make("duke", experiments="fig3")
    made.trial(made.base, rising, state="diverged", steps=1, labels=("fig3/final",))
    made.trial(made.base.replace(seed=1), rising, labels=("fig3/final",))
    chart = steps_chart(runs(load([made.folder]).groups[0]), "mAP", "mAP")
    assert [one["value"] for one in drawn(chart, "line", seed=0)] == pytest.approx([10, 20, 0, 0])
    marks = [(one["mark"], one["x"], one["value"]) for one in drawn(chart, "point", seed=0)]
    assert (DIVERGED, 2, 0) in marks and "last" not in {name for name, _, _ in marks}
    assert [one["value"] for one in drawn(chart, "line") if "seed" not in one][-1] == pytest.approx(20.5)


def test_the_papers_number_is_a_dotted_line_where_there_is_one(make: Callable[..., Any]) -> None:
    found = runs_of_base(make, 1)
    rule = next(one for one in layers(steps_chart(found, "rank1", "rank-1", 75.4)) if one["kind"] == "rule")
    assert rule["records"] == [{"value": 75.4, "text": "paper 75.4"}] and rule["mark"]["strokeDash"]
    assert not drawn(steps_chart(found, "rank1", "rank-1"), "rule")


def test_methods_lie_at_the_epochs_they_have_trained_beside_the_untrained_network(
    make: Callable[..., Any],
) -> None:
    made = make("mars", experiments="rivals-published")
    made.run_plan(2, rising)
    made.trial(made.base.replace(seed=2), rising, labels=("rivals-published/paper",))
    found = runs(load([made.folder]).groups[0])
    named = {row: runs_of(found, f"rivals-published/{row}") for row in ("paper", "buc", "oim")}
    chart = epochs_chart(named, "mAP", "mAP")
    means = [one for one in drawn(chart, "line") if "seed" not in one]
    assert [(one["x"], one["value"]) for one in means if one["name"] == "buc"] == [
        (20, pytest.approx(20.5)), (25, pytest.approx(30.5)), (30, pytest.approx(40.5))
    ]  # fmt: skip
    assert not drawn(chart, "area")  # bands of so many methods would hide the lines
    (untrained,) = [one for one in drawn(chart, "rule") if one.get("text") == "untrained"]
    assert untrained["value"] == pytest.approx((10 * 7 + 1 * 3 + 2) / 7)
    looks = next(one for one in layers(chart) if one["kind"] == "line")["encoding"]
    assert (
        looks["color"]["scale"]["domain"] == looks["strokeDash"]["scale"]["domain"] == ["paper", "buc", "oim"]
    )


def test_a_series_of_one_point_is_a_point_with_its_interval(make: Callable[..., Any]) -> None:
    found = runs_of_base(make, 3)
    over = over_steps(found, "mAP", scale=100)
    one = type(over)(over.x[-1:], over.values[-1:])
    made = curves({"long": over, "lone": one}, step_axis("x"), "mAP")
    points = [layer for each in made for layer in layers(each) if layer["mark"].get("filled")]
    lone = next(layer["records"] for layer in points if layer["mark"].get("opacity") == 1)
    assert [(each["name"], each["value"]) for each in lone] == [("lone", pytest.approx(41))]
    rules = [each for layer in made for each in drawn(layer, "rule")]
    assert [each["name"] for each in rules] == ["lone"]


def test_equal_runs_make_equal_charts(make: Callable[..., Any]) -> None:
    found = runs_of_base(make, 2)
    assert steps_chart(found, "mAP", "mAP").to_dict() == steps_chart(found, "mAP", "mAP").to_dict()

"""Results by the value of a parameter: their numbers against planted ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import vl_convert
from specs import drawn, layers

from analysis.charts.sweeps import sweep_chart
from analysis.data.results import load
from analysis.data.runs import runs
from analysis.stats.series import numbered
from dcreid.config import Config

HEIGHTS = {0.05: 0.2, 0.08: 0.3, 0.1: 0.5, 0.3: 0.1}


def by_temperature(config: Config, step: int) -> float:
    """HEIGHTS at the last step and a tenth above them at step 2; a point more for every seed."""
    return HEIGHTS[config.train.temperature] + 0.01 * config.seed + 0.1 * (step == 2)


def chart_of(make: Callable[..., Any], seeds: int, printed: Any = (), **further: Any) -> Any:
    made = make("duke", experiments="table3")
    made.run_plan(seeds, by_temperature, **further)
    found = runs(load([made.folder]).groups[0])
    return sweep_chart(numbered(found, "table3"), found, "mAP", ("τ", "mAP"), dict(printed))


def means_of(chart: Any, series: str) -> dict[float, dict[str, Any]]:
    return {one["x"]: one for one in drawn(chart, "point", series=series) if "runs" in one}


def test_means_intervals_and_seeds_of_every_step(make: Callable[..., Any]) -> None:
    chart = chart_of(make, 3)
    last, best = means_of(chart, "last step"), means_of(chart, "best step")
    assert {x: one["value"] for x, one in last.items()} == pytest.approx(
        {0.05: 21, 0.08: 31, 0.1: 51, 0.3: 11}
    )
    assert best[0.1]["value"] == pytest.approx(61) and best[0.1]["text"] == "61.0 ± 2.5"
    rules = drawn(chart, "rule", series="last step", x=0.1)
    assert (rules[0]["low"], rules[0]["high"]) == pytest.approx((51 - 2.484, 51 + 2.484), abs=1e-3)
    dots = [one for one in drawn(chart, "point", series="last step", x=0.3) if "seed" in one]
    assert {one["seed"]: one["value"] for one in dots} == pytest.approx({0: 10, 1: 11, 2: 12})
    vl_convert.vegalite_to_svg(chart.to_dict())


def test_two_seeds_have_no_interval(make: Callable[..., Any]) -> None:
    assert not drawn(chart_of(make, 2), "rule")


def test_best_step_is_there_but_switched_off(make: Callable[..., Any]) -> None:
    chart = chart_of(make, 1, scores=lambda config, step: {"unlabelled": 0.1 * step})
    param = chart.to_dict()["params"][0]
    assert param["bind"] == "legend"
    assert [one["series"] for one in param["value"]] == ["last step", "selected step"]
    scale = next(layers(chart))["encoding"]["color"]["scale"]
    assert scale["domain"] == ["last step", "selected step", "best step"]


def test_ticks_are_the_values_that_were_run_logarithmic_where_they_spread(make: Callable[..., Any]) -> None:
    x = next(layers(chart_of(make, 1)))["encoding"]["x"]
    assert x["axis"]["values"] == [0.05, 0.08, 0.1, 0.3] and x["scale"]["type"] == "symlog"
    made = make("duke", "ends", experiments="alpha")
    made.run_plan(1)
    found = runs(load([made.folder]).groups[0])
    even = sweep_chart(numbered(found, "alpha"), found, "mAP", ("α", "mAP"), {})
    assert "type" not in next(layers(even))["encoding"]["x"]["scale"]


def test_the_papers_numbers_stand_at_its_values(make: Callable[..., Any]) -> None:
    chart = chart_of(make, 1, {0.1: 67.4, 0.3: 25.5})
    assert {one["x"]: one["value"] for one in drawn(chart, "point", series="paper")} == {0.1: 67.4, 0.3: 25.5}
    assert next(layers(chart))["encoding"]["color"]["scale"]["domain"][-1] == "paper"


def test_names_stand_side_by_side_without_a_line(make: Callable[..., Any]) -> None:
    made = make("duke", experiments="table2")
    made.run_plan(1)
    found = runs(load([made.folder]).groups[0])
    chart = sweep_chart({"linear": "table2/linear", "fixed": "table2/fixed"}, found, "mAP", ("α", "mAP"), {})
    assert not drawn(chart, "line") and next(layers(chart))["encoding"]["x"]["sort"] == ["linear", "fixed"]


def test_a_run_that_diverged_is_a_cross_at_zero(make: Callable[..., Any]) -> None:
    made = make("duke", experiments="table3")
    hot = made.base.replace(**{"train.temperature": 0.3})
    made.trial(hot, by_temperature, state="diverged", steps=0, labels=("table3/0.3",))
    made.trial(hot.replace(seed=1), by_temperature, labels=("table3/0.3",))
    made.trial(made.base, by_temperature, labels=("table3/0.1",))
    found = runs(load([made.folder]).groups[0])
    chart = sweep_chart(numbered(found, "table3"), found, "mAP", ("τ", "mAP"), {})
    lost = drawn(chart, "point", series="last step", diverged=True)
    assert [(one["x"], one["seed"], one["value"], one["text"]) for one in lost] == [
        (0.3, 0, 0, "0.0, diverged")
    ]
    shape = next(one["mark"]["shape"] for one in layers(chart) if one["records"] == lost)
    assert shape not in ("circle", None)
    assert means_of(chart, "last step")[0.3]["value"] == pytest.approx(5.5)
    assert means_of(chart, "last step")[0.3]["runs"] == "2, 1 diverged"

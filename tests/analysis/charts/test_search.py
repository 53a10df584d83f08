"""What a search found, as charts."""

from __future__ import annotations

import re

import numpy as np
import pytest
import vl_convert
from optuna.distributions import CategoricalDistribution, FloatDistribution

from analysis.charts import style
from analysis.charts.search import (
    Point,
    contour_chart,
    history_chart,
    importances_chart,
    parallel_chart,
    slice_chart,
)
from analysis.stats.searched import Parameter

WEIGHT = Parameter("λ1", FloatDistribution(0.0003, 1.0, log=True), zero_below=0.01)
RATE = Parameter("lr", FloatDistribution(0.0, 2.0))
CHOICE = Parameter("head", CategoricalDistribution(("none", "buc", "embedding")))


def point(number: int, value: float, kind: str = "complete", **params) -> Point:
    known = {"λ1": 0.1, "lr": 1.0, "head": "buc"} | params
    return Point(str(number), number, f"trial {number}", f"c{number}", kind, value, 3, known)


def drawn(spec: dict, isolated: str = "") -> str:
    for one in spec.get("params", ()):
        one["value"] = isolated
    return vl_convert.vegalite_to_svg({**spec, "width": 400} if spec["width"] == "container" else spec)


def test_the_best_so_far_is_of_trials_that_ran_to_their_end():
    points = [
        point(0, 10, "base"),
        point(1, 30, "pruned"),
        point(4, 20),
        point(5, 15),
        point(6, 0, "diverged"),
    ]
    spec = history_chart(points, "mAP (%)", "isolated")
    best = [(one["number"], one["value"]) for one in spec["datasets"]["best"]]
    assert best == [(0, 10), (1, 10), (4, 20), (5, 20), (6, 20)]
    assert [one["value"] for one in spec["datasets"]["points"]] == [10, 30, 20, 15, 0]


def test_states_differ_by_shape_as_well_as_by_colour():
    points = [point(0, 10, "his setting"), point(1, 30, "pruned"), point(2, 20), point(3, 0, "diverged")]
    encoding = history_chart(points, "mAP (%)", "isolated")["layer"][1]["encoding"]
    kinds = ["his setting", "complete", "pruned", "diverged"]
    for name in ("color", "shape"):
        assert encoding[name]["scale"]["domain"] == kinds
        assert len(set(encoding[name]["scale"]["range"])) == 4
    assert encoding["shape"]["scale"]["range"][0] == style.STAR


def test_importances_are_percent_in_the_given_order():
    shares = {"PED-ANOVA": {"a": 0.7, "b": 0.3}, "fANOVA": {"b": 0.9, "a": 0.1}}
    spec = importances_chart(shares, ["a", "b"])
    rows = [(one["method"], one["parameter"], one["share"]) for one in spec["datasets"]["shares"]]
    assert rows == [
        *(("PED-ANOVA", "a", 70), ("PED-ANOVA", "b", 30)),
        *(("fANOVA", "a", 10), ("fANOVA", "b", 90)),
    ]
    assert re.findall(r">(\d+)</text>", drawn(spec).partition("mark-text role-mark")[2])[:4] == [
        *("70", "30", "10", "90"),
    ]


def test_the_surface_lies_between_the_trials_which_are_points_on_it():
    corners = [(0.01, 0.0), (0.01, 2.0), (1.0, 0.0), (1.0, 2.0)]
    points = [point(i, 10.0 * (lr + 1), **{"λ1": weight, "lr": lr}) for i, (weight, lr) in enumerate(corners)]
    spec = contour_chart(points, (WEIGHT, RATE), "mAP (%)", "isolated")
    cells = spec["datasets"]["cells"]
    assert cells and min(one["x"] for one in cells) > 0.13  # nothing between 0 and its smallest value
    for one in cells:
        middle = (one["y"] + 1 / 60) * 2
        assert one["value"] == pytest.approx(10 * (middle + 1), abs=0.01)
    held = spec["datasets"]["points"]
    assert [(one["x"], one["y"]) for one in held] == [(0.15, 0), (0.15, 1), (1, 0), (1, 1)]
    assert (held[2]["across"], held[2]["up"]) == ("1", "0")
    labels = re.findall(r">([^<]+)</text>", drawn(spec))
    assert {"0", "0.01", "1", "2", "λ1", "lr"} <= set(labels)


def test_divergence_does_not_stretch_the_colours():
    points = [point(0, 10, lr=0.0), point(1, 20, lr=2.0), point(2, 0, "diverged", lr=1.0)]
    for spec in (
        contour_chart(points, (WEIGHT, RATE), "mAP (%)", "isolated"),
        parallel_chart(points, [WEIGHT, RATE], "mAP (%)", "isolated"),
    ):
        assert spec["layer"][0]["encoding"]["color"]["scale"]["domain"] == [10, 20]


def test_slices_say_choices_and_set_trials_of_one_choice_beside_each_other():
    points = [point(i, 10 + i, head=("none", "buc")[i % 2]) for i in range(4)]
    spec = slice_chart(points, CHOICE, "mAP (%)", "isolated")
    at = [one["at"] for one in spec["datasets"]["points"]]
    assert len(set(at)) == 4 and np.allclose(at, [0, 0.5, 0, 0.5], atol=0.04)
    assert [one["text"] for one in spec["datasets"]["points"]] == ["none", "buc", "none", "buc"]
    assert {"none", "buc", "embedding"} <= set(re.findall(r">([^<]+)</text>", drawn(spec)))


def test_slices_of_numbers_are_where_they_are():
    points = [point(i, 10 + i, lr=lr) for i, lr in enumerate((0.0, 0.5, 2.0))]
    spec = slice_chart(points, RATE, "mAP (%)", "isolated")
    assert [one["at"] for one in spec["datasets"]["points"]] == [0, 0.25, 1]


def test_parallel_axes_end_at_the_value_and_the_best_lies_on_top():
    points = [point(0, 30, lr=0.0), point(1, 10, "pruned", lr=2.0), point(2, 20, lr=1.0, head="none")]
    spec = parallel_chart(points, [RATE, CHOICE], "mAP (%)", "isolated")
    lines = spec["datasets"]["lines"]
    assert [one["key"] for one in lines] == ["1", "2", "0"]
    assert lines[0]["axis"] == ["lr", "head", "mAP (%)"] and lines[0]["at"] == [1, 0.5, 0]
    assert [one["at"][-1] for one in lines] == [0, 0.5, 1]
    assert ("mAP (%)", 1, "30.0") in [tuple(one.values()) for one in spec["datasets"]["ticks"]]
    assert drawn(spec).count('stroke-dasharray="4,3"') == 1  # the pruned one


def test_the_configuration_stands_where_one_looks_for_it_and_not_in_every_chart():
    points = [point(i, 10 + i, lr=i / 2) for i in range(4)]
    held = history_chart(points, "mAP (%)", "isolated")["datasets"]["points"]
    assert [one["configuration"] for one in held] == ["c0", "c1", "c2", "c3"]
    slices = slice_chart(points, RATE, "mAP (%)", "isolated")["datasets"]["points"]
    assert not any("configuration" in one for one in slices)


@pytest.mark.parametrize(
    "spec",
    [
        history_chart([point(i, 10 + i) for i in range(4)], "mAP (%)", "isolated"),
        contour_chart([point(i, 10 + i, lr=i / 2) for i in range(4)], (WEIGHT, RATE), "mAP (%)", "isolated"),
        slice_chart([point(i, 10 + i, lr=i / 2) for i in range(4)], RATE, "mAP (%)", "isolated"),
        parallel_chart([point(i, 10 + i, lr=i / 2) for i in range(4)], [RATE], "mAP (%)", "isolated"),
    ],
    ids=["history", "contour", "slice", "parallel"],
)
def test_a_row_clicked_isolates_its_trial(spec: dict):
    assert 'opacity="0.07"' not in drawn(spec) and drawn(spec, "2").count('opacity="0.07"') == 3

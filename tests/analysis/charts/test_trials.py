"""Curves of trials as charts."""

from __future__ import annotations

import re

import pytest
import vl_convert

from analysis.charts import style
from analysis.charts.trials import DIVERGED, PRUNED, SELECTED, Curve, curves_chart


def made(count: int, kind: str = "complete", steps: int = 3, marks: tuple = ()) -> list[Curve]:
    """Trials that rise by 1 a step, each 10 above the one before it."""
    values = [{step: 10.0 * i + step for step in range(steps)} for i in range(count)]
    return [Curve(str(i), f"trial {i}", f"λ1 0.{i}", kind, values[i], marks) for i in range(count)]


def layers(curves: list[Curve], **options):
    return curves_chart(curves, "mAP (%)", "isolated", **options)


def test_a_line_runs_through_what_its_trial_measured():
    spec = layers(made(2))
    assert spec["datasets"]["curves"][1] == {
        "key": "1", "trial": "trial 1", "kind": "complete", "configuration": "λ1 0.1",
        "step": [0, 1, 2], "value": [10.0, 11.0, 12.0],
    }  # fmt: skip
    drawn = vl_convert.vegalite_to_svg({**spec, "width": 400})
    lines = re.findall(r'mark-line[^>]*><path d="(M[^"]*)"', drawn)
    assert [line.count("L") for line in lines] == [2, 2]


@pytest.mark.parametrize(("count", "field"), [(6, "trial"), (7, "kind")])
def test_few_trials_have_looks_of_their_own_of_more_the_state_has(count: int, field: str):
    colour = layers(made(count))["layer"][0]["encoding"]["color"]
    assert colour["field"] == field and len(colour["scale"]["domain"]) == (count if field == "trial" else 1)


def test_states_differ_by_dash_and_the_base_is_black():
    curves = [*made(7), *made(1, "pruned"), *made(1, "diverged"), *made(1, "the paper's setting")]
    encoding = layers(curves)["layer"][0]["encoding"]
    assert encoding["color"]["scale"]["domain"] == ["the paper's setting", "complete", "pruned", "diverged"]
    assert encoding["color"]["scale"]["range"][0] == style.BLACK
    dashes = [str(dash) for dash in encoding["strokeDash"]["scale"]["range"]]
    assert len(set(dashes[1:])) == 3


def test_ends_are_marked_where_they_are():
    curves = [*made(1, "pruned", 2, ((1, PRUNED),)), *made(2, "diverged", 3, ((2, DIVERGED),))[1:]]
    spec = layers(curves)
    marks = spec["datasets"]["marks"]
    assert [(one["key"], one["step"], one["value"], one["mark"]) for one in marks] == [
        ("0", 1, 1.0, PRUNED),
        ("1", 2, 12.0, DIVERGED),
    ]
    legend = spec["layer"][-1]["encoding"]["shape"]["legend"]
    assert legend["values"] == [PRUNED, DIVERGED]


@pytest.mark.parametrize(("count", "stars"), [(6, 6), (7, 0)])
def test_of_many_trials_no_selected_step_is_marked_before_one_is_isolated(count: int, stars: int):
    spec = {**layers(made(count, marks=((1, SELECTED),))), "width": 400}
    marks = re.compile(r'<path[^>]*stroke="#222"[^>]*>')

    def seen(isolated: str) -> int:
        (param,) = (one for one in spec["params"] if one["name"] == "isolated")
        param["value"] = isolated
        drawn = vl_convert.vegalite_to_svg(spec).partition("role-legend")[0]
        return sum('opacity="0"' not in one for one in marks.findall(drawn))

    assert seen("") == stars and seen("3") == 1


def test_the_nearest_point_answers_with_its_trial_configuration_step_and_value():
    points = layers(made(3))["layer"][1]
    told = [(one["title"], one["field"]) for one in points["encoding"]["tooltip"]]
    assert told[0] == ("trial", "trial") and ("configuration", "configuration") in told
    assert told[-2:] == [("merge step", "step"), ("mAP (%)", "value")]
    (hover,) = (one for one in layers(made(3))["params"] if one["name"] == "hover")
    assert hover["select"]["nearest"] is True


def test_a_picture_has_no_points_to_answer():
    spec = layers(made(3), answering=False)
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["line"]
    assert [one["name"] for one in spec["params"]] == ["isolated"]


def test_of_very_many_points_the_line_answers():
    spec = layers(made(500, steps=10))
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["line"]
    assert spec["layer"][0]["encoding"]["tooltip"][0]["title"] == "trial"
    assert spec["layer"][0]["encoding"]["strokeWidth"]["value"] < 1

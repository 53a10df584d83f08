"""What all charts share."""

from __future__ import annotations

import json

import altair as alt
import pytest
import vl_convert

from analysis.charts import style
from analysis.figures.style import LINES


def spec_of(chart: alt.Chart) -> dict:
    return json.loads(chart.to_json())


def test_the_colours_are_those_of_the_figures():
    assert tuple(line.color for line in LINES) == style.COLOURS


@pytest.mark.parametrize("made", [style.series, style.shapes])
def test_nothing_depends_on_colour_alone(made):
    names = ["a", "b", "c", "d", "e", "f"]
    channels = made("kind", names)
    assert len(channels) == 2
    for channel in channels.values():
        looks = channel.to_dict()["scale"]
        assert looks["domain"] == names and len({str(look) for look in looks["range"]}) == len(names)


def test_what_is_no_number_is_missing_and_many_rows_are_no_error():
    held = style.rows([{"a": float("nan"), "b": [1.0, float("inf")], "c": "x"}] * 6000)
    spec = spec_of(alt.Chart(held).mark_point().encode(x="a:Q"))
    values = next(iter(spec["datasets"].values())) if "datasets" in spec else spec["data"]["values"]
    assert len(values) == 6000 and values[0] == {"a": None, "b": [1.0, None], "c": "x"}


def test_steps_are_whole_numbers_and_tooltips_have_their_formats():
    chart = alt.Chart(style.rows([{"step": 0, "mAP": 12.34}, {"step": 1, "mAP": 20.0}])).mark_line()
    chart = chart.encode(
        x=style.step_axis(),
        y=style.percent_axis("mAP", "mAP (%)"),
        tooltip=style.told(("step", "step"), ("mAP", "mAP", ".1f")),
    )
    drawn = vl_convert.vegalite_to_svg(spec_of(chart))
    assert ">0<" in drawn and ">1<" in drawn and ">0.5<" not in drawn
    assert [one.get("format") for one in spec_of(chart)["encoding"]["tooltip"]] == [None, ".1f"]


def test_isolating_dims_the_others():
    held = style.rows([{"x": 1, "key": "1"}, {"x": 2, "key": "2"}])
    chart = alt.Chart(held).mark_point().encode(x="x:Q", opacity=style.shown("isolated", "key"))
    spec = spec_of(chart.add_params(style.isolating("isolated")))
    faint = vl_convert.vegalite_to_svg(spec).count('opacity="0.07"')
    spec["params"][0]["value"] = "2"
    assert faint == 0 and vl_convert.vegalite_to_svg(spec).count('opacity="0.07"') == 1

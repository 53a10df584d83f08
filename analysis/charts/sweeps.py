"""Results by the value of a parameter, or by choice: seeds' dots, means with intervals, the paper's numbers.

Series are the steps that are told of, and the paper; a click in the legend shows or hides one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np

from analysis.charts.style import BLACK, BLUE, CROSS, VERMILION, rows, told
from analysis.data.runs import Run, count, of_experiment, runs_of, steps_told
from study.record.intervals import estimate, interval_text

HEIGHT = 280  # pixels
APART = 8  # pixels between the steps at one value
PAPER = "paper"
# What a series is called in the legend; its colour and shape.
SERIES = {
    "last": ("last step", VERMILION, "square"),
    "selected": ("selected step", BLACK, "triangle-down"),
    "best": ("best step", BLUE, "circle"),
    PAPER: ("paper", BLACK, "diamond"),
}
_UNEVEN = 5  # how many times wider a gap between values may be than another on a linear axis


def sweep_chart(
    points: Mapping[Any, str],
    found: Sequence[Run],
    metric: str,
    titles: tuple[str, str],
    printed: Mapping[Any, float],
) -> alt.LayerChart:
    """A metric of experiments by their values, which are numbers, or their names (`points`).

    titles: of the parameter and of the metric. printed: what the paper prints, by the keys of `points`; empty
    where it is of other data.
    """
    told_of = [at for at in SERIES if at in steps_told(found)]
    shown = [*told_of, *([PAPER] if printed else [])]
    means = {at: list(_means(points, found, metric, at)) for at in told_of}
    dots = {at: list(_dots(points, found, metric, at)) for at in told_of}
    values = [one[name] for of in means.values() for one in of for name in ("low", "value", "high")]
    values += [*(one["value"] for of in dots.values() for one in of), *printed.values()]
    axes = {
        "x": _axis(list(points), titles[0]),
        "y": _values_axis(values, f"{titles[1]} (%)"),
        "color": _legend(alt.Color, shown, 1),
        "shape": _legend(alt.Shape, shown, 2),
    }
    layers: list[alt.Chart] = []
    for i, at in enumerate(told_of):
        layers += _step(means[at], dots[at], axes, APART * (i - (len(told_of) - 1) / 2))
    if printed:
        layers.append(_papers(printed, axes))
    chosen = alt.selection_point(
        name="steps", fields=["series"], bind="legend", toggle="true",
        value=[{"series": SERIES[one][0]} for one in shown if one != "best"],
    )  # fmt: skip
    layers = [layer.transform_filter(chosen) for layer in layers]
    layers[0] = layers[0].properties(name="first").add_params(chosen)
    return alt.LayerChart(layer=layers, width="container", height=HEIGHT)


def _axis(values: list[Any], title: str) -> alt.X:
    """Names side by side, or numbers with ticks at those that were run: logarithmic where they spread."""
    if isinstance(values[0], str):
        axis = alt.Axis(labelAngle=0, labelLimit=150)
        return alt.X("x", type="nominal", title=title, sort=values, axis=axis, scale=alt.Scale(padding=0.5))
    scale: dict[str, Any] = {"domain": [values[0], values[-1]], "zero": False, "nice": False, "padding": 16}
    gaps = np.diff(values)
    if len(gaps) and gaps.max() > _UNEVEN * gaps.min():
        scale |= {"type": "symlog", "constant": min(value for value in values if value > 0)}
    axis = alt.Axis(values=values, labelAngle=-45, labelOverlap=False, grid=False, format="~g")
    return alt.X("x", type="quantitative", title=title, axis=axis, scale=alt.Scale(**scale))


def _values_axis(values: list[float], title: str) -> alt.Y:
    """Wide enough for all series, so that it stays where it is when one is shown or hidden."""
    known = [value for value in values if not math.isnan(value)]
    scale = alt.Scale(
        domain=[max(0.0, min(known)), min(100.0, max(known))], zero=False, nice=True, clamp=True
    )
    return alt.Y("value", type="quantitative", title=title, scale=scale, axis=alt.Axis(tickCount=6))


def _legend(channel: Any, shown: Sequence[str], look: int) -> Any:
    names = [SERIES[one][0] for one in shown]
    scale = alt.Scale(domain=names, range=[SERIES[one][look] for one in shown])
    return channel("series:N", sort=names, title=None, scale=scale)


def _step(
    means: list[dict[str, Any]], dots: list[dict[str, Any]], axes: dict[str, Any], aside: float
) -> Iterator[alt.Chart]:
    """Intervals, the line through the means, seeds and means of one step, moved aside by so many pixels."""
    x, y, color = (axes[name] for name in ("x", "y", "color"))
    tooltip = told(("series", "of"), ("x", "at"), ("text", "mean"), ("runs", "runs"))
    if bounded := [one for one in means if not math.isnan(one["low"])]:
        interval = alt.Chart(rows(bounded)).mark_rule(strokeWidth=1.6, xOffset=aside)
        yield interval.encode(x=x, y=alt.Y("low:Q"), y2="high:Q", color=color)
    held = alt.Chart(rows(means))
    if not isinstance(means[0]["x"], str):
        yield held.mark_line(strokeWidth=1.4, xOffset=aside).encode(x=x, y=y, color=color)
    for diverged, shape in ((False, "circle"), (True, CROSS)):
        if seen := [one for one in dots if one["diverged"] == diverged]:
            seeds = alt.Chart(rows(seen)).mark_point(size=26, shape=shape, opacity=0.7, xOffset=aside)
            own = told(("series", "of"), ("x", "at"), ("seed", "seed"), ("text", "result"))
            yield seeds.encode(x=x, y=y, color=color, tooltip=own)
    yield held.mark_point(filled=True, size=75, opacity=1, xOffset=aside).encode(**axes, tooltip=tooltip)


def _means(points: Mapping[Any, str], found: Sequence[Run], metric: str, at: str) -> Iterator[dict[str, Any]]:
    for x, experiment in points.items():
        each = estimate(of_experiment(found, experiment, metric, at))
        interval = {"low": each.mean - each.half, "high": each.mean + each.half}
        said = {"text": each.text(), "runs": count(found, experiment)}
        yield {"series": SERIES[at][0], "x": x, "value": each.mean, **interval, **said}


def _dots(points: Mapping[Any, str], found: Sequence[Run], metric: str, at: str) -> Iterator[dict[str, Any]]:
    for x, experiment in points.items():
        for run in runs_of(found, experiment):
            value = run.value(metric, at)
            said = f"{interval_text(value)}{', diverged' * run.diverged}"
            yield {"series": SERIES[at][0], "x": x, "seed": run.trial.seed, "value": value,
                   "text": said, "diverged": run.diverged}  # fmt: skip


def _papers(printed: Mapping[Any, float], axes: dict[str, Any]) -> alt.Chart:
    held = alt.Chart(
        rows(
            {"series": SERIES[PAPER][0], "x": x, "value": value, "text": interval_text(value)}
            for x, value in printed.items()
        )
    )
    tooltip = told(("series", "of"), ("x", "at"), ("text", "printed"))
    made: alt.Chart = held.mark_point(size=120, strokeWidth=2, opacity=1).encode(**axes, tooltip=tooltip)
    return made

"""Curves over merge steps or epochs: thin lines are seeds, a thick one their mean, a band its interval."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import altair as alt

from analysis.charts.style import (
    BLACK,
    BLUE,
    CROSS,
    GREY,
    PURPLE,
    VERMILION,
    percent_axis,
    rows,
    series,
    step_axis,
    told,
)
from analysis.data.runs import Run, steps_told
from analysis.stats.series import Series, over_epochs, over_steps
from study.record.intervals import interval_text

HEIGHT = 260  # pixels
DIVERGED = "diverged"
# Where a run's curve is read, and where it ends: colour and shape.
MARKS = {
    "best": (BLUE, "circle"),
    "last": (VERMILION, "square"),
    "selected": (BLACK, "triangle-down"),
    DIVERGED: (PURPLE, CROSS),
}


def steps_chart(
    runs: Sequence[Run], metric: str, heading: str, papers: float | None = None
) -> alt.LayerChart:
    """Runs of one configuration from the untrained network on; papers: what the paper prints of it."""
    over = over_steps(runs, metric, scale=100, untrained=True)
    layers = curves({heading: over}, step_axis("x"), f"{heading} (%)", legend=False)
    if papers is not None:
        layers += _level(papers, f"paper {interval_text(papers)}", BLACK)
    marks = list(_marks(runs, metric))
    names = [name for name in MARKS if any(one["mark"] == name for one in marks)]
    looks = [MARKS[name] for name in names]
    layers.append(
        alt.Chart(rows(marks))
        .mark_point(size=55, strokeWidth=1.8, opacity=1)
        .encode(
            x=step_axis("x"),
            y="value:Q",
            color=_scaled(alt.Color, names, [colour for colour, _ in looks]),
            shape=_scaled(alt.Shape, names, [shape for _, shape in looks]),
            tooltip=told(("mark", "step"), ("seed", "seed"), ("x", "merge step"), ("value", heading, ".1f")),
        )
    )
    return whole(layers)


def _scaled(channel: Any, names: Sequence[str], looks: Sequence[str]) -> Any:
    scale = alt.Scale(domain=list(names), range=list(looks))
    return channel("mark:N", sort=list(names), title=None, scale=scale)


def _marks(runs: Sequence[Run], metric: str) -> Iterator[dict[str, Any]]:
    """Of every seed the steps that are told of, and the one whose training diverged."""
    for run in runs:
        steps = {"best": run.best_step, "last": run.last_step, "selected": run.selected_step}
        for at in steps_told(runs):
            if steps[at] is not None and not (run.diverged and at != "best"):
                yield _mark(run, metric, at, steps[at])
        if run.trial.diverged_at is not None:
            yield _mark(run, metric, DIVERGED, run.trial.diverged_at)


def _mark(run: Run, metric: str, name: str, step: int | None) -> dict[str, Any]:
    value = run.value_after(metric, step)
    return {"mark": name, "seed": run.trial.seed, "x": step, "value": value}


def _level(value: float, text: str, color: str) -> list[alt.Chart]:
    """A dotted line at a value, with words on it."""
    held = alt.Chart(rows([{"value": value, "text": text}]))
    words = held.mark_text(color=color, align="left", baseline="bottom", dx=3, dy=-2)
    return [
        held.mark_rule(color=color, strokeDash=[2, 3]).encode(y="value:Q"),
        words.encode(x=alt.value(0), y="value:Q", text="text:N"),
    ]


def epochs_chart(named: Mapping[str, Sequence[Run]], metric: str, heading: str) -> alt.LayerChart:
    """Methods by the epochs that each has trained; the untrained network as a dotted line."""
    over = {name: over_epochs(runs, metric) for name, runs in named.items()}
    x = step_axis("x", "epochs trained")
    layers = curves(over, x, f"{heading} (%)", bands=False)  # of so many methods they would hide the lines
    values = [run.value(metric, "untrained") for runs in named.values() for run in runs]
    untrained = [value for value in values if not math.isnan(value)]
    if untrained:
        layers += _level(sum(untrained) / len(untrained), "untrained", GREY)
    return whole(layers)


def curves(
    named: Mapping[str, Series],
    x: alt.X,
    title: str,
    *,
    legend: bool = True,
    zero: bool = False,
    bands: bool = True,
) -> list[alt.Chart]:
    """Layers of band, seeds, mean and what a pointer is told, of series by name.

    x: of the column "x"; title: of the other axis, which begins at 0 where `zero` says so. A band is drawn
    from three seeds on; a series of one point is a point.
    """
    means, seeds = list(_means(named)), list(_seeds(named))
    lone = [one for one in means if len(named[one["name"]].x) == 1]
    looks: dict[str, Any] = {"color": alt.value(BLUE)}
    if legend:
        drawn = {"symbolType": "stroke", "symbolOpacity": 1, "symbolStrokeWidth": 2.2, "columns": 2}
        looks = {name: channel.legend(**drawn) for name, channel in series("name", list(named)).items()}
    y = percent_axis("value", title)
    if zero:
        y = y.scale(domainMin=0)
    at, color = {"x": x, "y": y}, {"color": looks["color"]}
    span = {"x": x, "y": alt.Y("low:Q", title=title), "y2": "high:Q"}
    layers = []
    if bands and (bounded := _bounded(means)):
        layers.append(alt.Chart(rows(bounded)).mark_area(opacity=0.15, clip=True).encode(**span, **color))
    if seeds:
        thin = alt.Chart(rows(seeds)).mark_line(strokeWidth=1, opacity=0.4)
        layers.append(thin.encode(detail="seed:N", **at, **looks))
    if whiskers := _bounded(lone):
        layers.append(alt.Chart(rows(whiskers)).mark_rule(clip=True).encode(**span, **color))
    if lone:
        layers.append(alt.Chart(rows(lone)).mark_point(filled=True, size=70, opacity=1).encode(**at, **color))
    held = alt.Chart(rows(means))
    return [*layers, held.mark_line(strokeWidth=2.2).encode(**at, **looks), _hovered(held, at, color)]


def _hovered(means: alt.Chart, at: dict[str, Any], color: dict[str, Any]) -> alt.Chart:
    """The mean that is nearest to the pointer, with its interval and its seeds."""
    hover = alt.selection_point(
        name="hover", on="pointerover", clear="pointerout", nearest=True, fields=["x", "name"], empty=False
    )
    made: alt.Chart = (
        means.mark_point(filled=True, size=70)
        .encode(
            opacity=alt.condition(hover, alt.value(1), alt.value(0)),
            tooltip=told(("name", "of"), ("x", "at"), ("text", "mean"), ("seeds", "seeds")),
            **at,
            **color,
        )
        .properties(name="means")
        .add_params(hover)
    )
    return made


def _means(named: Mapping[str, Series]) -> Iterator[dict[str, Any]]:
    for name, over in named.items():
        for at, values, each in zip(over.x, over.values, over.estimates, strict=True):
            interval = {"low": each.mean - each.half, "high": each.mean + each.half, "text": each.text()}
            yield {"name": name, "x": at, "value": each.mean, **interval, "seeds": _by_seed(values)}


def _seeds(named: Mapping[str, Series]) -> Iterator[dict[str, Any]]:
    """Where there are several of a series."""
    for name, over in named.items():
        for at, values in zip(over.x, over.values, strict=True):
            if over.runs > 1:
                yield from (
                    {"name": name, "x": at, "seed": seed, "value": value} for seed, value in values.items()
                )


def _bounded(means: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that have an interval."""
    return [one for one in means if not math.isnan(one["low"])]


def _by_seed(values: Any) -> str:
    """`20.1 (seed 3), 19.8 (seed 4)`"""
    return ", ".join(f"{interval_text(value)} (seed {seed})" for seed, value in values.items())


def whole(layers: Sequence[alt.Chart]) -> alt.LayerChart:
    """Layers as a chart that takes the width that there is."""
    return alt.LayerChart(layer=layers, width="container", height=HEIGHT)

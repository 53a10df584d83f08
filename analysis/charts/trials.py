"""Curves of trials by merge step as charts: a line a trial, which a row clicked in a table isolates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from analysis.charts import style

FEW = 6  # trials that have colours of their own; of more a colour says what became of the trial
_MANY = 60  # trials whose lines are thin
_ANSWERING = 4_000  # points among which the nearest answers; of more a line alone says whose it is
# What became of a trial to (colour, dash) of its line.
STATES = {
    "complete": (style.BLUE, [1, 0]),
    "pruned": (style.VERMILION, [5, 3]),
    "diverged": (style.PURPLE, [2, 2]),
    "failed": (style.ORANGE, [6, 2, 2, 2]),
    "not finished": (style.GREY, [8, 2]),
}
BASE = (style.BLACK, [1, 0])
# What a curve ends with, and the step that was chosen, to the shape that marks it.
PRUNED, DIVERGED, SELECTED = "where it was pruned", "where it diverged", "selected step"
_MARKS = {PRUNED: style.CROSS, DIVERGED: "triangle-down", SELECTED: style.STAR}


@dataclass(frozen=True)
class Curve:
    """What one trial measured by merge step.

    key: the `data-value` of its row; kind: of STATES, or what the base is called; marks: (step, which of
    PRUNED, DIVERGED and SELECTED).
    """

    key: str
    trial: str
    configuration: str
    kind: str
    values: dict[int, float]
    marks: tuple[tuple[int, str], ...] = ()


def curves_chart(
    curves: Sequence[Curve],
    title: str,
    isolates: str,
    *,
    small: bool = False,
    number: str = ".1f",
    answering: bool = True,
) -> dict[str, Any]:
    """A line for every trial from the untrained network on; the point nearest to the pointer answers.

    title: what was measured; isolates: the parameter that a click in a table sets; small: one of several
    beside each other, without a legend; number: format of the values; answering: False for a picture.
    """
    field = "trial" if len(curves) <= FEW else "kind"
    names = _names(curves) if field == "kind" else [curve.trial for curve in curves]
    looks = [STATES.get(name, BASE) for name in names] if field == "kind" else None
    series = style.series(field, names) if looks is None else style.series(
        field, names, colours=[colour for colour, _ in looks], dashes=[dash for _, dash in looks]
    )  # fmt: skip
    legend = None if small else alt.Legend(symbolType="stroke", symbolSize=300, symbolOpacity=1)
    series = {name: channel.legend(legend) for name, channel in series.items()}
    hover = alt.selection_point(
        name="hover", fields=["key"], nearest=True, on="pointerover", clear="pointerout", empty=False
    )
    answers = answering and sum(len(curve.values) for curve in curves) <= _ANSWERING
    x = style.step_axis(title="" if small else style.MERGE_STEP)
    y = alt.Y(
        "value",
        type="quantitative",
        title="" if small else title,
        scale=alt.Scale(zero=False),
        axis=alt.Axis(tickCount=5),
    )
    told = style.told(
        ("trial", "trial"), ("kind", "state"), *(() if small else (("configuration", "configuration"),)),
        ("step", "merge step"), ("value", title, number),
    )  # fmt: skip
    width = 2.0 if len(curves) <= FEW else 1.3 if len(curves) <= _MANY else 0.7
    base = alt.Chart(alt.NamedData("curves")).transform_flatten(["step", "value"])
    faint = 0.9 if len(curves) <= _MANY else 0.5
    lines = base.mark_line(aria=False).encode(
        x=x, y=y, detail="key:N", opacity=style.shown(isolates, "key", faint),
        strokeWidth=alt.condition(hover, alt.value(3), alt.value(width)) if answers else alt.value(width),
        **({} if answers else {"tooltip": told[:-2]}), **series,
    )  # fmt: skip
    layers: list[alt.Chart] = [lines]
    if answers:
        points = base.mark_point(filled=True, size=45, aria=False).encode(
            x=x, y=y, color=series["color"], tooltip=told,
            opacity=alt.condition(hover, alt.value(1), alt.value(0)),
        )  # fmt: skip
        layers.append(points.add_params(hover))
    marked = _marked(curves)
    if marked:
        layers.append(_marks(marked, len(curves), x, y, isolates, small))
    made = (
        alt.layer(*layers)
        .add_params(style.isolating(isolates))
        .resolve_legend(shape="independent")
        .properties(width="container", height=130 if small else 300)
    )
    return style.with_rows(made, curves=_records(curves, small), marks=marked)


def _names(curves: Sequence[Curve]) -> list[str]:
    """What occurs, in the order of STATES; the base, which has a name of its own, first."""
    occurring = list(dict.fromkeys(curve.kind for curve in curves))
    return [name for name in occurring if name not in STATES] + [name for name in STATES if name in occurring]


def _records(curves: Sequence[Curve], small: bool) -> Iterator[dict[str, Any]]:
    for curve in curves:
        yield {
            "key": curve.key,
            "trial": curve.trial,
            "kind": curve.kind,
            **({} if small else {"configuration": curve.configuration}),
            "step": list(curve.values),
            "value": [round(value, 3) for value in curve.values.values()],
        }


def _marked(curves: Sequence[Curve]) -> list[dict[str, Any]]:
    """Where trials were pruned or diverged, and selected steps: of many trials only the isolated one's."""
    few = len(curves) <= FEW
    return [
        {
            "key": curve.key,
            "step": step,
            "value": round(curve.values[step], 3),
            "mark": mark,
            "always": few or mark != SELECTED,
        }
        for curve in curves
        for step, mark in curve.marks
        if step in curve.values
    ]


def _marks(
    marked: Sequence[dict[str, Any]], trials: int, x: alt.X, y: alt.Y, isolates: str, small: bool
) -> alt.Chart:
    legend = [name for name in _MARKS if any(one["mark"] == name and one["always"] for one in marked)]
    shape = alt.Shape(
        "mark", type="nominal", title=None,
        scale=alt.Scale(domain=list(_MARKS), range=list(_MARKS.values())),
        legend=None if small or not legend else alt.Legend(symbolOpacity=1, values=legend),
    )  # fmt: skip
    size = (25 if small else 55) if trials <= _MANY else 12
    seen = f"{isolates} === '' ? datum.always : datum.key === {isolates}"
    chart: alt.Chart = alt.Chart(alt.NamedData("marks")).mark_point(
        size=size, color="#222", strokeWidth=1.4, aria=False
    )
    return chart.encode(x=x, y=y, shape=shape, opacity=alt.condition(seen, alt.value(1), alt.value(0)))

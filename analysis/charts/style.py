"""What all charts share: colours, dashes and shapes, axes, tooltips, and how a click isolates a series.

Every series differs by line style and shape as well as by colour. Colours are those of `figures.style`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import altair as alt

BLUE, VERMILION, GREEN, PURPLE, BLACK, ORANGE = COLOURS = (  # Okabe and Ito's
    *("#0072B2", "#D55E00", "#009E73"),
    *("#CC79A7", "#000000", "#E69F00"),
)
GREY = "#767676"
DASHES = ([1, 0], [6, 3], [6, 2, 2, 2], [2, 2], [10, 2], [6, 2, 2, 2, 2, 2])
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")
STAR = (  # five points in the square from -1 to 1
    "M0,-1L0.235,-0.324L0.951,-0.309L0.38,0.124L0.588,0.809L0,0.4L-0.588,0.809L-0.38,0.124L-0.951,-0.309"
    "L-0.235,-0.324Z"
)
CROSS = "M-0.8,-0.8L0.8,0.8M0.8,-0.8L-0.8,0.8"  # ×: drawn with its stroke alone
MERGE_STEP = "merge step (0: untrained)"


def rows(records: Iterable[dict[str, Any]]) -> alt.InlineData:
    """Records as they stand in the chart, however many; what is no number is missing."""
    return alt.InlineData(values=_records(records))


def with_rows(chart: alt.TopLevelMixin, **tables: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The specification of a chart whose layers name their data (`alt.NamedData`), with these data.

    Altair copies data that it is given with every chart made of another: seconds for thousands of rows.
    """
    spec: dict[str, Any] = chart.to_dict(validate=False)
    return {**spec, "datasets": {name: _records(records) for name, records in tables.items()}}


def _records(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: _plain(value) for name, value in one.items()} for one in records]


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def series(
    field: str,
    names: Sequence[str],
    title: str | None = None,
    *,
    colours: Sequence[str] = COLOURS,
    dashes: Sequence[Sequence[int]] = DASHES,
) -> dict[str, Any]:
    """Colour and dash of the lines of a column that holds these names, with one legend for both."""
    kept: dict[str, Any] = {"type": "nominal", "title": title, "sort": list(names)}
    return {
        "color": alt.Color(field, scale=_scale(names, colours), **kept),
        "strokeDash": alt.StrokeDash(field, scale=_scale(names, dashes), **kept),
    }


def shapes(
    field: str,
    names: Sequence[str],
    title: str | None = None,
    *,
    colours: Sequence[str] = COLOURS,
    marks: Sequence[str] = SHAPES,
) -> dict[str, Any]:
    """Colour and shape of the points of a column that holds these names, with one legend for both."""
    kept: dict[str, Any] = {"type": "nominal", "title": title, "sort": list(names)}
    return {
        "color": alt.Color(field, scale=_scale(names, colours), **kept),
        "shape": alt.Shape(field, scale=_scale(names, marks), **kept),
    }


def _scale(names: Sequence[str], looks: Sequence[Any]) -> alt.Scale:
    return alt.Scale(domain=list(names), range=[looks[i % len(looks)] for i in range(len(names))])


def percent_axis(field: str, title: str, *, zero: bool = False) -> alt.Y:
    """A vertical axis of values in percent; zero: from 0 on rather than from near the lowest value."""
    return alt.Y(
        field, type="quantitative", title=title, scale=alt.Scale(zero=zero), axis=alt.Axis(tickCount=6)
    )


def step_axis(field: str = "step", title: str = MERGE_STEP) -> alt.X:
    """A horizontal axis of merge steps: whole numbers."""
    axis = alt.Axis(format="d", tickMinStep=1, grid=False)
    return alt.X(field, type="quantitative", title=title, axis=axis, scale=alt.Scale(nice=False, zero=True))


def told(*columns: tuple[str, str] | tuple[str, str, str]) -> list[alt.Tooltip]:
    """A tooltip of (column, heading) as text and (column, heading, format) as numbers, `.1f` for percent."""
    return [
        alt.Tooltip(one[0], title=one[1], type="quantitative", format=one[2])
        if len(one) == 3
        else alt.Tooltip(one[0], title=one[1], type="nominal")
        for one in columns
    ]


def isolating(name: str) -> alt.Parameter:
    """The parameter that a row clicked in a table sets to its `data-value`; "" shows all."""
    return alt.param(name=name, value="")


def shown(name: str, key: str, full: float = 1.0, dimmed: float = 0.07) -> Any:
    """Opacity: of all where nothing is isolated, else of the rows whose column `key` is."""
    return alt.condition(f"{name} === '' || datum.{key} === {name}", alt.value(full), alt.value(dimmed))

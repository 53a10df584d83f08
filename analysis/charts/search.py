"""What a search found as charts: history, importances, a surface over two parameters, slices, parallel axes.

Parameters lie on axes from 0 to 1 (`searched.Parameter`), whose ticks say values: one way for ranges,
logarithmic or not, for weights that may be 0, and for choices.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np

from analysis.charts import style
from analysis.stats.searched import Parameter, surface

# What became of a trial to (colour, shape) of its point; any other name is the base's.
_LOOKS = {
    "complete": (style.BLUE, "circle"),
    "pruned": (style.VERMILION, "square"),
    "diverged": (style.PURPLE, "triangle-down"),
}
_BASE = (style.BLACK, style.STAR)
_CELLS = 30  # of the surface, each way
_MOST_TICKS = 6  # choices written beside an axis of the parallel ones; of more the ends alone


@dataclass(frozen=True)
class Point:
    """A trial that counts: value in percent, at the merge step `ended`; params by their symbols."""

    key: str
    number: int
    trial: str
    configuration: str
    kind: str
    value: float
    ended: int
    params: Mapping[str, Any]


def history_chart(points: Sequence[Point], title: str, isolates: str) -> dict[str, Any]:
    """Trials in order, and the best complete one so far."""
    x = alt.X(
        "number", type="quantitative", title="trial", axis=alt.Axis(format="d", tickMinStep=1, grid=False),
        scale=alt.Scale(nice=False, padding=8),
    )  # fmt: skip
    y = style.percent_axis("value", title)
    best = (
        alt.Chart(alt.NamedData("best"))
        .mark_line(interpolate="step-after", color=style.GREY, strokeWidth=1, aria=False)
        .encode(x=x, y=y)
    )
    made = alt.layer(best, _points(points, x, y, title, isolates)).add_params(style.isolating(isolates))
    made = made.properties(width="container", height=240)
    return style.with_rows(made, best=_best_so_far(points), points=_records(points))


def importances_chart(shares: Mapping[str, Mapping[str, float]], names: Sequence[str]) -> dict[str, Any]:
    """Method to shares of the parameters, as bars, in the order of names."""
    rows = [
        {"parameter": name, "method": method, "share": round(100 * of[name], 2)}
        for method, of in shares.items()
        for name in names
        if name in of
    ]
    methods = list(shares)
    base = alt.Chart(alt.NamedData("shares")).encode(
        y=alt.Y("parameter", type="nominal", title=None, sort=list(names), axis=alt.Axis(labelLimit=160)),
        yOffset=alt.YOffset("method", type="nominal", sort=methods),
        x=alt.X(
            "share", type="quantitative", title="share of the importance (%)", axis=alt.Axis(tickCount=5)
        ),
        tooltip=style.told(("parameter", "parameter"), ("method", "by"), ("share", "share (%)", ".1f")),
    )
    looks = alt.Scale(domain=methods, range=[style.BLUE, style.ORANGE][: len(methods)])
    bars = base.mark_bar(aria=False).encode(
        color=alt.Color("method", type="nominal", title=None, scale=looks, sort=methods)
    )
    text = base.mark_text(align="left", dx=3, fontSize=10, aria=False)
    text = text.encode(text=alt.Text("share", type="quantitative", format=".0f"))
    made = alt.layer(bars, text).properties(
        width="container", height=(30 if len(methods) > 1 else 22) * len(names)
    )
    return style.with_rows(made, shares=rows)


def contour_chart(
    points: Sequence[Point], of: tuple[Parameter, Parameter], title: str, isolates: str
) -> dict[str, Any]:
    """The value over two parameters: between trials as colours of a surface, the trials as points in it."""
    across, up = of
    records = [
        record | {"x": across.position(p.params[across.name]), "y": up.position(p.params[up.name]),
                  "across": across.text(p.params[across.name]), "up": up.text(p.params[up.name])}
        for p, record in zip(points, _records(points), strict=True)
    ]  # fmt: skip
    places = np.array([[record["x"], record["y"]] for record in records])
    made = surface(places, np.array([p.value for p in points]), _CELLS)
    cells = [  # that overlap a little: no seams
        {
            "x": i / _CELLS,
            "x2": (i + 1.1) / _CELLS,
            "y": j / _CELLS,
            "y2": (j + 1.1) / _CELLS,
            "value": round(v, 2),
        }
        for (i, j), v in np.ndenumerate(made)
        if np.isfinite(v)
    ]  # fmt: skip
    colour = _value_colour(points, title)
    x, y = _axis("x", across), _axis("y", up)
    heat = alt.Chart(alt.NamedData("cells")).mark_rect(aria=False).encode(
        x=x, x2="x2", y=y, y2="y2", color=colour
    )  # fmt: skip
    told = style.told(
        ("trial", "trial"), ("kind", "state"), ("across", across.name), ("up", up.name),
        ("value", title, ".1f"), ("ended", "at merge step", "d"), ("configuration", "configuration"),
    )  # fmt: skip
    kinds = _kinds(points)
    tried = alt.Chart(alt.NamedData("points")).mark_point(
        filled=True, size=70, stroke="black", strokeWidth=1, aria=False
    ).encode(
        x=x, y=y, color=colour, tooltip=told, opacity=style.shown(isolates, "key"),
        shape=alt.Shape(
            "kind", type="nominal", title=None, sort=kinds, legend=alt.Legend(symbolOpacity=1),
            scale=alt.Scale(domain=kinds, range=[_look(kind)[1] for kind in kinds]),
        ),
    )  # fmt: skip
    layered = alt.layer(heat, tried).add_params(style.isolating(isolates))
    return style.with_rows(layered.properties(width="container", height=320), cells=cells, points=records)


def slice_chart(points: Sequence[Point], of: Parameter, title: str, isolates: str) -> dict[str, Any]:
    """The value against one parameter."""
    records = [
        record | {"at": round(of.position(p.params[of.name]) + _aside(of, p), 4),
                  "text": of.text(p.params[of.name])}
        for p, record in zip(points, _records(points, told=False), strict=True)
    ]  # fmt: skip
    x, y = _axis("at", of, title=""), style.percent_axis("value", "")
    chart = _points(points, x, y, title, isolates, (("text", of.name),), legend=False)
    made = chart.add_params(style.isolating(isolates)).properties(width="container", height=130)
    return style.with_rows(made, points=records)


def parallel_chart(
    points: Sequence[Point], of: Sequence[Parameter], title: str, isolates: str
) -> dict[str, Any]:
    """Every trial as a line through its parameters and its value, the worst below the others."""
    values = [p.value for p in points]
    low, high = min(values), max(values)
    names = [*(one.name for one in of), title]
    records = [
        record | {"axis": names, "at": [*(round(one.position(p.params[one.name]), 4) for one in of),
                                        round((p.value - low) / ((high - low) or 1), 4)]}
        for p, record in sorted(
            zip(points, _records(points, told=False), strict=True), key=lambda pair: pair[0].value
        )
    ]  # fmt: skip
    ticks = [
        {"axis": one.name, "at": at, "text": text}
        for one in of
        for at, text in (
            one.ticks() if len(one.ticks()) <= _MOST_TICKS else (one.ticks()[0], one.ticks()[-1])
        )
    ]
    ticks += [{"axis": title, "at": at, "text": f"{low + at * (high - low):.1f}"} for at in (0, 0.5, 1)]
    x = alt.X(
        "axis", type="nominal", title=None, sort=names,
        axis=alt.Axis(orient="top", labelAngle=0, labelLimit=100, domain=False, ticks=False, grid=True,
                      gridColor="#999"),
    )  # fmt: skip
    y = alt.Y("at", type="quantitative", axis=None, scale=alt.Scale(domain=[-0.03, 1.03], nice=False))
    told = style.told(("trial", "trial"), ("kind", "state"), ("value", title, ".1f"))
    lines = alt.Chart(alt.NamedData("lines")).transform_flatten(["axis", "at"])
    lines = lines.mark_line(strokeWidth=1.6, aria=False).encode(
        x=x, y=y, detail="key:N", color=_value_colour(points, title), tooltip=told,
        opacity=style.shown(isolates, "key", 0.75),
        strokeDash=alt.condition("datum.kind === 'pruned'", alt.value([4, 3]), alt.value([1, 0])),
    )  # fmt: skip
    labels = alt.Chart(alt.NamedData("ticks")).mark_text(
        align="left", dx=4, fontSize=10, fill="#222", stroke="white", strokeWidth=2.5, aria=False
    ).encode(x=x, y=y, text="text:N")  # fmt: skip
    written = labels.mark_text(align="left", dx=4, fontSize=10, fill="#222", aria=False)
    made = alt.layer(lines, labels, written).add_params(style.isolating(isolates))
    made = made.properties(width=alt.Step(96), height=260)
    return style.with_rows(made, lines=records, ticks=ticks)


# --- what they share


def _records(points: Sequence[Point], *, told: bool = True) -> list[dict[str, Any]]:
    """Rows of a chart; told: with the configuration, which is long and need not stand in every chart."""
    return [
        {
            "key": p.key, "number": p.number, "trial": p.trial, "kind": p.kind, "value": round(p.value, 3),
            "ended": p.ended, **({"configuration": p.configuration} if told else {}),
        }
        for p in points
    ]  # fmt: skip


def _best_so_far(points: Sequence[Point]) -> Iterator[dict[str, Any]]:
    best = float("-inf")
    for p in points:
        if p.kind != "pruned":
            best = max(best, p.value)
        if best > float("-inf"):
            yield {"number": p.number, "value": round(best, 3)}


def _kinds(points: Sequence[Point]) -> list[str]:
    """What occurs, the base first."""
    occurring = list(dict.fromkeys(p.kind for p in points))
    return [kind for kind in occurring if kind not in _LOOKS] + [kind for kind in _LOOKS if kind in occurring]


def _look(kind: str) -> tuple[str, str]:
    return _LOOKS.get(kind, _BASE)


def _points(
    points: Sequence[Point],
    x: alt.X,
    y: alt.Y,
    title: str,
    isolates: str,
    more: tuple[tuple[str, str], ...] = (),
    *,
    legend: bool = True,
) -> alt.Chart:
    """Trials as points that differ by what became of them; legend: False of one of several charts."""
    kinds = _kinds(points)
    looks = style.shapes(
        "kind", kinds, colours=[_look(kind)[0] for kind in kinds], marks=[_look(kind)[1] for kind in kinds]
    )
    looks = {name: of.legend(alt.Legend(symbolOpacity=1) if legend else None) for name, of in looks.items()}
    told = style.told(
        ("trial", "trial"), ("kind", "state"), *more, ("value", title, ".1f"),
        ("ended", "at merge step", "d"), *((("configuration", "configuration"),) if legend else ()),
    )  # fmt: skip
    chart: alt.Chart = alt.Chart(alt.NamedData("points")).mark_point(size=50, strokeWidth=1.5, aria=False)
    return chart.encode(x=x, y=y, tooltip=told, opacity=style.shown(isolates, "key"), **looks)


def _axis(field: str, of: Parameter, title: str | None = None) -> Any:
    """An axis from 0 to 1 whose ticks say the parameter's values."""
    ticks = of.ticks()
    said = json.dumps({f"{at:.4f}": text for at, text in ticks}, ensure_ascii=False)
    axis = alt.Axis(
        values=[at for at, _ in ticks], labelExpr=f"({said})[format(datum.value, '.4f')]", grid=False,
        labelOverlap="greedy", labelLimit=90,
    )  # fmt: skip
    make = alt.Y if field == "y" else alt.X
    scale = alt.Scale(domain=[-0.04, 1.04], nice=False, zero=False)
    return make(field, type="quantitative", title=of.name if title is None else title, axis=axis, scale=scale)


def _value_colour(points: Sequence[Point], title: str) -> alt.Color:
    """The value as a colour; a training that diverged, worth 0, does not stretch the scale."""
    values = [p.value for p in points if p.kind != "diverged"]
    domain = [min(values, default=0.0), max(values, default=1.0)]
    scale = alt.Scale(scheme="viridis", domain=domain, clamp=True)
    legend = alt.Legend(title=title, orient="right", direction="vertical", gradientLength=140, format=".0f")
    return alt.Color("value", type="quantitative", scale=scale, legend=legend)


def _few(ticks: list[tuple[float, str]]) -> list[tuple[float, str]]:
    return ticks if len(ticks) <= _MOST_TICKS else [ticks[0], ticks[-1]]


def _aside(of: Parameter, p: Point) -> float:
    """Trials with one choice, or with the weight 0, stand beside each other rather than on each other."""
    value = p.params[of.name]
    one_place = of.choices or (of.zero_below is not None and value < of.zero_below)
    return 0.07 * ((0.618 * p.number) % 1 - 0.5) if one_place else 0.0

"""Differences under each other, each with its interval, a dot for every seed, and the paper's number."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal

import altair as alt

from analysis.charts.style import BLACK, CROSS, GREEN, GREY, ORANGE, VERMILION, rows, told
from study.record.intervals import Estimate, interval_text

STEP = 18  # pixels of a line
_LETTERS = 46  # of a heading's line, as many as a phone has room for
_REACH = 0.5  # of what is shown else: how far beyond it an interval may widen the axis
ABOVE, BELOW, OPEN, UNTESTED = "above", "below", "open", "untested"
# What is known of a difference's sign: colour and shape.
LOOKS = {
    ABOVE: (GREEN, "circle"),
    BELOW: (VERMILION, "triangle-down"),
    OPEN: (GREY, "square"),
    UNTESTED: (ORANGE, "triangle-up"),
}
PAPER = "paper"


@dataclass(frozen=True)
class Row:
    """A difference in points: which (`heading` over neighbouring rows, and `label`), and what it says."""

    heading: str
    label: str
    difference: Estimate
    dots: Mapping[str, float]  # by name: `seed 3`
    sign: str  # a key of LOOKS
    said: str  # stands at the right
    more: str = ""  # told to a pointer
    papers: Mapping[str, float] = field(default_factory=dict)  # whose data to the printed difference
    diverged: frozenset[str] = frozenset()  # names of dots


def forest(shown: Sequence[Row], title: str, called: Mapping[str, str]) -> alt.LayerChart:
    """title: of the axis. called: what the keys of LOOKS are called in the legend."""
    lines, places = _lines(shown)
    placed = list(zip(shown, places, strict=True))
    axes = {
        "x": alt.X(
            "value", type="quantitative", title=title, scale=_domain(shown), axis=alt.Axis(tickCount=6)
        ),
        "y": _along(lines, None),
        **_legend(shown, called),
    }
    layers = [
        *_intervals([_mean(row, place, called) for row, place in placed], axes),
        *_seeds([dot for row, place in placed for dot in _dots(row, place, called)], axes),
        *_papers([one for row, place in placed for one in _printed(row, place)], axes),
        _means([_mean(row, place, called) for row, place in placed], {**axes, "y": _side(lines, "left", 1)}),
        _headings(lines),
    ]
    apart = alt.Resolve(axis=alt.AxisResolveMap(y="independent"))
    return alt.LayerChart(layer=layers, width="container", height=STEP * len(lines), resolve=apart)


def _legend(shown: Sequence[Row], called: Mapping[str, str]) -> dict[str, Any]:
    """What occurs: the signs, and the paper's numbers."""
    looks = {called[sign]: look for sign, look in LOOKS.items() if any(row.sign == sign for row in shown)}
    if any(row.papers for row in shown):
        looks[PAPER] = (BLACK, "diamond")
    colours, marks = zip(*looks.values(), strict=True)
    names = list(looks)
    kept: dict[str, Any] = {"sort": names, "title": None, "legend": alt.Legend(columns=3)}
    return {
        "color": alt.Color("kind:N", scale=alt.Scale(domain=names, range=list(colours)), **kept),
        "shape": alt.Shape("kind:N", scale=alt.Scale(domain=names, range=list(marks)), **kept),
    }


def _intervals(means: list[dict[str, Any]], axes: dict[str, Any]) -> Iterator[alt.Chart]:
    """A line at zero, and the intervals."""
    yield alt.Chart(rows([{"value": 0}])).mark_rule(color="#888", strokeDash=[4, 3]).encode(x=axes["x"])
    if bounded := [one for one in means if not math.isnan(one["low"])]:
        interval = alt.Chart(rows(bounded)).mark_rule(strokeWidth=2, clip=True)
        yield interval.encode(x=alt.X("low:Q"), x2="high:Q", y=axes["y"], color=axes["color"])


def _seeds(dots: list[dict[str, Any]], axes: dict[str, Any]) -> Iterator[alt.Chart]:
    """× where a run of the seed diverged."""
    for diverged, look in ((False, "circle"), (True, CROSS)):
        if seen := [one for one in dots if one["diverged"] == diverged]:
            seeds = alt.Chart(rows(seen)).mark_point(size=26, shape=look, opacity=0.8)
            tooltip = told(("heading", "difference"), ("dot", "of"), ("text", "points"))
            yield seeds.encode(x=axes["x"], y=axes["y"], color=axes["color"], tooltip=tooltip)


def _papers(printed: list[dict[str, Any]], axes: dict[str, Any]) -> Iterator[alt.Chart]:
    if printed:
        tooltip = told(("heading", "difference"), ("text", "paper"))
        yield (
            alt.Chart(rows(printed))
            .mark_point(size=90, strokeWidth=1.8, opacity=1)
            .encode(**axes, tooltip=tooltip)
        )


def _means(means: list[dict[str, Any]], axes: dict[str, Any]) -> alt.Chart:
    columns = (("heading", "difference"), ("label", "step"), ("text", "mean"), ("dots", "runs"))
    point = alt.Chart(rows(means)).mark_point(filled=True, size=70, opacity=1)
    made: alt.Chart = point.encode(**axes, tooltip=told(*columns, ("more", "says")))
    return made


def _lines(shown: Sequence[Row]) -> tuple[list[str], list[str]]:
    """All lines from above, `number|at the left|at the right|as a heading`; and the line of every row."""
    lines: list[str] = []
    places = []
    for heading, members in groupby(shown, key=lambda row: row.heading):
        lines += [
            f"{len(lines) + i}|||{text}" for i, text in enumerate(textwrap.wrap(heading, _LETTERS) or [""])
        ]
        for row in members:
            lines.append(f"{len(lines)}|{row.label}|{row.said}|")
            places.append(lines[-1])
    return lines, places


def _side(lines: Sequence[str], side: Literal["left", "right"], part: int) -> alt.Y:
    axis = alt.Axis(
        orient=side, labelExpr=f"split(datum.value, '|')[{part}]", domain=False, ticks=False, labelLimit=170
    )
    return alt.Y(
        "line", type="nominal", title=None, sort=list(lines), scale=alt.Scale(domain=list(lines)), axis=axis
    )


def _along(lines: Sequence[str], axis: alt.Axis | None) -> alt.Y:
    scale = alt.Scale(domain=list(lines))
    return alt.Y("line", type="nominal", title=None, sort=list(lines), scale=scale, axis=axis)


def _headings(lines: Sequence[str]) -> alt.Chart:
    """Over their rows; and what is said at the right of them."""
    held = alt.Chart(rows({"line": line, "text": line.split("|", 3)[3]} for line in lines))
    text = held.mark_text(align="left", fontWeight="bold", fontSize=12, dx=2)
    made: alt.Chart = text.encode(x=alt.value(0), y=_side(lines, "right", 2), text="text:N")
    return made


def _domain(shown: Sequence[Row]) -> alt.Scale:
    """From dots, means and the paper's numbers; an interval that reaches far beyond them is cut off."""
    inner = [0.0]
    for row in shown:
        inner += [row.difference.mean, *row.dots.values(), *row.papers.values()]
    low, high = min(inner), max(inner)
    beyond = _REACH * (high - low)
    ends = [row.difference.mean + sign * row.difference.half for row in shown for sign in (-1, 1)]
    known = [end for end in ends if not math.isnan(end)]
    return alt.Scale(
        domain=[max(min([low, *known]), low - beyond), min(max([high, *known]), high + beyond)], nice=True
    )


def _mean(row: Row, place: str, called: Mapping[str, str]) -> dict[str, Any]:
    each = row.difference
    return {
        "line": place,
        "heading": row.heading,
        "label": row.label,
        "kind": called[row.sign],
        "value": each.mean,
        "low": each.mean - each.half,
        "high": each.mean + each.half,
        "text": each.text(signed=True),
        "dots": ", ".join(f"{interval_text(v, signed=True)} ({name})" for name, v in row.dots.items()),
        "more": row.more or row.said,
    }


def _dots(row: Row, place: str, called: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for name, value in row.dots.items():
        diverged = name in row.diverged
        text = f"{interval_text(value, signed=True)}{', a run diverged' * diverged}"
        yield {"line": place, "heading": row.heading, "kind": called[row.sign], "value": value,
               "dot": name, "text": text, "diverged": diverged}  # fmt: skip


def _printed(row: Row, place: str) -> Iterator[dict[str, Any]]:
    for whose, value in row.papers.items():
        text = f"{interval_text(value, signed=True)} ({whose})"
        yield {"line": place, "heading": row.heading, "kind": PAPER, "value": value, "text": text}

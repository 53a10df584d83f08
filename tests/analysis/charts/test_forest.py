"""Differences under each other: their numbers against planted ones, and where everything stands."""

from __future__ import annotations

from typing import Any

import pytest
import vl_convert
from specs import drawn, layers

from analysis.charts.forest import ABOVE, BELOW, OPEN, UNTESTED, Row, forest
from study.record.intervals import estimate

CALLED = {ABOVE: "supported", BELOW: "contradicted", OPEN: "not decided", UNTESTED: "no verdict"}


def row(heading: str, label: str, values: list[float], sign: str = OPEN, **further: Any) -> Row:
    dots = {f"seed {seed}": value for seed, value in enumerate(values)}
    return Row(heading, label, estimate(values), dots, sign, "not decided, p 0.41", **further)


def lines(chart: Any) -> list[str]:
    return next(one["encoding"]["y"]["scale"]["domain"] for one in layers(chart) if "y" in one["encoding"])


def test_rows_of_one_heading_stand_under_it() -> None:
    chart = forest(
        [row("a", "last", [1.0]), row("a", "selected", [2.0]), row("b", "last", [3.0])], "points", CALLED
    )
    parts = [line.split("|")[1:] for line in lines(chart)]
    said = "not decided, p 0.41"
    assert parts == [
        ["", "", "a"], ["last", said, ""], ["selected", said, ""], ["", "", "b"], ["last", said, ""]
    ]  # fmt: skip
    means = [one for one in drawn(chart, "point") if "label" in one]
    assert [(one["line"], one["value"]) for one in means] == [
        (lines(chart)[1], 1), (lines(chart)[2], 2), (lines(chart)[4], 3)
    ]  # fmt: skip
    svg = vl_convert.vegalite_to_svg({**chart.to_dict(), "width": 500})
    assert svg.count(">last<") == 2 and svg.count(f">{said}<") == 3 and svg.count(">a<") == 1


def test_intervals_seeds_and_the_papers_number() -> None:
    chart = forest([row("a", "last", [1.0, 2.0, 3.0], ABOVE, papers={"MARS": 0.9})], "points", CALLED)
    rule = [one for one in drawn(chart, "rule") if "low" in one]
    assert (rule[0]["low"], rule[0]["high"]) == pytest.approx((2 - 2.484, 2 + 2.484), abs=1e-3)
    assert {one["dot"]: one["value"] for one in drawn(chart, "point") if "dot" in one} == {
        "seed 0": 1, "seed 1": 2, "seed 2": 3
    }  # fmt: skip
    assert [(one["value"], one["text"]) for one in drawn(chart, "point", kind="paper")] == [
        (0.9, "+0.9 (MARS)")
    ]
    color = next(one["encoding"]["color"] for one in layers(chart) if "color" in one["encoding"])
    assert color["scale"]["domain"] == ["supported", "paper"]


def test_two_seeds_have_no_interval_and_no_sign_looks_like_another() -> None:
    signs = (ABOVE, BELOW, OPEN, UNTESTED)
    chart = forest([row(sign, "last", [1.0, 2.0], sign) for sign in signs], "points", CALLED)
    assert not [one for one in drawn(chart, "rule") if "low" in one]
    means = next(one["encoding"] for one in layers(chart) if one["mark"].get("filled"))
    for channel in ("color", "shape"):
        assert means[channel]["scale"]["domain"] == list(CALLED.values())
        assert len(set(means[channel]["scale"]["range"])) == 4


def test_a_seed_whose_run_diverged_is_a_cross() -> None:
    chart = forest([row("a", "last", [1.0, -20.0], diverged=frozenset(["seed 1"]))], "points", CALLED)
    lost = drawn(chart, "point", diverged=True)
    assert [(one["dot"], one["text"]) for one in lost] == [("seed 1", "−20.0, a run diverged")]
    assert next(one["mark"]["shape"] for one in layers(chart) if one["records"] == lost) != "circle"


def test_a_wide_interval_does_not_hide_the_others() -> None:
    chart = forest([row("a", "last", [-1.0, 0.0, 1.0]), row("b", "last", [1.0, 1.5, 2.0])], "points", CALLED)
    low, high = next(one["encoding"]["x"]["scale"]["domain"] for one in layers(chart))
    assert (low, high) == pytest.approx((-2.484, 2.742), abs=1e-3)  # all fit
    chart = forest([row("a", "last", [-1.0, 0.0, 200.0]), row("b", "last", [1.0])], "points", CALLED)
    low, high = next(one["encoding"]["x"]["scale"]["domain"] for one in layers(chart))
    assert (low, high) == (-101.5, 300.5)


def test_long_headings_are_broken_and_bars_in_them_are_no_ends() -> None:
    text = "λ2 (|a| + |b|) for a heading that is longer than what a phone has room for"
    chart = forest([row(text, "last", [1.0])], "points", CALLED)
    words = [one["text"] for one in drawn(chart, "text")]
    assert " ".join(filter(None, words)) == text and max(map(len, words)) <= 46 and len(words) == 3

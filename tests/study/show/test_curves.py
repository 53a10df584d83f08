"""Curves of block characters."""

from __future__ import annotations

import pytest

from study.show.curves import picture, sparkline


@pytest.mark.parametrize(
    ("curve", "width", "drawn"),
    [
        ({}, 10, ""),
        ({1: 0.0, 2: 0.5, 3: 1.0}, 10, "▁▅█"),
        ({1: 0.0, 3: 1.0}, 10, "▁ █"),
        ({1: 2.0, 2: -1.0}, 10, "█▁"),
        ({step: step / 10 for step in range(1, 11)}, 5, "▂▄▅▇█"),
        ({step: 0.0 for step in range(1, 8)}, 3, "▁▁▁"),
    ],
)
def test_a_line(curve: dict[int, float], width: int, drawn: str):
    assert sparkline(curve, 0.0, 1.0, width) == drawn


def test_equal_values_are_full():
    assert sparkline({1: 0.5, 2: 0.5}, 0.5, 0.5, 5) == "██"


def test_a_picture_has_its_scale_and_steps():
    lines = picture({1: 0.104, 2: 0.302, 3: 0.2}, width=40, height=5)
    assert lines[0].startswith("  31% ┤") and lines[4].startswith("  10% ┤") and len(lines) == 6
    assert lines[-1].split() == ["step", "1", "3"]
    columns = [[line[7:].ljust(9)[3 * i] for line in lines[:5]] for i in range(3)]
    heights = [sum(mark != " " for mark in column) for column in columns]
    assert heights[1] == 5 and heights[0] <= 1 and heights[2] == 3


def test_a_picture_is_as_narrow_as_asked():
    lines = picture({step: 0.3 for step in range(1, 200)}, width=60, height=4)
    assert max(map(len, lines)) <= 60
    assert picture({}, 60, 4) == []

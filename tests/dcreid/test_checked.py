"""Numbers as users write them, values in messages, and types of stored values."""

from __future__ import annotations

from typing import Any

import pytest

from dcreid.checked import ConfigError, check_types, has_type, number, shown


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        *((int, text, int(text)) for text in ("12", "+3", "-3", "007")),
        *((float, text, float(text)) for text in ("1", "-.5", "1.", "1e-3", "1e400")),
    ],
)
def test_numbers_are_taken(kind: Any, text: str, value: float):
    assert number(kind, text) == value and type(number(kind, text)) is kind


@pytest.mark.parametrize(
    "text", ["", " 1", "1 ", "1_000", "１０", "٣", "0x10", "nan", "inf", "--1", "1,5", "1\n"]
)
@pytest.mark.parametrize("kind", [int, float])
def test_what_is_no_number_is_refused(kind: Any, text: str):
    with pytest.raises(ConfigError, match="is not a "):
        number(kind, text)


def test_whole_numbers_have_no_point_and_not_thousands_of_digits():
    for text in ("1.0", "1e3", "9" * 5000):
        with pytest.raises(ConfigError, match="is not a whole number"):
            number(int, text)


def test_any_value_is_shown_at_a_bounded_length():
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert shown("a\x1b") == r"'a\x1b'" and shown(3) == "3"
    assert shown("a" * 500) == "'" + "a" * 59 + "…"
    assert shown(10**5000) == "a number of more than 4,300 digits"
    assert shown(deep) == "a value that is nested too deeply"
    while deep:  # taken apart by hand: the interpreter would do it recursively
        deep = deep.pop()


@pytest.mark.parametrize(
    ("value", "hint", "fits"),
    [
        (1, float, True),
        (True, float, False),
        (True, int, False),
        (None, int | None, True),
        ("a", int | None, False),
        (["a"], list[str], True),
        (["a", 1], list[str], False),
        ({"a": 1}, dict[str, Any], True),
        ({"a": "b"}, dict[str, int], False),
        ([{"a": 1}], list[dict[str, Any]], True),
        ([3], list[dict[str, Any]], False),
    ],
)
def test_types_of_stored_values(value: object, hint: object, fits: bool):
    assert has_type(value, hint) is fits


def test_what_is_missing_or_of_another_type_is_named():
    check_types("plan", {"a": 1, "other": 2}, {"a": int, "b": str}, ("a",))
    for values, said in (
        ([], r"plan = \[\]: must be of type dict"),
        ({}, "plan.a is missing"),
        ({"a": "x"}, "plan.a = 'x': must be of type int"),
    ):
        with pytest.raises(ConfigError, match=said):
            check_types("plan", values, {"a": int, "b": str}, ("a",))

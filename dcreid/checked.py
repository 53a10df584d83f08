"""Dataclasses whose fields have a help text and a range that is checked, and nested dictionaries of them."""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import sys
import types
import typing
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from dcreid.errors import InputError

Group = TypeVar("Group")


class ConfigError(InputError, ValueError):
    """A configuration value that cannot be used; the message names field, value and allowed range."""


def setting(
    default: Any,
    help: str,
    *,
    low: int | float | None = None,
    high: int | float | None = None,
    above: int | float | None = None,
    choices: tuple[Any, ...] | None = None,
) -> Any:
    """A dataclass field with its help text and allowed range (`low`, `high` inclusive)."""
    metadata = {"help": help, "low": low, "high": high, "above": above, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


# Digits of ASCII alone: `int` and `float` would take `1_000`, other scripts' digits, blanks, `nan`, `inf`.
_WRITTEN = {
    int: re.compile(r"[+-]?[0-9]{1,300}"),
    float: re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"),
}
_SHOWN = 60  # characters of a value in a message


def number(kind: type[int] | type[float], text: str) -> int | float:
    """A number as a user writes it. Raises ConfigError for anything else; too large a float is inf."""
    if not _WRITTEN[kind].fullmatch(text):
        raise ConfigError(f"{shown(text)} is not {'a whole number' if kind is int else 'a number'}")
    return kind(text)


def shown(value: object) -> str:
    """A value in a message: as Python writes it, but not at any length."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of thousands of digits
        return f"a number of more than {sys.get_int_max_str_digits():,} digits"
    except RecursionError:
        return "a value that is nested too deeply"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def one_of(text: str, names: Collection[str]) -> str:
    """What a name that is none of `names` must be, in a message: `did you mean tpe? It must be one of …`"""
    near = difflib.get_close_matches(text, names, n=1)
    return f"{f'did you mean {near[0]}? ' if near else ''}It must be one of {', '.join(names)}"


def allowed(field: dataclasses.Field[Any]) -> str:
    """The range of a field in words, for error messages and `--help`; empty if any value is allowed."""
    meta = field.metadata
    if meta.get("choices"):
        return "one of " + ", ".join(str(choice) for choice in meta["choices"])
    return bounds(meta.get("low"), meta.get("high"), meta.get("above"))


def bounds(low: int | float | None, high: int | float | None, above: int | float | None = None) -> str:
    """A range in words: `>= 1 and <= 1000`."""
    limits = ((">", above), (">=", low), ("<=", high))
    return " and ".join(
        f"{sign} {limit}" if isinstance(limit, int) else f"{sign} {limit:g}"
        for sign, limit in limits
        if limit is not None
    )


_HINTS: dict[type[Any], dict[str, Any]] = {}


def type_hints(cls: type[Any]) -> dict[str, Any]:
    """Annotations of a configuration class, evaluated once (they are strings)."""
    if cls not in _HINTS:
        _HINTS[cls] = typing.get_type_hints(cls)
    return _HINTS[cls]


def has_type(value: Any, hint: Any) -> bool:
    """Whether a plain value has the type of an annotation; an int is a float, a bool is neither."""
    if hint is Any:
        return True
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return any(has_type(value, option) for option in typing.get_args(hint))
    if typing.get_origin(hint) is list:
        return isinstance(value, list) and all(has_type(entry, *typing.get_args(hint)) for entry in value)
    if typing.get_origin(hint) is dict:
        of_values = typing.get_args(hint)[1]
        return isinstance(value, dict) and all(has_type(entry, of_values) for entry in value.values())
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def in_words(hint: Any) -> str:
    """A type in a message: `of type float | None`."""
    plain = isinstance(hint, type) and not typing.get_args(hint)
    return f"of type {hint.__name__ if plain else str(hint).replace('typing.', '')}"


def finite(value: Any) -> bool:
    """Whether a number is one that files and libraries can take."""
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return not isinstance(value, float) or math.isfinite(value)


def _in_range(value: Any, meta: Mapping[str, Any]) -> bool:
    if meta.get("choices"):
        return value in meta["choices"]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return True
    return (
        (meta.get("low") is None or value >= meta["low"])
        and (meta.get("high") is None or value <= meta["high"])
        and (meta.get("above") is None or value > meta["above"])
    )


class Checked:
    """Base of dataclasses that check every field's type and range when they are created."""

    def __post_init__(self) -> None:
        hints = type_hints(type(self))
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value, hint = getattr(self, field.name), hints[field.name]
            where = f"{type(self).__name__}.{field.name}"
            if not has_type(value, hint):
                raise ConfigError(f"{where} = {shown(value)}: must be {in_words(hint)}")
            if not finite(value):
                wanted = ["within 64 bits" if isinstance(value, int) else "finite", allowed(field)]
                raise ConfigError(f"{where} = {shown(value)}: must be {' and '.join(filter(None, wanted))}")
            if not _in_range(value, field.metadata):
                raise ConfigError(f"{where} = {shown(value)}: must be {allowed(field)}")
            if hint is float:  # 1 and 1.0, -0.0 and 0.0 are one value and must have one digest
                object.__setattr__(self, field.name, float(value) + 0.0)


# --- nested dictionaries


def check_types(where: str, values: Any, types: Mapping[str, Any], needed: Collection[str]) -> None:
    """Raises ConfigError where `values` is no mapping, lacks a needed name, or has another type of value."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} = {shown(values)}: must be {in_words(dict)}")
    for name in needed:
        if name not in values:
            raise ConfigError(f"{where}.{name} is missing")
    for name, hint in types.items():
        if name in values and not has_type(values[name], hint):
            raise ConfigError(f"{where}.{name} = {shown(values[name])}: must be {in_words(hint)}")


def from_mapping(cls: type[Group], values: Any, where: str) -> Group:
    """An instance of a checked dataclass from nested values; raises ConfigError for unknown names."""
    hints = type_hints(cls)
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} = {shown(values)}: must be a mapping of field names to values")
    unknown = sorted(set(values) - {field.name for field in dataclasses.fields(cls)})  # type: ignore[arg-type]
    if unknown:
        name = unknown[0]
        raise ConfigError(f"{where}: unknown field {shown(name)} (its value is {shown(values[name])})")
    return cls(
        **{
            name: from_mapping(hints[name], value, f"{where}.{name}")
            if dataclasses.is_dataclass(hints[name])
            else value
            for name, value in values.items()
        }
    )


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted name."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat


def with_defaults(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values with the defaults of those that are absent."""
    filled = {name: values.get(name, default) for name, default in defaults.items()}
    for name, default in defaults.items():
        if isinstance(default, dict):
            filled[name] = with_defaults(values.get(name, {}), default)
    return filled | {name: value for name, value in values.items() if name not in defaults}

"""Dataclasses whose fields have a help text and a range that is checked, and nested dictionaries of them."""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Mapping
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


def allowed(field: dataclasses.Field[Any]) -> str:
    """The range of a field in words, for error messages and `--help`; empty if any value is allowed."""
    meta = field.metadata
    if meta.get("choices"):
        return "one of " + ", ".join(str(choice) for choice in meta["choices"])
    bounds = []
    if meta.get("above") is not None:
        bounds.append(f"> {meta['above']:g}")
    if meta.get("low") is not None:
        bounds.append(f">= {meta['low']:g}")
    if meta.get("high") is not None:
        bounds.append(f"<= {meta['high']:g}")
    return " and ".join(bounds)


_HINTS: dict[type[Any], dict[str, Any]] = {}


def type_hints(cls: type[Any]) -> dict[str, Any]:
    """Annotations of a configuration class, evaluated once (they are strings)."""
    if cls not in _HINTS:
        _HINTS[cls] = typing.get_type_hints(cls)
    return _HINTS[cls]


def _has_type(value: Any, hint: Any) -> bool:
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return any(_has_type(value, option) for option in typing.get_args(hint))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _in_range(value: Any, meta: Mapping[str, Any]) -> bool:
    if meta.get("choices"):
        return value in meta["choices"]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return True
    return (
        value == value  # refuses NaN
        and abs(value) <= sys.float_info.max
        and (meta.get("low") is None or value >= meta["low"])
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
            if not _has_type(value, hint):
                kind = getattr(hint, "__name__", str(hint))
                raise ConfigError(f"{where} = {value!r}: must be of type {kind}")
            if not _in_range(value, field.metadata):
                raise ConfigError(f"{where} = {value!r}: must be {allowed(field) or 'finite'}")
            if hint is float:  # 1 and 1.0, -0.0 and 0.0 are one value and must have one digest
                object.__setattr__(self, field.name, float(value) + 0.0)


# --- nested dictionaries


def from_mapping(cls: type[Group], values: Any, where: str) -> Group:
    """An instance of a checked dataclass from nested values; raises ConfigError for unknown names."""
    hints = type_hints(cls)
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} = {values!r}: must be a mapping of field names to values")
    unknown = sorted(set(values) - {field.name for field in dataclasses.fields(cls)})  # type: ignore[arg-type]
    if unknown:
        raise ConfigError(f"{where}: unknown field {unknown[0]!r} (its value is {values[unknown[0]]!r})")
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

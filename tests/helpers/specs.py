"""What a chart's Vega-Lite specification draws, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def layers(made: Any) -> Iterator[dict[str, Any]]:
    """Every layer of a chart or its specification, with its records and its mark's type as `kind`."""
    spec = made if isinstance(made, dict) else made.to_dict()
    held = spec.get("datasets", {})
    for layer in spec.get("layer", [spec]):
        mark = layer["mark"] if isinstance(layer["mark"], dict) else {"type": layer["mark"]}
        data = layer.get("data", spec.get("data", {}))
        records = data["values"] if "values" in data else held.get(data.get("name"), [])
        yield {**layer, "mark": mark, "kind": mark["type"], "records": records}


def records(made: Any) -> list[dict[str, Any]]:
    """All records of a chart."""
    return [one for layer in layers(made) for one in layer["records"]]


def drawn(made: Any, kind: str, /, **wanted: Any) -> list[dict[str, Any]]:
    """The records of all layers of a mark's type that have these values."""
    return [
        one
        for layer in layers(made)
        if layer["kind"] == kind
        for one in layer["records"]
        if all(one.get(name) == value for name, value in wanted.items())
    ]

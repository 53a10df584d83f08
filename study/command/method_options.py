"""Options of the method, made from the fields of `dcreid.config`: help, type and range are the field's own.

A new field is an option at once. A value that cannot be used is refused with the option's name, the
value and what is allowed.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import types
import typing
from collections.abc import Callable
from typing import Any

from dcreid.checked import allowed, number, shown
from dcreid.config import Config, ConfigError, fields
from dcreid.presets import settings_of

_GROUPS = {
    "data": "data",
    "model": "network",
    "train": "training",
    "merge": "merging",
    "evaluate": "evaluation",
}


def add_method_options(top: argparse.ArgumentParser) -> None:
    """Adds an option per config field, without a default, so that what was given is known."""
    data = top.add_argument_group("data")
    data.add_argument(
        "--data-root",
        metavar="DIR",
        help="folder of the data set, the same path on every node "
        "[$DCREID_DATA/<data set>, else data/<data set>]",
    )
    groups: dict[str, argparse._ArgumentGroup] = {"data": data}
    for name, field in fields().items():
        section = "synthetic data" if ".synthetic." in name else _GROUPS.get(name.split(".")[0], "data")
        group = groups[section] if section in groups else top.add_argument_group(section)
        groups[section] = group
        _config_option(group, name, field)


def option_name(field: str) -> str:
    """The option of a dotted config field: `merge.lambda1` is --lambda1."""
    special = {
        "merge.method": "merge-method",
        "evaluate.eval_every": "eval-every",
        "train.sampler": "batch-sampler",
        "evaluate.camera_normalise": "eval-camera-normalise",
    }
    if field in special:
        return f"--{special[field]}"
    leaf = field.rsplit(".", 1)[-1].replace("_", "-")
    return f"--synthetic-{leaf}" if ".synthetic." in field else f"--{leaf}"


def _config_option(group: argparse._ArgumentGroup, name: str, field: dataclasses.Field[Any]) -> None:
    hint = _hint(name)
    text, default = field.metadata["help"], f" [{_defaults(name)}]"
    if hint is bool:
        group.add_argument(
            option_name(name),
            dest=name,
            action=argparse.BooleanOptionalAction,
            default=None,
            help=_escape(text + default),
        )
        return
    choices, extent = field.metadata["choices"], allowed(field)
    group.add_argument(
        option_name(name),
        dest=name,
        type=_converter(name, hint, field),
        metavar="|".join(map(str, choices)) if choices else hint.__name__.upper(),
        help=_escape((text if choices or not extent else f"{text}, {extent}") + default),
    )


def _defaults(name: str) -> str:
    """The values of the data sets' settings: `256; synthetic: 64`, MARS's first."""
    if name == "data.dataset":
        return "synthetic"
    values = {dataset: _value(held[name]) for dataset, held in _settings().items()}
    if ".synthetic." in name:
        return values["synthetic"]
    others = [f"{data}: {value}" for data, value in values.items() if value != values["mars"]]
    return "; ".join([values["mars"], *others])


@functools.cache
def _settings() -> dict[str, dict[str, Any]]:
    return {dataset: settings_of(dataset).flat() for dataset in ("mars", "duke", "synthetic")}


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _hint(name: str) -> Any:
    cls: Any = Config
    *groups, leaf = name.split(".")
    for group in groups:
        cls = typing.get_type_hints(cls)[group]
    hint = typing.get_type_hints(cls)[leaf]
    return typing.get_args(hint)[0] if isinstance(hint, types.UnionType) else hint


def _converter(name: str, hint: Any, field: dataclasses.Field[Any]) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        try:
            value = number(hint, text) if hint in (int, float) else text
        except ConfigError as error:
            extent = allowed(field)
            raise argparse.ArgumentTypeError(f"{error}{f' {extent}' if extent else ''}") from None
        try:
            check_value(name, value)
        except ConfigError as error:
            wanted = str(error).rpartition(": ")[2]
            raise argparse.ArgumentTypeError(f"{shown(text)}: {wanted}") from None
        return value

    return convert


def check_value(name: str, value: Any) -> None:
    """Raises ConfigError where a dotted field cannot have a value, whatever the others have."""
    try:
        Config().replace(**{name: value})
    except ConfigError as error:
        if "leak_audit" not in str(error):  # allowed together with --leak-audit; checked when all is known
            raise


def _escape(text: str) -> str:
    return text.replace("%", "%%")

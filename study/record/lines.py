"""Lines of the ledger: how they are written, and how a damaged one is known.

A line is a JSON object that ends with a checksum of what stands before it. Lines that older code wrote
have none: of these every field that is read is checked instead.
"""

from __future__ import annotations

import functools
import json
import math
import re
import typing
import zlib
from collections.abc import Mapping
from typing import Any

from dcreid.config import Config, ConfigError, completed
from dcreid.steps import MergeStep

_SEALED = re.compile(rb'(.*), "crc": "([0-9a-f]{8})"\}', re.DOTALL)
_NUMBER = int | float
_LATEST = 1e11  # seconds since 1970, thousands of years from now
_LARGEST = 1 << 63  # of whole numbers, for tables
_SEALED_ONLY = {"session", "definition", "ends_as", "after"}  # which older code did not write
STATES = ("complete", "pruned", "diverged", "failed")
# The fields of each event, and what else they may have, with their types.
_FIELDS: dict[str, dict[str, Any]] = {
    "session": {"time": _NUMBER},
    "session_end": {"time": _NUMBER},
    "trial": {
        "time": _NUMBER, "number": int, "config": dict, "digest": str, "origin": str, "labels": list,
        "params": dict, "distributions": dict,
    },
    "start": {"time": _NUMBER, "trial": int},
    "step": {"time": _NUMBER, "trial": int, "row": dict},
    "end": {"time": _NUMBER, "trial": int, "state": str},
    "retry": {"time": _NUMBER, "trial": int, "reason": str},
    "note": {"time": _NUMBER, "trial": int, "text": str},
    "again": {"time": _NUMBER, "trial": int, "reason": str},
}  # fmt: skip
_OPTIONAL: dict[str, Any] = {
    "reason": str | None, "value": _NUMBER | None, "why": str | None, "reused": str | None,
    "gpus": _NUMBER, "pid": int, "command": str,
}  # fmt: skip


class DamagedLine(Exception):
    """A line that says nothing, or nothing that can be believed; the message is the reason."""


def sealed(entry: Mapping[str, Any]) -> bytes:
    """The line of an event, with its checksum and line break."""
    text = json.dumps(_plain(entry))[:-1].encode()
    return text + f', "crc": "{zlib.crc32(text):08x}"}}\n'.encode()


def read_line(line: bytes, *, sealed_ones: bool) -> tuple[dict[str, Any], bool]:
    """The event of a line without its line break, and whether it has a checksum. Raises DamagedLine.

    sealed_ones: whether a line without a checksum is refused.
    """
    match = _SEALED.fullmatch(line)
    if match is None and sealed_ones:
        raise DamagedLine("its end is missing")
    if match is not None and zlib.crc32(match[1]) != int(match[2], 16):
        raise DamagedLine("its checksum is wrong")
    try:
        entry = json.loads(line, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise DamagedLine("not JSON") from error
    if match is None:
        _check(entry)
    else:
        del entry["crc"]
    return entry, match is not None


def _refused(name: str) -> None:
    raise ValueError(name)


def _check(entry: Any) -> None:
    """Raises DamagedLine where the fields of an event are not what they must be."""
    event = entry.get("event") if isinstance(entry, dict) else None
    if not isinstance(event, str) or event not in _FIELDS:
        raise DamagedLine("no event of a study")
    fields = _FIELDS[event]
    wanted = fields | {name: kind for name, kind in _OPTIONAL.items() if name in entry and name not in fields}
    for name, kind in wanted.items():
        if not _is(entry.get(name), kind):
            raise DamagedLine(f"its {name} is missing or wrong")
    if not 0 <= entry["time"] < _LATEST:
        raise DamagedLine("its time is none")
    if event == "step":
        _check_row(entry["row"])
    elif event == "end" and entry["state"] not in STATES:
        raise DamagedLine("its state is none")
    elif event == "trial":
        _check_trial(entry)
    for name in _SEALED_ONLY & entry.keys():
        del entry[name]


def _check_row(row: dict[str, Any]) -> None:
    for name, low in (("step", 0), ("total_steps", 1)):
        if not _is(row.get(name), int) or row[name] < low:
            raise DamagedLine(f"{name} in its row is missing or wrong")
    for name, kind in _measures().items():
        if not _is(row.get(name), kind):
            raise DamagedLine(f"{name} in its row is wrong")
    problems = row.get("problems", [])
    if not (isinstance(problems, list) and all(isinstance(text, str) for text in problems)):
        raise DamagedLine("problems in its row is wrong")


def _check_trial(entry: dict[str, Any]) -> None:
    texts = [*entry["labels"], *entry["distributions"].values()]
    if not all(isinstance(text, str) for text in texts):
        raise DamagedLine("its labels or distributions are wrong")
    try:
        Config.from_dict(completed(entry["config"]))
    except (ConfigError, TypeError, AttributeError) as error:
        raise DamagedLine("its configuration is none of this code's") from error


@functools.cache
def _measures() -> dict[str, Any]:
    """What a row may hold of a merge step; any of it may be missing, as NaN is."""
    return {name: _loose(kind) | None for name, kind in typing.get_type_hints(MergeStep).items()}


def _loose(kind: Any) -> Any:
    return _NUMBER if kind is float else kind


def _is(value: Any, kind: Any) -> bool:
    """isinstance, but True is no number, and numbers are such as tables can hold."""
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return isinstance(value, kind) and -_LARGEST <= value < _LARGEST
    return isinstance(value, kind) and not (isinstance(value, float) and not math.isfinite(value))


def _plain(value: Any) -> Any:
    """JSON has no NaN: it becomes null, as in the results table."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

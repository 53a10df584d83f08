"""The version of what a study folder holds, so that code of another day says what it cannot read.

`study.json` and every session of the ledger carry SCHEMA; folders from before it have no number and
count as 1. A number goes up when older code would misread what is written, not when a field with a
default is added: configurations are compared by their difference from the defaults.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dcreid.checked import shown
from study.errors import StudyError

SCHEMA = 2  # 2: the number itself; a diverged trial has a value; names of partitions in rows


def check_schema(found: Any, path: Path) -> None:
    """Raises StudyError where `found`, the version in a file, is of a newer version than this code."""
    if not isinstance(found, int) or not 1 <= found <= SCHEMA:
        raise StudyError(
            f"{path}: written by a newer version of this code (schema {shown(found)}; this code reads up to "
            f"{SCHEMA}); update this checkout, or use another --name"
        )

"""What study.json holds, checked for all who read it: a file may be damaged, or written by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dcreid.checked import check_types
from study.plan import StudyPlan

# The types of what is read of it beside the plan; older versions lack some.
_FIELDS: dict[str, Any] = {
    "plan": dict[str, Any],
    "dataset": dict[str, Any],
    "command": str,
    "commands": list[str],
    "code": str,
    "git": str | None,
    "python": str,
    "created": float,
    "packages": dict[str, Any],
    "hardware": dict[str, Any],
}
_OF_DATASET: dict[str, Any] = {
    "name": str,
    "fingerprint": str,
    "protocol": str,
    "train_tracklets": int,
    "test_tracklets": int,
    "queries": int,
    "labelled": bool,
    "problems": list[str],
}
_NEEDED = ("name", "fingerprint", "protocol", "train_tracklets")  # of the data set


def parse(text: str) -> dict[str, Any]:
    """The content of a study.json, which is JSON and an object. Raises ValueError."""
    try:
        content = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(content, dict):
        raise ValueError("not a description")
    return content


def plan_of(content: Mapping[str, Any]) -> StudyPlan:
    """The plan in a description. Raises ConfigError for whatever has not its type, or is missing."""
    check_types("study", content, _FIELDS, ("plan", "dataset"))
    check_types("dataset", content["dataset"], _OF_DATASET, _NEEDED)
    return StudyPlan.from_dict(content["plan"])

"""Ledgers that a disk has damaged, or that somebody has edited: the lines that are not damaged count."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bad_input import made
from bad_input.case import cases_of

RUN, STATUS = "study/run.py", "study"
# Lines of the study: 1 is its session, 2 to 10 are trial 0, whose rows are 4 to 9.
TRIAL, ROW, END = 2, 5, 10


def line(number: int, change: Callable[[bytes], str | bytes]) -> made.Make:
    """The study `s` with another line in its ledger."""

    def make(here: Path) -> None:
        path = made.study(here) / "ledger.jsonl"
        lines = path.read_bytes().splitlines()
        content = change(lines[number - 1])
        lines[number - 1] = content.encode() if isinstance(content, str) else content
        path.write_bytes(b"\n".join(lines) + b"\n")

    return make


def entry(number: int, change: Callable[[dict[str, Any]], object]) -> made.Make:
    """The study `s` with an event of its ledger changed by hand."""

    def edited(before: bytes) -> str:
        content = json.loads(before)
        change(content)
        return json.dumps(content)

    return line(number, edited)


def no_ledger(then: Callable[[Path], object]) -> made.Make:
    """The study `s` without its ledger, and what stands in its place."""

    def make(here: Path) -> None:
        path = made.study(here) / "ledger.jsonl"
        path.unlink()
        then(path)

    return make


def wrong(field: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content.update({field: value})


def row(field: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["row"].update({field: value})


_SHOWN = "status studies/s"
_DAMAGED = (
    ("not JSON", line(ROW, lambda _: '{"event": "step", '), ROW, "not JSON"),
    ("zeroes", line(ROW, lambda _: bytes(500)), ROW, "not JSON"),
    ("not UTF-8", line(ROW, lambda _: b'{"event": "st\xff\xfep"}'), ROW, "not JSON"),
    ("terminal codes", line(ROW, lambda _: "\x1b]0;title\x07\x1b[31m"), ROW, "not JSON"),
    ("100,000 brackets", line(ROW, lambda _: "[" * 100_000), ROW, "not JSON"),
    ("a number of 5,000 digits", line(ROW, lambda _: '{"event": ' + "9" * 5000 + "}"), ROW, "not JSON"),
    ("a list", line(ROW, lambda _: "[]"), ROW, "no event of a study"),
    ("no event", line(ROW, lambda _: "{}"), ROW, "no event of a study"),
    ("an event that is a list", entry(ROW, wrong("event", ["step"])), ROW, "no event of a study"),
    ("a trial that is a text", entry(ROW, wrong("trial", "0")), ROW, "its trial is missing or wrong"),
    ("a row that is a list", entry(ROW, wrong("row", [])), ROW, "its row is missing or wrong"),
    ("a row without its step", entry(ROW, lambda c: c["row"].pop("step")), ROW, "step in its row is missing"),
    ("a step that is a text", entry(ROW, row("step", "2")), ROW, "step in its row is missing or wrong"),
    (
        "mAP NaN",
        line(ROW, lambda _: '{"event": "step", "time": 1, "trial": 0, "row": {"mAP": NaN}}'),
        ROW,
        "not JSON",
    ),
    ("mAP a text", entry(ROW, row("mAP", "high")), ROW, "mAP in its row is wrong"),
    ("seconds a list", entry(ROW, row("seconds_train", [1])), ROW, "seconds_train in its row is wrong"),
    ("a time in words", entry(ROW, wrong("time", "now")), ROW, "its time is missing or wrong"),
    ("a time of 300 digits", entry(ROW, wrong("time", 1e300)), ROW, "its time is none"),
    ("a state of its own", entry(END, wrong("state", "over")), END, "its state is none"),
    ("a reason that is a number", entry(END, wrong("reason", 3)), END, "its reason is missing or wrong"),
    ("a configuration null", entry(TRIAL, wrong("config", None)), TRIAL, "its config is missing or wrong"),
    ("labels that are numbers", entry(TRIAL, wrong("labels", [1])), TRIAL, "its labels or distributions"),
    (
        "a seed in words",
        entry(TRIAL, lambda c: c["config"].update(seed="x")),
        TRIAL,
        "its configuration is none",
    ),
)

CASES = [
    *cases_of(
        "ledger",
        STATUS,
        *(
            (name, _SHOWN, f"ledger.jsonl: passed over line {number} ({why}", {"prepare": prepare})
            for name, prepare, number, why in _DAMAGED
        ),
        status=0,
        fast=True,
    ),
    *cases_of(
        "ledger",
        STATUS,
        (
            "cut in its last line",
            _SHOWN,
            "not complete",
            {"prepare": line(END, lambda _: '{"event": "en'), "status": 0},
        ),
        ("a folder", _SHOWN, "ledger.jsonl: not a file", {"prepare": no_ledger(Path.mkdir), "fast": True}),
        (
            "of a newer schema",
            _SHOWN,
            ("ledger.jsonl", "newer version"),
            {"prepare": entry(1, wrong("schema", 99))},
        ),
        (
            "one trial of a damaged ledger",
            f"{_SHOWN} --trial 0",
            "0",
            {"prepare": entry(ROW, row("mAP", "high")), "status": 0},
        ),
    ),
    *cases_of(
        "ledger",
        RUN,
        (
            "a folder, to go on",
            "--resume studies/s",
            "ledger.jsonl: not a file",
            {"prepare": no_ledger(Path.mkdir), "leaves": ("study.json", ".lock", ".holder")},
        ),
    ),
]

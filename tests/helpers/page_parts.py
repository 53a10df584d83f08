"""What stands on a page: specifications of its charts, and its tables cell by cell."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

_SPEC = re.compile(r'<script type="application/json">(.*?)</script>', re.S)


def specs(text: str) -> list[dict[str, Any]]:
    """The specifications of the charts, in order."""
    return [json.loads(found) for found in _SPEC.findall(text)]


def records(spec: dict[str, Any], column: str) -> list[dict[str, Any]]:
    """The rows of the one data set of a chart that has this column."""
    held = [rows for rows in spec["datasets"].values() if rows and column in rows[0]]
    assert len(held) == 1, f"{len(held)} data sets with {column}"
    return held[0]


class _Table(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.attributes: list[dict[str, str | None]] = []  # of each row
        self._within = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
            self.attributes.append(dict(attrs))
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self._within = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._within = False

    def handle_data(self, data: str) -> None:
        if self._within:
            self.rows[-1][-1] += data


def table(text: str) -> tuple[list[dict[str, str]], list[dict[str, str | None]]]:
    """The rows of the first sortable table, heading to text, and the attributes of each."""
    found = re.search(r'<table class="sortable".*?</table>', text, re.S)
    assert found is not None
    parser = _Table()
    parser.feed(found[0])
    heads, *rows = parser.rows
    return [dict(zip(heads, row, strict=True)) for row in rows], parser.attributes[1:]

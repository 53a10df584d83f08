"""The console: strings are shown as they are, whatever they would be to a terminal or to Rich."""

from __future__ import annotations

import io
import sys

import pytest
from rich.table import Table

from study.show.terminal import Terminal


def shown(monkeypatch: pytest.MonkeyPatch, *printed: object, encoding: str = "utf-8") -> str:
    """What arrives on standard output."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    for one in printed:
        Terminal().print(one, soft_wrap=True)
    return stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]


def table(*cells: str) -> Table:
    """One row."""
    made = Table(box=None, pad_edge=False)
    for _ in cells:
        made.add_column("", no_wrap=True)
    made.add_row(*cells)
    return made


def test_lines_and_cells_are_neither_codes_nor_markup(monkeypatch: pytest.MonkeyPatch):
    text = "[red]a[/red] :smile:\x1b]0;t\x07\nb"
    expected = r"[red]a[/red] :smile:\x1b]0;t\x07\nb"
    assert shown(monkeypatch, text) == expected + "\n"
    assert shown(monkeypatch, table(text)).split("\n")[1].rstrip() == expected


def test_columns_keep_their_places_where_symbols_are_spelled_out(monkeypatch: pytest.MonkeyPatch):
    made = table("τ", "x")
    made.add_row("λ1", "y")
    lines = shown(monkeypatch, made, encoding="ascii").splitlines()
    assert [line.rstrip() for line in lines[1:]] == ["tau      x", "lambda1  y"]


def test_a_closed_pipe_is_for_the_command_to_judge(monkeypatch: pytest.MonkeyPatch):
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(BrokenPipeError):
        Terminal().print("x")


def test_in_a_notebook_lines_are_text_like_all_else_that_is_printed(monkeypatch):
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    file = io.StringIO()
    terminal = Terminal(file)
    terminal.print("trial 0 complete")
    assert file.getvalue() == "trial 0 complete\n" and not terminal.is_jupyter

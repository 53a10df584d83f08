"""The console of `study/run.py` and `python -m study`: text that others wrote is shown, never obeyed."""

from __future__ import annotations

import io
import sys
from typing import IO, Any, TextIO, cast

from rich.console import Console
from rich.text import Text

from dcreid.commandline import encodable, visible


class Terminal(Console):
    """Standard output; a string, in lines and in tables, is one line of characters that the terminal has."""

    def __init__(self, file: TextIO | io.TextIOBase | None = None) -> None:
        """file: what stands for standard output."""
        stream = cast(IO[str], sys.stdout if file is None else file)
        super().__init__(file=stream, highlight=False, markup=False, emoji=False, force_jupyter=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Control characters are escaped; what the encoding lacks is spelled out before columns are laid."""
        return super().render_str(encodable(visible(text), self.encoding), **options)

    def on_broken_pipe(self) -> None:
        """Rich would end the process with status 1; what it means is for the command to say."""
        raise

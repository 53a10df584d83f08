"""What only shows or watches must not end a study: display, tables, watchdog, nodes, a closed pipe."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from dcreid.commandline import encodable
from study.errors import first_line

DRIVER_LOG = Path("ray", "driver.log")  # in the study's folder: what Ray prints, and tracebacks
CONSOLE_LOG = Path("ray", "console.log")  # in the study's folder: the console, once that is gone
_log = logging.getLogger("dcreid.study")


class Aside:
    """Makes calls that a study can do without. What they raise is said once, with its traceback in `log`."""

    def __init__(self, log: Path):
        self.log = log
        self._told: set[tuple[str, type[Exception]]] = set()

    def __call__(self, what: str, call: Callable[..., object], *arguments: object) -> None:
        """Makes the call; `what` names it to the user."""
        try:
            call(*arguments)
        except Exception as error:
            if (what, type(error)) not in self._told:
                self._told.add((what, type(error)))
                self._tell(what, error)

    def _tell(self, what: str, error: Exception) -> None:
        with contextlib.suppress(OSError):
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("a", errors="backslashreplace") as file:
                traceback.print_exception(error, file=file)
        name = type(error).__name__
        said = first_line(error, "no message")
        _log.warning("%s: %s: %s; the study goes on (traceback in %s)", what, name, said, self.log)


class Output(io.TextIOBase):
    """Standard output or error, to write to without an exception.

    When it refuses (a closed pipe, a terminal that is gone, a full disk), `kept` takes its place for the
    whole process, or nothing where there is no such file.
    """

    def __init__(self, file: TextIO | None, kept: Path | None = None):
        self._file = file if file is not None else open(os.devnull, "w")  # noqa: SIM115
        self.kept, self.lost = kept, False

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """As the file has it."""
        return self._file.encoding or "utf-8"

    def isatty(self) -> bool:
        """Whether somebody may be looking: not any more once it has refused."""
        return not self.lost and not self._file.closed and self._file.isatty()

    def fileno(self) -> int:
        """The file's."""
        return self._file.fileno()

    def write(self, text: str) -> int:
        """Writes all of it, spelling out what the file cannot encode."""
        shown = encodable(text, self.encoding)
        try:
            self._file.write(shown)
        except (OSError, ValueError) as error:
            self._replace(error)
            if getattr(self._file, "write_through", False):  # it has kept nothing (PYTHONUNBUFFERED)
                with contextlib.suppress(OSError, ValueError):
                    self._file.write(shown)
        return len(text)

    def flush(self) -> None:
        """Passes it on."""
        try:
            self._file.flush()
        except (OSError, ValueError) as error:
            self._replace(error)

    def _replace(self, error: Exception) -> None:
        """Puts `kept` behind the file's number: what waits in its buffer goes there."""
        with contextlib.suppress(OSError, ValueError):
            if not self.lost:
                self.lost = True
                place = self._open(error)
                os.dup2(place, self._file.fileno())
                os.close(place)
            self._file.flush()

    def _open(self, error: Exception) -> int:
        if self.kept is not None:
            with contextlib.suppress(OSError):
                self.kept.parent.mkdir(parents=True, exist_ok=True)
                place = os.open(self.kept, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
                now = time.strftime("%Y-%m-%d %H:%M:%S")
                why = first_line(error, type(error).__name__)
                os.write(place, f"--- {now}: the console is gone ({why})\n".encode())
                return place
        return os.open(os.devnull, os.O_WRONLY)

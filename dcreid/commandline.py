"""The front door of every command: what its output goes through, and how it says that it cannot go on.

Nothing but the standard library is imported here, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import codecs
import contextlib
import errno
import logging
import os
import re
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TextIO, cast

from dcreid.errors import InputError

# Name of the error handler with which a stream or file takes characters that its encoding does not have.
READABLE = "dcreid.readable"
_ASCII = {
    "λ": "lambda", "τ": "tau", "α": "alpha", "φ": "phi", "θ": "theta", "π": "pi", "Σ": "sum", "Δ": "delta",
    "…": "...", "·": "|", "×": "x", "–": "-", "−": "-", "±": "+/-", "≥": ">=", "→": "->", "←": "<-",
    "✓": "v", "○": "o", "†": "+", "√": "sqrt", "‖": "||", "┤": "|",
    **dict(zip("▁▂▃▄▅▆▇█", "12345678", strict=True)),  # heights of a curve
}  # fmt: skip
# C0, DEL and C1, marks that turn the direction of text, line and paragraph separators, lone surrogates.
_HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
# What is wrong with a path that was given; any other OSError is the disk's or the network's.
_WRONG_PATH = {
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EACCES, errno.EPERM, errno.ELOOP,
    errno.ENAMETOOLONG,
}  # fmt: skip
_STDOUT = "standard output"
_LONGEST = 490  # characters of a line; of longer ones (a value of 300 digits) the middle is left out
_INTERRUPTED = 130  # the status that a shell gives SIGINT


def visible(text: str) -> str:
    r"""Text as one line that a terminal only shows: `\x1b` for an escape character, `\n` for a line break.

    A byte of a file name that is no UTF-8 becomes `\xff`.
    """
    return _HIDDEN.sub(lambda found: _escaped(found[0]), text)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a name that the file system's encoding does not have
        code -= 0xDC00
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def say(line: str) -> None:
    """Prints one line."""
    print(visible(line))


def show(page: str) -> None:
    """Prints lines whose breaks are meant."""
    print("\n".join(map(visible, page.split("\n"))))


def encodable(text: str, encoding: str | None) -> str:
    """Text in the characters of an encoding: `lambda1` for `λ1` in ASCII."""
    name = encoding or "utf-8"
    return text.encode(name, READABLE).decode(name)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_ascii, error.object[error.start : error.end])), error.end


def _ascii(character: str) -> str:
    if _HIDDEN.match(character):
        return _escaped(character)
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return _ASCII.get(character) or plain or "?"


codecs.register_error(READABLE, _replaced)


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with an option."""

    def error(self, message: str) -> NoReturn:
        """Status 2."""
        fail(self.prog, f"{message} (--help lists the options)")
        sys.exit(2)


def up_to(most: int) -> Callable[[str], int]:
    """The type of an option that is a whole number from 1 to `most`."""

    def count(text: str) -> int:
        plain = text.isascii() and text.isdecimal() and len(text) <= len(str(most))
        if not plain or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {most:,}")
        return int(text)

    return count


def fail(command: str, message: str) -> None:
    """One line on stderr."""
    text = f"{command}: error: {visible(message)}"
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]}"
    with contextlib.suppress(OSError):  # there is nobody else to tell
        print(text, file=sys.stderr)


def run(command: str, work: Callable[[], int]) -> int:
    """Does a command's work; returns its exit status, or says in one line what was in its way.

    2 = bad input, 1 = the disk or the network refused, 130 = Ctrl-C. A reader of standard output that has
    gone away is no error.
    """
    with _streams() as output:
        try:
            status = _status(command, work)
        except SystemExit as end:  # --help, or an option that the parser refuses
            raise SystemExit(end.code or output.finish(command)) from None
        lost = output.finish(command)
        return status or lost


def _status(command: str, work: Callable[[], int]) -> int:
    try:
        return work()
    except InputError as error:
        fail(command, str(error))
        return 2
    except OSError as error:
        if error.filename == _STDOUT:
            return 0  # `finish` says it
        place = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        fail(command, f"{place}{error.strerror or error}")
        return 2 if error.errno in _WRONG_PATH else 1
    except MemoryError as error:
        fail(command, f"not enough memory: {error or 'ask for less'}")
        return 1
    except KeyboardInterrupt:
        print(f"{command}: stopped", file=sys.stderr)
        return _INTERRUPTED


class _Output:
    """A standard stream: its errors bear its name, and after the first it swallows what is written."""

    def __init__(self, stream: TextIO | None, name: str):
        self.stream, self._name, self._error = stream, name, cast(OSError | None, None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        with self._named():
            return 0 if self.stream is None else self.stream.write(text)

    def flush(self) -> None:
        with self._named():
            if self.stream is not None:
                self.stream.flush()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if self._error is None:
                self._error = error
            error.filename = self._name
            # What is still in the buffer goes nowhere, now and when the interpreter ends.
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            raise

    def finish(self, command: str) -> int:
        """Says that something was not written; returns the status of that."""
        with contextlib.suppress(OSError):
            self.flush()
        if self._error is None or isinstance(self._error, BrokenPipeError):
            return 0
        fail(command, f"{self._name}: {self._error.strerror}")
        return 1


@contextmanager
def _streams() -> Iterator[_Output]:
    """Standard streams with names; any terminal can take every character; warnings stay one line."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=READABLE)
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_OneLine())
    output, errors = _Output(sys.stdout, _STDOUT), _Output(sys.stderr, "standard error")
    with (
        contextlib.redirect_stdout(cast(TextIO, output)),
        contextlib.redirect_stderr(cast(TextIO, errors)),
    ):
        yield output


def standard_output() -> TextIO | None:
    """The stream itself, for who deals with its errors."""
    return sys.stdout.stream if isinstance(sys.stdout, _Output) else sys.stdout


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return visible(record.getMessage())

"""What a user can mend: run.py and `python -m study` print the message and end with status 2."""

from __future__ import annotations

from dcreid.errors import InputError


class StudyError(InputError):
    """A study that cannot be run or read; the message says what to do."""


class StorageError(InputError):
    """A storage or database that cannot be used; the message names the option and what is wrong."""


class NodeError(RuntimeError):
    """A node cannot run the study's trials; another may."""


class GPUError(RuntimeError):
    """A GPU does not work; another may."""


class OptionError(InputError):
    """Options that do not go together; the message says which and what to do."""


def first_line(error: object, otherwise: str) -> str:
    """The first line with anything in it of what an error says; `otherwise` where it says nothing."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), otherwise)

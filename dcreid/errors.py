"""What a user can mend. Every command prints the message in one line and ends with status 2."""

from __future__ import annotations


class InputError(Exception):
    """Options, files or data that cannot be used; the message names them and says what to do."""

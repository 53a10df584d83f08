"""The error of a backbone that cannot be built."""


class BackboneError(Exception):
    """A backbone or its weights cannot be used; the message says what to do."""

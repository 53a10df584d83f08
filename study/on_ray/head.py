"""Tells the user when a cluster's head is gone. A minute later Ray ends the driver, in words of its own."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_BETWEEN = 5.0  # seconds between looks, and that an answer is waited for
_MISSED = 3  # looks in a row without an answer
_log = logging.getLogger("dcreid.study")


@contextmanager
def head_watched(address: str | None, between: float = _BETWEEN) -> Iterator[None]:
    """Looks at the head, on a thread of its own: Tune's loop may be waiting for it. address: HOST:PORT."""
    over = threading.Event()
    if address is not None:
        threading.Thread(target=_watch, args=(address, over, between), daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _watch(address: str, over: threading.Event, between: float) -> None:
    missed = 0
    while not over.wait(between):
        if _answers(address):
            if missed >= _MISSED:
                _log.warning("the cluster's head answers again")
            missed = 0
            continue
        missed += 1
        if missed == _MISSED:
            _log.warning(
                "the cluster's head at %s does not answer; Ray ends this session if it stays away, and the "
                "same command goes on once there is a cluster again",
                address,
            )


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _BETWEEN).close()
    except OSError:
        return False
    return True

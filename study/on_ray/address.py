"""Whether a cluster answers at its address: Ray itself would wait for it for a quarter of an hour."""

from __future__ import annotations

import os
import socket

from study.errors import StudyError, first_line
from study.private import FEW_CONNECTIONS, cluster_address

_PATIENCE = 5.0  # seconds for an answer


def check_address(address: str) -> None:
    """Connects to the head of the cluster at `auto` or `HOST:PORT` once. Raises StudyError.

    To be called before Ray is imported, if it is to give up soon on a port at which something else answers.
    """
    os.environ.update({name: value for name, value in FEW_CONNECTIONS.items() if name not in os.environ})
    try:
        place = cluster_address(address)
        host, _, port = place.rpartition(":")
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
    except (OSError, ValueError) as error:  # ValueError: a name that no host can have
        found = "" if address != "auto" else " (from RAY_ADDRESS, or the last `ray start` on this machine)"
        reason = getattr(error, "strerror", None) or first_line(error, "no such host")
        raise StudyError(
            f"--address {address}: no Ray cluster answers there{found}: {reason}; start it, give another "
            "address, or leave --address out for a local one"
        ) from None

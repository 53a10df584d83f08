"""The driver of a study on a cluster's head, for study/remote/client.py: started, listened to and stopped
by an actor, which dies with the connection.

Ray Client's server, which loads this, must not load PyTorch: it does so on a thread of gRPC's and dies.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from typing import Any

import ray

from study.stdin import STOP_AT_EOF

_NEWS = 0.5  # seconds to wait for what is printed next


class Relay:
    """study/run.py with these options, in a process of its own: it handles signals, which an actor cannot."""

    def __init__(self, argv: list[str], columns: int):
        self._output = tempfile.NamedTemporaryFile("r", prefix="dcreid-", errors="replace")  # noqa: SIM115
        inside: Any = ray.get_runtime_context()
        with open(self._output.name, "wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "study.run", *argv, "--address", inside.gcs_address],
                stdin=subprocess.PIPE,  # closes with this actor
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | {"COLUMNS": str(columns), "PYTHONUNBUFFERED": "1", STOP_AT_EOF: "yes"},
            )

    def news(self) -> tuple[str, int | None]:
        """What has been printed since, and the status when that was the last of it."""
        status = self._process.poll()
        text = self._output.read()
        if not text and status is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_NEWS)
        return text, status

    def stop(self) -> None:
        """As Ctrl-C in a terminal."""
        self._process.send_signal(signal.SIGINT)

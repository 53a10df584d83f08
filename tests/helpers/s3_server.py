"""An S3 server of a test's own (moto's), and a way to it that can be cut.

What it holds lies in its memory, so it is not ended and started again: it is stopped (SIGSTOP) and does not
answer, or the way to it is closed and connections are refused.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from pyarrow import fs

BUCKET = "bucket"
_HOST = "127.0.0.1"


def missing() -> str | None:
    """Why there can be none here; None where there can."""
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("flask") is None:
        return "no S3 server (pip install -e '.[dev]')"
    return None


class S3Server:
    """One with an empty bucket; its credentials stand in the environment. Close it."""

    def __init__(self) -> None:
        os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        self.port = _free_port()
        command = [sys.executable, "-m", "moto.server", "-H", _HOST, "-p", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self._wait()
            made, _ = fs.FileSystem.from_uri(f"s3://{BUCKET}/?{self.options()}&allow_bucket_creation=true")
            made.create_dir(BUCKET)
        except BaseException:
            self.close()
            raise

    @property
    def endpoint(self) -> str:
        """HOST:PORT"""
        return f"{_HOST}:{self.port}"

    def options(self, port: int | None = None) -> str:
        """What stands behind a URI's question mark; port: of a way to the server."""
        return f"endpoint_override={_HOST}:{port or self.port}&scheme=http&region=us-east-1"

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """It does not answer."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(30)

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection((_HOST, self.port), 1).close()
                return
            assert self.process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)


class Way:
    """A port whose connections go on to another one, until the way is closed."""

    def __init__(self, to: int):
        self.to, self.port = to, _free_port()
        self._connections: set[socket.socket] = set()
        self._listening: socket.socket | None = None
        self.open()

    def open(self) -> None:
        """Takes connections."""
        listening = self._listening = socket.create_server((_HOST, self.port), backlog=64)
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()

    def close(self) -> None:
        """Refuses connections, and cuts those that there are."""
        if self._listening is not None:
            with contextlib.suppress(OSError):
                self._listening.shutdown(socket.SHUT_RDWR)  # wakes `accept`
            self._listening.close()
            self._listening = None
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def closed(self) -> Iterator[None]:
        """Nobody gets there."""
        self.close()
        try:
            yield
        finally:
            self.open()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                near, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near, contextlib.suppress(OSError), socket.create_connection((_HOST, self.to)) as far:
            ends = {near, far}
            self._connections |= ends
            try:
                back = threading.Thread(target=_pass_on, args=(far, near), daemon=True)
                back.start()
                _pass_on(near, far)
                back.join()
            finally:
                self._connections -= ends


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port

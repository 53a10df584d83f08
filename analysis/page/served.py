"""A page on the local host that is made anew when what it tells of has changed."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from analysis.page.frame import VERSION

_log = logging.getLogger("dcreid.analysis")
_PAUSE = 1.0  # seconds between looks at the files


class Renewed:
    """The newest page; `make` is called again where a file of `files` has changed since the last call.

    What `make` raises is told once and leaves the page as it was: a file may be read while it is written.
    """

    def __init__(self, make: Callable[[], str], files: Iterable[Path], waiting: str) -> None:
        self._make, self._files = make, tuple(files)
        self._seen: object = None
        self._told = ""
        self.content, self.tag = b"", ""
        self._take(waiting)

    def look(self) -> None:
        """Makes the page again if a file has changed."""
        stamp = [_stamp(path) for path in self._files]
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._take(self._make())
        except Exception as error:  # whatever it is, the next change may be its end
            if str(error) != self._told:
                self._told = str(error)
                _log.warning("the page is not renewed: %s", error)

    def _take(self, page: str) -> None:
        content = page.encode(errors="backslashreplace")
        version = hashlib.sha256(content).hexdigest()[:16]
        self.content, self.tag = content.replace(VERSION.encode(), version.encode()), f'"{version}"'


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def server(renewed: Renewed, port: int) -> ThreadingHTTPServer:
    """A server of the one page at `/`, for this machine alone. Raises OSError (the port is taken)."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            here = {f"{name}:{made.server_port}" for name in ("127.0.0.1", "localhost")}
            if self.headers.get("Host") not in here:  # another site's name that leads here reads nothing
                self.send_error(403)
                return
            if self.path.split("?")[0] != "/":
                self.send_error(404)
                return
            content, tag = renewed.content, renewed.tag
            known = self.headers.get("If-None-Match") == tag
            self.send_response(304 if known else 200)
            self.send_header("ETag", tag)
            self.send_header("Cache-Control", "no-store")
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", "0" if known else str(len(content)))
            self.end_headers()
            if not known:
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """A request is no news."""

    made = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    return made


def serve(made: ThreadingHTTPServer, renewed: Renewed) -> None:
    """Serves, and looks at the files, until it is interrupted."""
    threading.Thread(target=made.serve_forever, daemon=True).start()
    try:
        while True:
            renewed.look()
            time.sleep(_PAUSE)
    except KeyboardInterrupt:
        pass
    finally:
        made.shutdown()
        made.server_close()

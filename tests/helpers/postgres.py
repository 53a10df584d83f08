"""A PostgreSQL of a test's own, which may be stopped and started again."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

_FOLDERS = os.pathsep.join([os.environ.get("PATH", ""), *map(str, Path("/usr/lib/postgresql").glob("*/bin"))])


def missing() -> str | None:
    """Why there can be none here; None where there can."""
    if importlib.util.find_spec("psycopg") is None:
        return "no psycopg (pip install -e '.[postgres]')"
    if not all(shutil.which(name, path=_FOLDERS) for name in ("initdb", "postgres", "pg_isready")):
        return "no PostgreSQL (Debian: apt-get install postgresql)"
    return None


class Server:
    """One with an empty database, not started yet. Close it."""

    def __init__(self) -> None:
        # Not below pytest's folder, which is its user's alone: PostgreSQL refuses to run as root.
        self.folder, self._prefix = Path(tempfile.mkdtemp(prefix="dcreid-postgres-")), list[str]()
        if os.geteuid() == 0:
            users = {entry.pw_name: entry for entry in pwd.getpwall()}
            user = users.get("postgres") or users["nobody"]
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            ids = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}"]
            self._prefix = ["setpriv", *ids, "--clear-groups"]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._log = (self.folder / "log").open("ab")
        self._run("initdb", "-A", "trust", "-U", "study", "--no-sync", "-D", str(self.folder / "data"))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off")
        command = [_program("postgres"), "-D", str(self.folder / "data"), "-p", str(self.port)]
        output = [part for option in options for part in ("-c", option)]
        self.process = subprocess.Popen(
            [*self._prefix, *command, *output], stdout=self._log, stderr=self._log, cwd=self.folder
        )
        ready = [_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        deadline = time.monotonic() + 60
        while subprocess.run(ready).returncode != 0:
            output = (self.folder / "log").read_text()
            assert self.process.poll() is None and time.monotonic() < deadline, output
            time.sleep(0.1)

    def stop(self) -> None:
        """At once, as a lost machine."""
        if self.process is not None:
            self.process.send_signal(3)  # SIGQUIT: without saying goodbye to anybody
            self.process.wait(60)
            self.process = None

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def url(self, name: str = "postgres") -> str:
        return f"postgresql://study@127.0.0.1:{self.port}/{name}"

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._prefix, _program(program), *arguments]
        subprocess.run(command, check=True, stdout=self._log, stderr=self._log, cwd=self.folder)


def _program(name: str) -> str:
    found = shutil.which(name, path=_FOLDERS)
    assert found is not None
    return found

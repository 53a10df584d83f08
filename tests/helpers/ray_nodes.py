"""A Ray cluster of several nodes on this machine, started as users start theirs: by `ray start`."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

_RAY = Path(sys.executable).with_name("ray")
_STORE = 100 << 20  # bytes of shared memory per node; nothing here needs more
_PATIENCE = 300.0


class Node:
    """One `ray start --block` and its descendants."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], log: Path):
        self.log = log
        with log.open("ab") as file:
            self.process = subprocess.Popen(command, env=environment, cwd="/", stdout=file, stderr=file)

    def wait(self) -> None:
        """Until the node says that it runs."""
        until(lambda: "Ray runtime started" in self.log.read_text(), alive=self.process, log=self.log)

    def workers(self) -> list[int]:
        """Processes in which trials run."""
        return [pid for pid in descendants(self.process.pid) if b"ImplicitFunc" in _command(pid)]

    def kill_worker(self) -> str:
        """Kills one process in which a trial runs; returns what was killed, in words."""
        for pid in self.workers():
            _send(pid, signal.SIGKILL)
            return "worker"
        return "worker that had just ended"

    def kill(self) -> None:
        """As a machine that is lost: every process at once, without a word."""
        pids = [*descendants(self.process.pid), self.process.pid]
        for pid in pids:
            _send(pid, signal.SIGKILL)
        self.process.wait(60)
        until(lambda: not any(_command(pid) for pid in pids))


class Cluster:
    """A head without CPUs, and nodes that may come and go. Close it, or its processes stay."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="dcreid-ray-"))
        self.port, self.client_port = _free_ports(2)
        self.environment = {
            **os.environ,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": "0123456789abcdef0123456789abcdef",
            "RAY_USAGE_STATS_ENABLED": "0",
            "OMP_NUM_THREADS": "1",
        }
        self.environment.pop("RAY_ADDRESS", None)
        self.nodes: list[Node] = []
        self._started = 0
        self.head = self.start_head()

    @property
    def address(self) -> str:
        """For --address."""
        return f"127.0.0.1:{self.port}"

    def start_head(self) -> Node:
        """The head, which runs no trials."""
        options = ["--head", f"--port={self.port}", "--num-cpus=0", "--include-dashboard=false"]
        options.append(f"--ray-client-server-port={self.client_port}")
        self.head = self._start(options)
        return self.head

    def add(self, cpus: int = 1, gpus: int = 0, prefix: Sequence[str] = ()) -> Node:
        """A node that runs trials. prefix: a command that is to run its command, such as `unshare`."""
        options = (f"--address={self.address}", f"--num-cpus={cpus}", f"--num-gpus={gpus}")
        node = self._start(options, prefix)
        self.nodes.append(node)
        return node

    def kill(self, node: Node) -> None:
        """Loses a node."""
        self.nodes.remove(node)
        node.kill()

    def stop(self, node: Node) -> None:
        """Takes a node out in good order, so that the head knows at once."""
        self.nodes.remove(node)
        node.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            node.process.wait(30)
        node.kill()

    def close(self) -> None:
        """Ends every process of the cluster."""
        for node in (*self.nodes, self.head):
            node.kill()
        shutil.rmtree(self.folder)

    def _start(self, options: Sequence[str], prefix: Sequence[str] = ()) -> Node:
        self._started += 1
        command = [*prefix, str(_RAY), "start", "--block", *options, f"--object-store-memory={_STORE}"]
        node = Node(command, self.environment, self.folder / f"node-{self._started}.log")
        try:
            node.wait()
        except BaseException:
            node.kill()
            raise
        return node


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as probes:
        found = [probes.enter_context(socket.socket()) for _ in range(count)]
        for probe in found:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in found]


def descendants(pid: int) -> list[int]:
    """Processes below a process, as they are now."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            rest = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(rest[1]), []).append(int(stat.parent.name))
    found, unseen = [], [pid]
    while unseen:
        below = children.get(unseen.pop(), [])
        found += below
        unseen += below
    return found


def until(
    done: Callable[[], bool], *, alive: subprocess.Popen | None = None, log: Path | None = None
) -> None:
    """Waits for something that a process is about to do. Raises AssertionError, with its log, if it ends."""
    deadline = time.monotonic() + _PATIENCE
    while not done():
        output = log.read_text() if log is not None else ""
        assert time.monotonic() < deadline, f"waited in vain\n{output}"
        assert alive is None or alive.poll() is None, f"ended with {alive and alive.returncode}\n{output}"
        time.sleep(0.1)


def _command(pid: int) -> bytes:
    """Command line of a process; empty for one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)

"""A study given to a cluster from outside, over Ray Client."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kills import events
from ray_nodes import Cluster, descendants, until

from study.remote.client import _signals, _without_address
from study.run import main

RUN = str(Path(__file__).resolve().parents[3] / "study" / "run.py")
SMALL = (
    *("--merge-rate", "0.2", "--first-epochs", "1", "--later-epochs", "1", "--height", "32", "--width", "16"),
    *("--synthetic-train-identities", "4", "--synthetic-test-identities", "3", "--name", "study"),
    *("--sampler", "random", "--pruner", "none"),
)

pytest.importorskip("grpc", reason="Ray Client needs grpcio: pip install 'ray[client]'")


def test_the_address_is_left_out_however_it_was_given():
    given = ["--samples", "3", "--address", "ray://head:1", "--name", "a", "--address=ray://head:2"]
    assert _without_address(given) == ["--samples", "3", "--name", "a"]


def test_an_address_where_nothing_listens_is_refused(capsys: pytest.CaptureFixture):
    with socket.socket() as taken:  # bound, but not listening
        taken.bind(("127.0.0.1", 0))
        address = f"ray://127.0.0.1:{taken.getsockname()[1]}"
        assert main(["--address", address]) == 2
    assert re.search(f"error: --address {address}: Ray Client's server does not", capsys.readouterr().err)


def test_a_lost_terminal_is_passed_on_like_ctrl_c():
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        with _signals() as asked:
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
        assert asked == [signal.SIGHUP, signal.SIGTERM]
    finally:
        signal.signal(signal.SIGHUP, before)


# --- on a cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    started = Cluster()
    try:
        started.add()
        yield started
    finally:
        started.close()


def start(cluster: Cluster, folder: Path, *options: str) -> subprocess.Popen:
    """A client on a machine that has nothing of the study: it writes to its log only."""
    (folder / "client").mkdir(exist_ok=True)
    command = [sys.executable, RUN, *SMALL, "--cache", str(folder / "cache"), *options]
    with (folder / "client.log").open("ab") as log:
        return subprocess.Popen(
            [*command, "--address", f"ray://127.0.0.1:{cluster.client_port}"],
            cwd=folder / "client", env=cluster.environment, stdout=log, stderr=log,
        )  # fmt: skip


def ended(client: subprocess.Popen, folder: Path) -> tuple[int, str]:
    try:
        return client.wait(timeout=600), (folder / "client.log").read_text()
    finally:
        client.kill()


def drivers(cluster: Cluster) -> list[int]:
    """Processes of study/remote/relay.py on the head."""
    below = descendants(cluster.head.process.pid)
    return [pid for pid in below if b"study.run" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def checkpoint(folder: Path) -> Path:
    return folder / "studies" / "study" / "trials" / "0000" / "step-001.pt"


@pytest.mark.slow
def test_ctrl_c_stops_the_study_and_the_same_command_ends_it(cluster: Cluster, tmp_path: Path):
    options = ("--samples", "2", "--later-epochs", "60", "--studies", str(tmp_path / "studies"))
    client = start(cluster, tmp_path, *options)
    until(checkpoint(tmp_path).is_file, alive=client, log=tmp_path / "client.log")
    client.send_signal(signal.SIGINT)
    status, output = ended(client, tmp_path)
    assert status == 130 and "signal SIGINT" in output and "to go on: python study/run.py --resume" in output
    status, output = ended(start(cluster, tmp_path, *options), tmp_path)
    assert (
        status == 0 and re.search("trials: 0 done, [12] resumed, [01] new", output) and "results: " in output
    )
    assert list((tmp_path / "client").iterdir()) == []
    last = [(e["trial"], e["state"]) for e in events(tmp_path) if e["event"] == "end"]
    assert last == [(0, "complete"), (1, "complete")]


@pytest.mark.slow
def test_a_client_that_is_lost_takes_its_driver_along(cluster: Cluster, tmp_path: Path):
    options = ("--samples", "1", "--later-epochs", "200", "--studies", str(tmp_path / "studies"))
    client = start(cluster, tmp_path, *options)
    until(checkpoint(tmp_path).is_file, alive=client, log=tmp_path / "client.log")
    client.kill()
    client.wait()
    until(lambda: not drivers(cluster))
    assert not any(e["event"] == "end" for e in events(tmp_path))


@pytest.mark.slow
def test_what_the_driver_refuses_is_told_with_its_status(cluster: Cluster, tmp_path: Path):
    places = ("--studies", str(tmp_path / "studies"), "--cache", str(tmp_path / "cache"))
    options = ("--dataset", "mars", "--data-root", "/nowhere", *places)
    client = subprocess.Popen(
        [sys.executable, RUN, "--address", f"ray://127.0.0.1:{cluster.client_port}", *options],
        cwd=tmp_path, env=cluster.environment, stdout=(tmp_path / "client.log").open("wb"),
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    status, output = ended(client, tmp_path)
    assert status == 2 and "study/run.py: error: /nowhere" in output

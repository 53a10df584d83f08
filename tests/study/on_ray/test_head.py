"""A head that is gone is told once, and that it is back."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest

from study.on_ray.head import head_watched


def wait(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_head_that_is_gone_is_told_once_and_that_it_is_back(caplog: pytest.LogCaptureFixture):
    head = socket.create_server(("127.0.0.1", 0))
    address = head.getsockname()
    with head_watched(f"127.0.0.1:{address[1]}", between=0.005):
        time.sleep(0.05)
        assert caplog.messages == []
        head.close()
        wait(lambda: len(caplog.messages) == 1)
        time.sleep(0.05)
        head = socket.create_server(address)
        wait(lambda: len(caplog.messages) == 2)
    head.close()
    time.sleep(0.05)
    gone, back = caplog.messages
    assert f"the cluster's head at 127.0.0.1:{address[1]} does not answer; " in gone
    assert back == "the cluster's head answers again"


def test_without_a_cluster_nobody_looks(caplog: pytest.LogCaptureFixture):
    with head_watched(None, between=0.001):
        time.sleep(0.02)
    assert caplog.messages == []

"""A cluster's address is tried before Ray, which would wait for a quarter of an hour."""

from __future__ import annotations

import os
import socket
import time

import pytest

from study.errors import StudyError
from study.on_ray.address import check_address


@pytest.fixture
def port() -> int:
    """One at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())


def test_a_port_that_answers_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as server:
        check_address(f"127.0.0.1:{server.getsockname()[1]}")


@pytest.mark.parametrize("host", ["127.0.0.1", "nosuch.invalid", "x" * 80])
def test_an_address_that_does_not_answer_is_named_at_once(host: str, port: int):
    began = time.monotonic()
    with pytest.raises(StudyError) as error:
        check_address(f"{host}:{port}")
    assert str(error.value).startswith(f"--address {host}:{port}: no Ray cluster answers there: ")
    assert time.monotonic() - began < 10


def test_a_cluster_that_is_no_longer_there_is_said_to_be_the_machines_last(
    port: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
    with pytest.raises(StudyError, match=r"--address auto: no Ray cluster answers there \(from RAY_ADDRESS"):
        check_address("auto")


def test_ray_is_told_to_give_up_soon_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.delenv("RAY_NUM_REDIS_GET_RETRIES", raising=False)
        check_address(address)
        assert os.environ["RAY_NUM_REDIS_GET_RETRIES"] == "1"
        os.environ["RAY_NUM_REDIS_GET_RETRIES"] = "7"
        check_address(address)
        assert os.environ["RAY_NUM_REDIS_GET_RETRIES"] == "7"

"""`--address ray://HOST:PORT`: the command runs inside the cluster and is watched from here.

Tune's loop belongs beside the trials, and the ledger where it stays when this machine leaves. So the
driver is started on the cluster's head, with the code of this checkout; what it prints is printed here,
Ctrl-C is passed on, and its status is ours. When the connection is lost for good the driver stops as at
SIGTERM, and the same command again goes on.
"""

from __future__ import annotations

import importlib.util
import logging
import shutil
import signal
import socket
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from dcreid.commandline import standard_output
from study.aside import Output
from study.errors import StudyError, first_line
from study.private import HEAD_RESOURCE
from study.remote.relay import Relay
from study.source import PACKAGES, REPOSITORY
from study.stdin import stopping_signals

SCHEME = "ray://"
_PORT = 10001  # of Ray Client's server
_PATIENCE = 15.0  # seconds for its answer


def run_there(address: str, argv: Sequence[str]) -> int:
    """Runs study/run.py with these options on the head of that cluster; returns its status.

    Raises StudyError: no cluster there, or one that Ray Client cannot work with.
    """
    if importlib.util.find_spec("grpc") is None:
        raise StudyError(f"--address {address}: needs grpcio: python -m pip install 'ray[client]'")
    with tempfile.TemporaryDirectory(prefix="dcreid-code-") as code:
        for package in PACKAGES:
            leave = shutil.ignore_patterns("__pycache__")
            shutil.copytree(REPOSITORY / package, Path(code, package), ignore=leave)
        _connect(address, code)
        try:
            return _watch(_without_address(argv))
        except (RayError, ConnectionError) as error:
            raise StudyError(
                f"--address {address}: the connection was lost ({first_line(error, 'no message')}); "
                "the study stops there, and the same command goes on"
            ) from None
        finally:
            ray.shutdown()


def _connect(address: str, code: str) -> None:
    host, _, port = address.removeprefix(SCHEME).rstrip("/").partition(":")
    place = host, int(port or _PORT)
    try:
        socket.create_connection(place, _PATIENCE).close()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.init(
                "{}{}:{}".format(SCHEME, *place),
                runtime_env={"working_dir": code},
                log_to_driver=False,
                logging_level=logging.CRITICAL,
            )
    except OSError as error:
        raise StudyError(
            f"--address {address}: Ray Client's server does not answer there ({error}); a head has one where "
            "'ray[client]' is installed"
        ) from None
    except Exception as error:  # grpc's and Ray's own: other versions, a token that is missing
        raise StudyError(
            f"--address {address}: Ray {ray.__version__} of this machine and that cluster do not get on "
            f"({type(error).__name__}: {first_line(error, 'no message')})"
        ) from None


def _watch(argv: Sequence[str]) -> int:
    """Starts the driver and follows it to its end. Raises KeyboardInterrupt when asked to stop twice."""
    on_head = ray.remote(Relay).options(num_cpus=0, resources={HEAD_RESOURCE: 0.001})
    driver: Any = on_head.remote(list(argv), shutil.get_terminal_size().columns)
    status, output = None, Output(standard_output())
    with _signals() as asked:
        passed_on = 0
        while status is None:
            if passed_on < len(asked):
                passed_on += 1
                if passed_on > 1:  # it does not wait for the end
                    raise KeyboardInterrupt
                ray.get(driver.stop.remote())
            text, status = ray.get(driver.news.remote())
            print(text, end="", file=output, flush=True)
    return int(status)


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collects Ctrl-C, SIGTERM and SIGHUP: they must not cut a message to the cluster in two."""
    asked: list[int] = []
    before = {number: signal.getsignal(number) for number in stopping_signals()}
    for number in before:
        signal.signal(number, lambda number, frame: asked.append(number))
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _without_address(argv: Sequence[str]) -> list[str]:
    kept, words = [], iter(argv)
    for word in words:
        if word == "--address":
            next(words, None)
        elif not word.startswith("--address="):
            kept.append(word)
    return kept

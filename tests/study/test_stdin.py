"""A process that was asked to stops when its standard input closes, as at SIGTERM; others do not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from study.stdin import STOP_AT_EOF

PROGRAM = """
import os, time
from study.stdin import STOP_AT_EOF, stop_at_eof_if_asked
stop_at_eof_if_asked()
assert STOP_AT_EOF not in os.environ  # children are not asked
print("ready", flush=True)
time.sleep(float(os.environ["SECONDS"]))
"""


@pytest.mark.parametrize(("asked", "seconds", "status"), [(True, "60", -signal.SIGTERM), (False, "0.2", 0)])
def test_the_end_of_standard_input(asked: bool, seconds: str, status: int):
    environment = os.environ | {"SECONDS": seconds} | ({STOP_AT_EOF: "yes"} if asked else {})
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdin is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.close()
    assert process.wait(timeout=50) == status
    process.stdout.close()


def test_standard_input_that_cannot_be_read_has_ended():
    process = subprocess.run(
        ["bash", "-c", 'exec "$0" -c "$1" <&-', sys.executable, PROGRAM],
        env=os.environ | {"SECONDS": "60", STOP_AT_EOF: "yes"},
        capture_output=True,
        timeout=50,
    )
    assert process.returncode == -signal.SIGTERM

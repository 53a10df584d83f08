"""What tells a process to stop: signals, and standard input, which closes when the process at its other end
has ended, however that was.

Nothing but the standard library is imported here (study/remote/relay.py says why).
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable

# The environment variable by which a process is asked to stop when its standard input closes.
STOP_AT_EOF = "DCREID_STOP_AT_EOF"


def stopping_signals() -> list[signal.Signals]:
    """Signals at which a study stops in good order; SIGHUP (no terminal any more) unless nohup ignores it."""
    hangup = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGINT, signal.SIGTERM, *hangup]


def when_input_ends(then: Callable[[], object]) -> None:
    """Calls `then`, on a thread of its own, once standard input is closed; what comes before is dropped."""

    def wait() -> None:
        with contextlib.suppress(OSError):  # of a terminal that is gone
            while os.read(0, 4096):
                pass
        then()

    threading.Thread(target=wait, daemon=True).start()


def stop_at_eof_if_asked() -> None:
    """Where STOP_AT_EOF is set, this process gets a SIGTERM when its standard input closes."""
    if os.environ.pop(STOP_AT_EOF, None):
        signal.pthread_sigmask(
            signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM}
        )  # Ray's actors block SIGINT
        when_input_ends(lambda: os.kill(os.getpid(), signal.SIGTERM))

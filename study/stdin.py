"""Standard input as a lifeline: it closes when the process at its other end is no more, however that ended.

Nothing but the standard library is loaded here (study/remote/relay.py says why).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable


def when_input_ends(then: Callable[[], object]) -> None:
    """Calls `then`, on a thread of its own, once standard input is closed; what comes before is dropped."""

    def wait() -> None:
        while os.read(0, 4096):
            pass
        then()

    threading.Thread(target=wait, daemon=True).start()

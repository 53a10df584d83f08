"""Where trials can run: the nodes and their GPUs, without those that are set aside."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from study.decide.session import Session
from study.errors import StudyError
from study.failures import Failure
from study.on_ray.gpus import Gpus, Probe
from study.on_ray.nodes import Nodes, wait_for
from study.show.wording import clock

_log = logging.getLogger("dcreid.study")


class Places:
    """Looks at the places of one session, and ends a session on one machine that has none left."""

    def __init__(self, session: Session, probe: Probe):
        plan, gpus = session.plan, session.gpus_per_trial
        self.session = session
        self.nodes = Nodes(plan, session.queue.fingerprint, gpus, session.set_aside)
        self.gpus = Gpus(gpus, probe, session.set_aside) if gpus else None
        self._without: float | None = None  # since when no place has been left

    def check(self, stopping: Callable[[], bool]) -> None:
        """Looks at all before the first trial starts.

        Raises StudyError where nodes of a cluster cannot run trials, or no GPU of this machine can; OSError
        (storage).
        """
        if self.session.plan.address is not None:
            self.nodes.check(stopping)
        if self.gpus is None:
            return
        gpus = self.gpus

        def settled() -> bool:
            gpus.poll()
            return gpus.settled or stopping()

        wait_for(settled)
        if self.session.plan.address is None and not gpus.room() and not stopping():
            raise StudyError(
                f"no GPU is left that a trial can run on: {'; '.join(gpus.problems)}; --gpus-per-trial 0 "
                "trains on the CPU"
            )

    def poll(self) -> None:
        """To be called often."""
        self.nodes.poll()
        if self.gpus is not None:
            self.gpus.poll()
        self._see_to_room()

    def suspect(self, failure: Failure) -> None:
        """A trial has crashed: where a place may be to blame, it is looked at."""
        if failure.kind == "memory":
            return
        if failure.of_gpu and self.gpus is not None:
            self.gpus.failed(failure.node, failure.gpus, failure.reason)
        elif failure.kind == "node":
            self.nodes.failed(failure.node, failure.reason)
        elif self.session.plan.address is not None:
            self.nodes.suspect(failure.node)

    def _see_to_room(self) -> None:
        """Says that no place is left; a study on one machine, to which none can come, waits with patience."""
        if self.nodes.room() and (self.gpus is None or self.gpus.room()):
            self._without = None
            return
        found = [*self.nodes.problems, *(self.gpus.problems if self.gpus is not None else ())]
        problems = "; ".join(found) or "no node has room for one"
        if self._without is None:
            self._without = time.monotonic()
            _log.warning("no place is left that can run a trial; the study waits for one (%s)", problems)
        patience, local = self.session.plan.patience, self.session.plan.address is None
        if local and time.monotonic() - self._without > patience:
            self.session.stop(f"for {clock(patience)} no place could run a trial: {problems}")

"""Finds workers that hang: no report and no heartbeat (study/worker/heartbeat.py) for `--hang-timeout`.

Such a worker is killed, and its trial goes the way of any crash: tried again from its checkpoint, and
after `--max-failures` given up with the reason. Clocks of other machines are not trusted: what counts
is whether the heartbeat has changed since this driver last looked.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ray
from ray.tune import Callback
from ray.tune.experiment import Trial

from study.decide.session import RunningTrial, Session
from study.record.storage import Storage
from study.show.wording import clock
from study.worker.heartbeat import NAME


@dataclass
class _Seen:
    """What is known of a trial under way."""

    started: float  # the attempt that this is about
    alive: float  # when it last gave a sign
    looked: float  # when its heartbeat was last read
    beat: bytes | None


class Watchdog:
    """Tells which jobs of a session are silent. `poll` is called often and looks rarely.

    A heartbeat is read only after half the time has passed without a report: on object stores a look
    costs, and a trial that reports needs none.
    """

    def __init__(self, session: Session, now: Callable[[], float] = time.monotonic):
        self.session, self.timeout, self._now = session, session.plan.hang_timeout, now
        self._seen: dict[str, _Seen] = {}
        self._polled = now()

    def poll(self) -> list[RunningTrial]:
        """The jobs without a sign of life for the time allowed, each once."""
        now, silent, jobs = self._now(), [], self.session.running
        if now - self._polled > self.timeout / 4:  # we were stopped ourselves, and our workers with us
            self._seen = {}
        self._polled = now
        self._seen = {tune_id: seen for tune_id, seen in self._seen.items() if tune_id in jobs}
        for tune_id, job in jobs.items():
            if job.started is None:
                continue
            seen = self._seen.get(tune_id)
            if seen is None or seen.started != job.started:
                seen = self._seen[tune_id] = _Seen(job.started, now, now, self._read(job))
            seen.alive = max(seen.alive, job.heard)
            if now - seen.alive > self.timeout / 2 and now - seen.looked > self.timeout / 10:
                seen.looked, beat = now, self._read(job)
                if beat != seen.beat:
                    seen.beat, seen.alive = beat, now
            if now - seen.alive > self.timeout:
                seen.alive = now
                silent.append(job)
        return silent

    def _read(self, job: RunningTrial) -> bytes | None:
        try:
            return Storage(self.session.plan.trial_storage(job.number)).read(NAME)
        except OSError:
            return None


class HangCallback(Callback):
    """Kills the workers of silent trials, from Tune's loop."""

    def __init__(self, session: Session):
        self.session, self.watchdog = session, Watchdog(session)

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Tune calls this after every event, and a few times a second."""
        silent = {job.tune_id: job for job in self.watchdog.poll()}
        for trial in trials if silent else ():
            actor = trial.temporary_state.ray_actor
            if trial.trial_id in silent and actor is not None:
                silent[trial.trial_id].hung = f"no sign of life for {clock(self.watchdog.timeout)}"
                ray.kill(actor)

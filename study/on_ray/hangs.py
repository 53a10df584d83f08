"""Finds workers that hang: no report and no heartbeat (study/worker/heartbeat.py) for `--hang-timeout`.

Such a worker is killed, and its trial goes the way of any crash: tried again from its checkpoint, and
after `--max-failures` given up with the reason. Clocks of other machines are not trusted: what counts
is whether the heartbeat has changed since this driver last looked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import ray
from ray.tune.experiment import Trial

from study.decide.session import RunningTrial, Session
from study.private import worker_of
from study.record.storage import Storage
from study.show.wording import clock
from study.worker.heartbeat import NAME

_UNREADABLE: Final = "unreadable"  # a heartbeat, because the storage does not answer


@dataclass
class _Seen:
    """What is known of a trial under way."""

    started: float  # the attempt that this is about
    alive: float  # when it last gave a sign
    looked: float  # when its heartbeat was last read
    beat: bytes | str | None


class Watchdog:
    """Kills the workers of trials that give no sign of life. It is polled often and looks rarely.

    A heartbeat is read only after half the time has passed without a report: on object stores a look
    costs, and a trial that reports needs none.
    """

    def __init__(self, session: Session, now: Callable[[], float] = time.monotonic):
        self.session, self.timeout, self._now = session, session.plan.hang_timeout, now
        self._seen: dict[str, _Seen] = {}
        self._polled = now()

    def poll(self, trials: Sequence[Trial]) -> None:
        """Kills the workers of silent trials. trials: Tune's."""
        silent = {trial.tune_id: trial for trial in self.silent()}
        for trial in trials if silent else ():
            worker = worker_of(trial)
            if trial.trial_id in silent and worker is not None:
                silent[trial.trial_id].hung = f"no sign of life for {clock(self.timeout)}"
                ray.kill(worker)

    def silent(self) -> list[RunningTrial]:
        """The trials without a sign of life for the time allowed, each once."""
        now, silent, running = self._now(), [], self.session.running
        if now - self._polled > self.timeout / 4:  # we were stopped ourselves, and our workers with us
            self._seen = {}
        self._polled = now
        self._seen = {tune_id: seen for tune_id, seen in self._seen.items() if tune_id in running}
        for tune_id, trial in running.items():
            if trial.started is None:
                continue
            seen = self._seen.get(tune_id)
            if seen is None or seen.started != trial.started:
                seen = self._seen[tune_id] = _Seen(trial.started, now, now, self._read(trial))
            seen.alive = max(seen.alive, trial.heard)
            if now - seen.alive > self.timeout / 2 and now - seen.looked > self.timeout / 10:
                seen.looked, beat = now, self._read(trial)
                if beat is _UNREADABLE:  # and so cannot be written either
                    seen.alive = now
                elif beat != seen.beat:
                    seen.beat, seen.alive = beat, now
            if now - seen.alive > self.timeout:
                seen.alive = now
                silent.append(trial)
        return silent

    def _read(self, trial: RunningTrial) -> bytes | str | None:
        try:
            return Storage(self.session.plan.trial_storage(trial.number)).read(NAME)
        except OSError:
            return _UNREADABLE

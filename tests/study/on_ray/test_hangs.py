"""Workers that hang: what counts as a sign of life, and what happens without one."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from study.failures import Failure
from study.on_ray.hangs import Watchdog
from study.record.storage import Storage
from study.worker.heartbeat import NAME

TIMEOUT = 600.0


class Clock:
    """Monotonic time that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("study.decide.session.time.monotonic", clock)
    return clock


@pytest.fixture
def watched(plan_of, open_session, clock) -> tuple[Any, Watchdog]:
    """A session with two trials under way and one that waits for its worker."""
    session = open_session(plan_of("--samples", "5", "--hang-timeout", "10m"))
    for tune_id in ("a", "b", "waiting"):
        session.ask(tune_id)
    session.started("a")
    session.started("b")
    return session, Watchdog(session, clock)


def minutes(clock: Clock, watchdog: Watchdog, count: float, each: Any = lambda: None) -> list[str]:
    """Lets time pass; returns whom the watchdog named."""
    named = []
    for _ in range(int(4 * count)):
        clock.now += 15.0
        each()
        named += [job.tune_id for job in watchdog.silent()]
    return named


def beat(session: Any, tune_id: str) -> None:
    place = session.plan.trial_storage(session.running[tune_id].number)
    Storage(place).write(NAME, json.dumps({"time": time.perf_counter_ns()}).encode())


def test_silence_is_named_once_the_time_is_over(watched, clock):
    _session, watchdog = watched
    assert minutes(clock, watchdog, 9) == []
    assert sorted(minutes(clock, watchdog, 2)) == ["a", "b"]
    assert minutes(clock, watchdog, 9) == []


def test_reports_are_signs_of_life(watched, clock, fake_tune):
    session, watchdog = watched
    rows = iter(fake_tune(session).rows(session.job(session.ledger.trials[0])))
    assert minutes(clock, watchdog, 8) == []
    session.hear("a", next(rows))
    assert minutes(clock, watchdog, 8) == ["b"]


def test_heartbeats_are_signs_of_life_whatever_time_they_tell(watched, clock):
    session, watchdog = watched
    assert set(minutes(clock, watchdog, 60, lambda: beat(session, "a"))) == {"b"}


def test_a_heartbeat_from_before_a_crash_is_none(watched, clock):
    session, watchdog = watched
    beat(session, "a")
    session.started("a")
    assert "a" not in minutes(clock, watchdog, 9) and "a" in minutes(clock, watchdog, 2)


def test_a_new_attempt_has_its_full_time(watched, clock):
    session, watchdog = watched
    assert minutes(clock, watchdog, 9) == []
    session.crashed("a", Failure("trial", "its worker died"))
    session.started("a")
    assert minutes(clock, watchdog, 9) == ["b"]


def test_a_driver_that_was_stopped_with_its_workers_kills_none(watched, clock):
    _session, watchdog = watched
    minutes(clock, watchdog, 1)
    clock.now += 7200.0
    assert watchdog.silent() == [] and minutes(clock, watchdog, 9) == []


def test_the_reason_of_a_kill_is_told_instead_of_the_crash(watched):
    session, _ = watched
    session.running["a"].hung = "no sign of life for 10:00"
    session.crashed("a", Failure("trial", "its worker process died"))
    session.crashed("a", Failure("trial", "its worker died"))
    for _ in range(4):
        session.running["b"].hung = "no sign of life for 10:00"
        session.crashed("b", Failure("node", "its node died"))
    trials = session.ledger.trials
    assert trials[0].retries == ["no sign of life for 10:00", "its worker died"]
    assert (trials[1].state, trials[1].reason) == ("failed", "no sign of life for 10:00")


def test_a_storage_that_does_not_answer_says_nothing_of_its_workers(watched, clock, monkeypatch):
    _session, watchdog = watched

    def refused(*_: object) -> bytes:
        raise OSError(116, "Stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr(Storage, "read", refused)
        assert minutes(clock, watchdog, 60) == []
    assert sorted(set(minutes(clock, watchdog, 20))) == ["a", "b"]

"""Time and cost: sessions by the clock without the pauses between them, trial time beside it."""

from __future__ import annotations

import pytest

from analysis.data.results import load
from analysis.page.spent import duration, spent


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the ledger writes, set by hand."""
    now = [0.0]
    monkeypatch.setattr("study.record.ledger.time.time", lambda: now[0])
    return now


def test_durations():
    assert [duration(s) for s in (45, 738, 18720)] == ["45 s", "12.3 min", "5.2 h"]


def test_pauses_do_not_count_and_killed_sessions_count_to_their_last_event(make, clock):
    study = make("duke", experiments="table1")
    study.ledger.append("session", command="", pid=1)
    clock[0] = 600.0
    study.trial(study.base)
    clock[0] = 90_000.0  # killed; the next day
    study.ledger.append("session", command="", pid=2)
    clock[0] = 90_300.0
    study.trial(study.base.replace(seed=1))
    clock[0] = 90_360.0
    study.ledger.append("session_end", why=None)
    found = dict(spent(load([study.folder]).studies[0]))
    assert found["wall-clock"].startswith("16.0 min in 2 sessions, begun 1970-01-0")
    assert "pauses between them not counted" in found["wall-clock"]
    assert found["trial time"].startswith("18 trial-seconds")
    assert found["trial time"].endswith("; 9 s per complete trial")
    assert found["cost"] == "train 67 %, features 17 %, merge 8 %, evaluate 8 %; no GPU"


def test_gpus_shared_stages_and_taken_over_trials_are_shown(make):
    study = make("duke", experiments="table1")
    study.ledger.append("session", command="", pid=1)
    study.trial(study.base)
    row = {"step": 1, "seconds_train": 3600.0, "saved_seconds": 120.0, "total_steps": 1}
    config = study.base.replace(seed=1)
    trial = {"config": config.to_dict(), "digest": config.digest(), "origin": "plan", "labels": []}
    study.ledger.append("trial", number=1, params={}, distributions={}, **trial)
    study.ledger.append("start", trial=1, gpus=0.5)
    study.ledger.append("step", trial=1, row=row)
    study.ledger.append("trial", number=2, params={}, distributions={}, reused="other/3", **trial)
    study.ledger.append("step", trial=2, row=row | {"saved_seconds": 0.0})
    found = dict(spent(load([study.folder]).studies[0]))
    assert found["trial time"].startswith("3,609 trial-seconds")
    assert found["cost"].endswith(
        "0.5 GPU-hours; 2.0 min saved by 1 trials that took stages of others over; "
        "1 trials taken over from other studies"
    )


def test_without_a_ledger_the_clock_is_unknown(make):
    study = make("duke", experiments="table1")
    study.trial(study.base)
    assert dict(spent(load([study.folder]).studies[0]))["wall-clock"].startswith("–")

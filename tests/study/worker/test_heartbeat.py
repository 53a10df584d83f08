"""Signs of life of a worker: what beats, what does not, and what is noted."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

from study.record.storage import Storage
from study.worker.heartbeat import NAME, Heartbeat


def note(storage: Storage) -> dict[str, Any]:
    content = storage.read(NAME)
    assert content is not None
    found: dict[str, Any] = json.loads(content)
    return found


def beats_again(storage: Storage, before: float, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if note(storage)["time"] > before:
            return True
        sum(range(1000))
    return False


def test_work_beats(tmp_path: Path):
    storage = Storage(str(tmp_path))
    with Heartbeat(storage, timeout=0.4):
        assert beats_again(storage, note(storage)["time"], 30)


def still(storage: Storage) -> bool:
    before = note(storage)["time"]
    threading.Event().wait(1.0)
    return bool(note(storage)["time"] == before)


def test_a_thread_that_waits_for_ever_does_not_beat(tmp_path: Path):
    storage = Storage(str(tmp_path))
    with Heartbeat(storage, timeout=0.4):
        assert beats_again(storage, note(storage)["time"], 30)
        assert any(still(storage) for _ in range(60))  # the work before may have its beat yet


def test_epochs_are_noted(tmp_path: Path):
    storage = Storage(str(tmp_path))
    heartbeat = Heartbeat(storage, timeout=1800.0)
    heartbeat.epoch(2, 3, 30)
    heartbeat.epoch(2, 4, 30)  # at once: not written
    assert {name: note(storage)[name] for name in ("stage", "epoch", "epochs")} == {
        "stage": 2, "epoch": 3, "epochs": 30,
    }  # fmt: skip


def test_object_stores_are_written_to_rarely(tmp_path: Path):
    heartbeat = Heartbeat(Storage(f"file://{tmp_path}"), timeout=1800.0)
    assert heartbeat._interval == 30.0


def test_a_full_disk_is_no_matter_for_the_heartbeat(tmp_path: Path):
    (tmp_path / "trial").write_text("a file where the folder should be")
    with Heartbeat(Storage(str(tmp_path / "trial")), timeout=1800.0) as heartbeat:
        heartbeat.epoch(1, 1, 1)

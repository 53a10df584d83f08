"""The ledger: what was written is there again, whatever a crash did to the end of the file."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcreid.config import Config
from study.record.ledger import Ledger

TRIAL = {
    "number": 0, "config": Config().to_dict(), "digest": "d", "origin": "search", "labels": [],
    "params": {"a": 1.0}, "distributions": {},
}  # fmt: skip


def row(step: int, **values: Any) -> dict[str, Any]:
    return {"step": step, "mAP": 0.1 * step, "total_steps": 3, "seconds_train": 2.0, **values}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    ledger.append("session", command="c", pid=1)
    ledger.append("trial", **TRIAL)
    ledger.append("start", trial=0)
    for step in range(3):
        ledger.append("step", trial=0, row=row(step))
    ledger.close()
    return path


def test_a_trial_is_read_back(path: Path):
    trial = Ledger(path).trials[0]
    assert (trial.state, trial.attempts, trial.last_step, trial.total_steps) == ("running", 1, 2, 3)
    assert trial.curve() == {1: pytest.approx(0.1), 2: pytest.approx(0.2)}
    assert trial.seconds == 6.0


def test_seconds_are_those_spent_here_and_gpu_seconds_those_of_its_share(path: Path):
    ledger = Ledger(path)
    ledger.append("start", trial=0, gpus=0.25)
    parts = {"seconds_features": 1.0, "seconds_merge": None, "saved_seconds": 60.0, "frames_per_second": 9.0}
    ledger.append("step", trial=0, row=row(3, **parts))
    trial = ledger.trials[0]
    assert trial.seconds == 3 * 2.0 + 3.0 and trial.gpu_seconds == 0.25 * 3.0


def test_what_another_study_has_spent_is_not_spent_here(tmp_path: Path):
    ledger = Ledger(tmp_path / "l")
    ledger.append("trial", **TRIAL, reused="study other, trial 3")
    ledger.append("step", trial=0, row=row(1))
    assert ledger.trials[0].steps[1]["seconds_train"] == 2.0
    assert ledger.trials[0].seconds == ledger.trials[0].gpu_seconds == 0.0


def test_memory_and_file_tell_the_same(tmp_path: Path):
    ledger = Ledger(tmp_path / "l")
    ledger.append("trial", **TRIAL)
    ledger.append("step", trial=0, row=row(1, loss=math.nan, rank1=math.inf, many=[math.nan, 1.0]))
    ledger.append("retry", trial=0, reason="its node died")
    ledger.append("note", trial=0, text="a damaged frame")
    ledger.append("end", trial=0, state="complete", value=math.nan)
    assert ledger.trials == Ledger(tmp_path / "l").trials
    trial = ledger.trials[0]
    assert trial.steps[1]["loss"] is None and trial.steps[1]["many"] == [None, 1.0]
    assert trial.value is None and trial.retries == ["its node died"] and trial.notes == ["a damaged frame"]


def test_a_trial_that_is_taken_up_again_runs_and_keeps_its_steps(path: Path):
    ledger = Ledger(path)
    ledger.append("end", trial=0, state="failed", reason="its node died", value=None)
    ledger.append("again", trial=0, reason="taken up again: its node died")
    trial = ledger.trials[0]
    assert (trial.state, trial.reason, trial.value, trial.ended) == ("running", None, None, None)
    assert sorted(trial.steps) == [0, 1, 2] and trial.notes == ["taken up again: its node died"]


def test_half_a_line_is_passed_over_and_kept_apart_from_the_next(path: Path):
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    ledger = Ledger(path)
    assert ledger.trials[0].last_step == 1 and ledger.damaged_lines == 1
    ledger.append("step", trial=0, row=row(2))
    again = Ledger(path)
    assert again.trials[0].last_step == 2 and again.damaged_lines == 1


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_file_cut_anywhere_keeps_every_whole_line(tmp_path_factory: pytest.TempPathFactory, data):
    path = tmp_path_factory.mktemp("cut") / "l"
    ledger = Ledger(path)
    ledger.append("trial", **TRIAL)
    ends = [path.stat().st_size]
    for step in range(4):
        ledger.append("step", trial=0, row=row(step))
        ends.append(path.stat().st_size)
    content = path.read_bytes()
    # A share, since the length of the file varies with the time of day.
    cut = round(ends[0] + data.draw(st.floats(0, 1)) * (len(content) - ends[0]))
    path.write_bytes(content[:cut])
    assert Ledger(path).trials[0].last_step == sum(end <= cut for end in ends) - 2


def test_a_damaged_line_in_the_middle_costs_that_line_only(path: Path):
    lines = path.read_bytes().splitlines(keepends=True)
    lines[4] = b"\x00\xff not json\n"
    path.write_bytes(b"".join(lines))
    ledger = Ledger(path)
    assert sorted(ledger.trials[0].steps) == [0, 2] and ledger.damaged_lines == 1


def test_lines_of_a_trial_whose_first_line_is_damaged_are_passed_over(path: Path):
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b"{}\n", b"12\n", *lines[2:]]))
    ledger = Ledger(path)
    assert not ledger.trials and ledger.damaged_lines == 6


def test_a_repeated_step_changes_nothing(path: Path):
    ledger = Ledger(path)
    ledger.append("step", trial=0, row=row(2, mAP=0.9))
    assert ledger.trials[0].curve()[2] == pytest.approx(0.2)
    assert Ledger(path).trials == ledger.trials


def test_events_that_belong_together_are_written_in_one_go(path: Path, monkeypatch: pytest.MonkeyPatch):
    ledger = Ledger(path)
    synced = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(path.read_bytes().count(b"\n")))
    before = path.read_bytes().count(b"\n")
    step, end = {"trial": 0, "row": row(3)}, {"trial": 0, "state": "complete", "value": 0.3}
    ledger.append_all(("step", step), ("end", end))
    assert synced == [before + 2] and ledger.trials[0].state == "complete"


def test_a_full_disk_leaves_no_half_line_and_no_event(path: Path, monkeypatch: pytest.MonkeyPatch):
    ledger, whole = Ledger(path), path.read_bytes()

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            ledger.append("end", trial=0, state="complete")
    assert path.read_bytes() == whole and ledger.trials[0].state == "running"
    ledger.append("end", trial=0, state="complete")
    assert Ledger(path).trials[0].state == "complete" and not Ledger(path).damaged_lines


def test_a_reader_that_looks_again_reads_what_was_added_and_nothing_twice(path: Path):
    reader, writer = Ledger(path, read_only=True), Ledger(path)
    for attempt in (2, 3):
        writer.append("start", trial=0)
        writer.append("retry", trial=0, reason="its node died")
        assert not reader.refresh() and reader.trials[0].attempts == attempt
    assert reader.trials == writer.trials and reader.damaged_lines == 0
    path.write_bytes(path.read_bytes() + b'{"event": "note", ')
    assert reader.refresh()
    with path.open("ab") as file:
        file.write(b'"time": 1.0, "trial": 0, "text": "whole now"}\n')
    assert not reader.refresh() and reader.trials[0].notes == ["whole now"] and reader.damaged_lines == 0


def test_a_read_only_ledger_writes_nothing(path: Path):
    path.write_bytes(path.read_bytes() + b'{"half')
    content = path.read_bytes()
    ledger = Ledger(path, read_only=True)
    with pytest.raises(ValueError, match="opened for reading"):
        ledger.append("start", trial=0)
    ledger.close()
    assert path.read_bytes() == content and ledger.trials[0].last_step == 2

"""The ledger: what was written is there again, whatever a crash did to the end of the file."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dcreid.config import Config
from study.errors import StudyError
from study.record import ledger as module
from study.record.ledger import Ledger
from study.record.lines import sealed
from study.record.results import results_table
from study.record.schema import SCHEMA

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
    ledger.append("start", trial=0, definition=ledger.trials[0].definition())
    for step in range(3):
        ledger.append("step", trial=0, row=row(step))
    ledger.close()
    return path


def seen(path: Path) -> Ledger:
    """The ledger as others see it."""
    return Ledger(path, read_only=True)


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
    assert ledger.trials == seen(tmp_path / "l").trials
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
    assert ledger.trials[0].last_step == 1 and ledger.damage == ["line 6 (its end is missing)"]
    ledger.append("step", trial=0, row=row(2))
    again = seen(path)
    assert again.trials[0].last_step == 2 and again.damage == ledger.damage


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
    assert seen(path).trials[0].last_step == sum(end <= cut for end in ends) - 2


def test_a_damaged_line_in_the_middle_costs_that_line_only(path: Path):
    lines = path.read_bytes().splitlines(keepends=True)
    lines[4] = b"\x00\xff not json\n"
    path.write_bytes(b"".join(lines))
    ledger = Ledger(path)
    assert sorted(ledger.trials[0].steps) == [0, 2] and ledger.damage == ["line 5 (its end is missing)"]
    assert ledger.trials[0].recorded == 0


def test_a_trial_whose_own_line_is_damaged_is_known_from_its_start(path: Path):
    whole, lines = seen(path), path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b"{}\n", *lines[2:]]))
    assert seen(path).trials == whole.trials and seen(path).damage == ["line 2 (its end is missing)"]
    path.write_bytes(b"".join([lines[0], b"{}\n", b"12\n", *lines[3:]]))
    ledger = Ledger(path)
    assert (
        not ledger.trials and len(ledger.damage) == 5 and "line 4 (of trial 0, whose own" in ledger.damage[2]
    )
    assert ledger.next_number() == 1  # what lies in trial 0's folder is not the next one's
    (problem,) = ledger.problems()
    assert problem.startswith(f"{path}: passed over line 2 (") and problem.endswith(" and 2 more")


@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
def test_a_digit_that_has_changed_is_noticed(path: Path, where: float):
    lines = path.read_bytes().splitlines(keepends=True)
    digits = [i for i, letter in enumerate(lines[4]) if chr(letter).isdigit()]
    place = digits[int(where * len(digits))]
    flipped = str((int(chr(lines[4][place])) + 1) % 10).encode()
    lines[4] = lines[4][:place] + flipped + lines[4][place + 1 :]
    path.write_bytes(b"".join(lines))
    assert seen(path).damage == ["line 5 (its checksum is wrong)"] and sorted(seen(path).trials[0].steps) == [
        0,
        2,
    ]


def test_a_second_writer_is_refused(path: Path):
    first = Ledger(path)
    with pytest.raises(StudyError, match="is being written by another driver"):
        Ledger(path)
    first.append("start", trial=0)
    first.close()
    Ledger(path).append("start", trial=0)
    assert seen(path).trials[0].attempts == 3


def test_a_writer_that_was_not_locked_out_is_noticed_before_the_next_line(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Two machines on a file system whose locks do not reach from one to the other."""
    monkeypatch.setattr(module, "fcntl", None)
    first = Ledger(path)
    first.append("session", command="c", pid=1, host="here")
    second = Ledger(path)
    second.append("session", command="c", pid=7, host="elsewhere")
    content = path.read_bytes()
    for call in (lambda: first.append("start", trial=0), first.check_alone):
        with pytest.raises(StudyError, match=r"another driver has written to it \(process 7 on elsewhere\)"):
            call()
    assert path.read_bytes() == content and first.trials[0].attempts == 1
    second.append("start", trial=0)
    assert seen(path).trials[0].attempts == 2 and not seen(path).damage


def test_a_ledger_that_was_exchanged_or_removed_is_not_written(path: Path):
    ledger, content = Ledger(path), path.read_bytes()
    path.rename(path.with_name("old"))
    with pytest.raises(StudyError, match=r"ledger\.jsonl is gone"):
        ledger.append("start", trial=0)
    path.write_bytes(content)
    with pytest.raises(StudyError, match="is another file than before"):
        ledger.append("start", trial=0)


def test_what_a_replaced_driver_still_writes_does_not_count(path: Path):
    """Its line passed between the other's look at the file and its own line."""
    late = sealed({"event": "step", "time": 1.0, "session": 1, "trial": 0, "row": row(3, mAP=0.9)})
    begun = sealed({"event": "session", "time": 1.0, "session": 1, "schema": SCHEMA, "pid": 9})
    ledger = Ledger(path)
    ledger.append("session", command="c", pid=2)
    ledger.close()
    with path.open("ab") as file:
        file.write(late + begun)
    ledger = Ledger(path)
    ledger.append("start", trial=0)
    found = seen(path)
    assert found.trials[0].last_step == 2 and len(found.sessions) == 2 and found.trials[0].session == 2
    assert found.damage == [
        f"line {i} (of a driver that had been replaced by that of session 2)" for i in (8, 9)
    ]


def test_sessions_whose_lines_are_damaged_count(path: Path):
    ledger = Ledger(path)
    for session in (2, 3):
        ledger.append("session", command="c", pid=session)
        ledger.append("start", trial=0)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:6], b"{}\n", *lines[7:]]))
    found = seen(path)
    assert len(found.sessions) == 3 and found.trials[0].session == 3 and len(found.damage) == 1
    assert found.sessions[1]["time"] == found.sessions[1]["last"] == json.loads(lines[7])["time"]


def test_lines_without_checksums_are_those_of_older_code(path: Path):
    """Its ledgers, and its sessions in a newer one; but not single lines of a session that has them."""
    old = [plain(json.loads(line)) for line in path.read_bytes().splitlines()]
    ledger = Ledger(path)
    ledger.append("session", command="c", pid=2)
    ledger.close()
    bare = json.dumps({"event": "step", "time": 1.0, "trial": 0, "row": row(3)}).encode() + b"\n"
    with path.open("ab") as file:
        file.write(bare)
    assert seen(path).damage == ["line 8 (its end is missing)"]
    with path.open("ab") as file:
        file.write(json.dumps(old[0]).encode() + b"\n" + bare)
    found = seen(path)
    assert len(found.damage) == 1 and len(found.sessions) == 3 and found.trials[0].last_step == 3
    path.write_bytes(b"".join(json.dumps(entry).encode() + b"\n" for entry in old))
    assert not seen(path).damage and sorted(seen(path).trials[0].steps) == [0, 1, 2]


def plain(entry: dict[str, Any]) -> dict[str, Any]:
    """A line as older code wrote it."""
    return {name: value for name, value in entry.items() if name not in ("crc", "session", "definition")}


@pytest.mark.parametrize(
    ("index", "change", "said"),
    [
        (0, {"time": "now"}, "its time is missing or wrong"),
        (0, {"time": 1e300}, "its time is none"),
        (1, {"number": True}, "its number is missing or wrong"),
        (1, {"number": 10**30}, "its number is missing or wrong"),
        (1, {"config": None}, "its config is missing or wrong"),
        (1, {"config": {"merge": 3}}, "its configuration is none of this code's"),
        (1, {"config": {"seed": "x"}}, "its configuration is none of this code's"),
        (1, {"labels": [3]}, "its labels or distributions are wrong"),
        (3, {"row": []}, "its row is missing or wrong"),
        (3, {"row": {"total_steps": 3}}, "step in its row is missing or wrong"),
        (3, {"row": row(-1)}, "step in its row is missing or wrong"),
        (3, {"row": row(0, mAP="high")}, "mAP in its row is wrong"),
        (3, {"row": row(0, seconds_train=[1])}, "seconds_train in its row is wrong"),
        (3, {"row": row(0, problems="frames")}, "problems in its row is wrong"),
        (3, {"row": row(0, problems=["frames", 3])}, "problems in its row is wrong"),
        (3, {"row": row(0, mAP=math.nan)}, "not JSON"),
        (3, {"trial": "0"}, "its trial is missing or wrong"),
        (3, {"event": "end"}, "its state is missing or wrong"),
        (3, {"event": "end", "state": "over"}, "its state is none"),
        (3, {"event": "end", "state": "complete", "value": "1"}, "its value is missing or wrong"),
        (3, {"event": "nosuch"}, "no event of a study"),
        (3, {"event": ["step"]}, "no event of a study"),
    ],
)
def test_a_line_of_older_code_that_says_nonsense_is_damaged(path: Path, index: int, change: dict, said: str):
    entries = [plain(json.loads(line)) for line in path.read_bytes().splitlines()]
    entries[index] |= change
    path.write_bytes(b"".join(json.dumps(entry).encode() + b"\n" for entry in entries))
    assert seen(path).damage[:1] == [f"line {index + 1} ({said})"]


def test_nested_lines_and_folders_are_named(path: Path, tmp_path: Path):
    path.write_bytes(b"[" * 200_000 + b"\n" + b'{"event": ' + b"9" * 5000 + b"}\n")
    assert seen(path).damage == ["line 1 (not JSON)", "line 2 (not JSON)"]
    with pytest.raises(StudyError, match="not a file"):
        seen(tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_stands_in_a_line_the_others_count(path: Path, data: st.DataObject):
    """Values of any kind in place of any field, and bytes in place of any others; by old and new code."""
    content = path.read_bytes()
    lines = content.splitlines()
    index = data.draw(st.integers(1, len(lines) - 1))
    try:
        if data.draw(st.booleans()):
            entries = [plain(json.loads(line)) for line in lines]
            part = entries[index]
            while isinstance(part.get(name := data.draw(st.sampled_from(sorted(part)))), dict) and part[name]:
                part = part[name]
            part[name] = data.draw(JSON)
            lines = [json.dumps(entry).encode() for entry in entries]
        else:
            start = data.draw(st.integers(0, len(lines[index]) - 1))
            junk = data.draw(st.binary(min_size=1, max_size=9).filter(lambda b: b"\n" not in b))
            lines[index] = lines[index][:start] + junk + lines[index][start + len(junk) :]
        path.write_bytes(b"\n".join(lines) + b"\n")
        found = seen(path)
        assert len(found.sessions) == 1 and len(found.damage) <= 6
        table = results_table("study", list(found.trials.values()), "last")
        assert len(table) <= 3
        if found.trials and index >= 3:
            assert len(found.trials[0].steps) >= 2
    finally:
        path.write_bytes(content)


def test_a_repeated_step_changes_nothing(path: Path):
    ledger = Ledger(path)
    ledger.append("step", trial=0, row=row(2, mAP=0.9))
    assert ledger.trials[0].curve()[2] == pytest.approx(0.2)
    assert seen(path).trials == ledger.trials


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
        with pytest.raises(OSError, match=rf"No space left .* needed, .* free\): '{path}'"):
            ledger.append("end", trial=0, state="complete")
    assert path.read_bytes() == whole and ledger.trials[0].state == "running"
    ledger.append("end", trial=0, state="complete")
    assert seen(path).trials[0].state == "complete" and not seen(path).damage


def test_a_reader_that_looks_again_reads_what_was_added_and_nothing_twice(path: Path):
    reader, writer = Ledger(path, read_only=True), Ledger(path)
    for attempt in (2, 3):
        writer.append("start", trial=0)
        writer.append("retry", trial=0, reason="its node died")
        assert not reader.refresh() and reader.trials[0].attempts == attempt
    assert reader.trials == writer.trials and not reader.damage
    line = sealed({"event": "note", "time": 1.0, "session": 1, "trial": 0, "text": "whole now"})
    with path.open("ab", buffering=0) as file:
        file.write(line[:20])
        assert reader.refresh()
        file.write(line[20:])
    assert not reader.refresh() and reader.trials[0].notes == ["whole now"] and not reader.damage


def test_a_read_only_ledger_writes_nothing(path: Path):
    path.write_bytes(path.read_bytes() + b'{"half')
    content = path.read_bytes()
    ledger = Ledger(path, read_only=True)
    with pytest.raises(ValueError, match="opened for reading"):
        ledger.append("start", trial=0)
    ledger.close()
    assert path.read_bytes() == content and ledger.trials[0].last_step == 2

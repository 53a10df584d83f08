"""Checkpoints: whole or passed over, the newest two and the chosen ones kept."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from study.record.storage import Storage
from study.worker.checkpoints import (
    Checkpoints,
    SupersededError,
    checkpoint_steps,
    keep_finished,
    load_state,
    save_state,
)

STAMP = {"study": "ours", "configuration": "this"}


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    storage = Storage(str(tmp_path / "trial"))
    checkpoints = begun(storage)
    for step in (1, 2, 3):
        checkpoints.save(step, state(step), {1})
    return storage


def begun(storage: Storage, stamp: dict[str, str] = STAMP) -> Checkpoints:
    """A worker that has taken the trial over."""
    checkpoints = Checkpoints(storage, stamp)
    checkpoints.begin(dict)
    return checkpoints


def newest(
    storage: Storage, stamp: dict[str, str] = STAMP, load: Callable[[dict], dict] = dict
) -> dict | None:
    return Checkpoints(storage, stamp).begin(load)


def state(step: int) -> dict:
    of_training = {name: torch.full((1000,), float(step)) for name in ("memory", "proxies", "untrained_v")}
    return {"step": step, "weights": torch.full((3,), float(step)), "history": [{"mAP": None}], **of_training}


def file(storage: Storage, step: int) -> Path:
    return Path(storage.root) / f"step-{step:03d}.pt"


def test_a_state_comes_back(storage: Storage):
    found = newest(storage)
    assert found is not None and found.keys() == state(3).keys() and found["step"] == 3
    torch.testing.assert_close(found["weights"], torch.full((3,), 3.0))
    assert newest(Storage(storage.root + "/other")) is None


def test_the_newest_two_and_the_chosen_are_kept(storage: Storage):
    assert checkpoint_steps(storage) == [1, 2, 3]
    checkpoints = begun(storage)
    checkpoints.save(4, state(4), {1})
    assert checkpoint_steps(storage) == [1, 3, 4]
    checkpoints.save(5, state(5), {5})
    assert checkpoint_steps(storage) == [4, 5]
    checkpoints.save(6, state(6), ())
    assert checkpoint_steps(storage) == [5, 6]
    for step in (7, 8, 9):
        checkpoints.save(step, state(step), {5, 7} if step < 9 else {6, 7})
    assert checkpoint_steps(storage) == [7, 8, 9]


@pytest.mark.parametrize("damage", ["cut", "empty", "one bit", "not a checkpoint"])
def test_a_damaged_one_is_set_aside_for_the_one_before(
    storage: Storage, damage: str, caplog: pytest.LogCaptureFixture
):
    content = file(storage, 3).read_bytes()
    flipped = content[:100] + bytes([content[100] ^ 1]) + content[101:]
    damaged = {"cut": content[:-9], "empty": b"", "one bit": flipped, "not a checkpoint": b"x" * 50}
    file(storage, 3).write_bytes(damaged[damage])
    with caplog.at_level(logging.WARNING, "dcreid"):
        found = newest(storage)
    assert found is not None and found["step"] == 2
    assert "step-003.pt is damaged and is not used; it is kept as step-003.pt.set-aside" in caplog.text
    assert file(storage, 3).with_suffix(".pt.set-aside").read_bytes() == damaged[damage]
    assert checkpoint_steps(storage) == [1, 2]


def test_all_damaged_is_none(storage: Storage):
    for step in (1, 2, 3):
        file(storage, step).write_bytes(b"")
    assert newest(storage) is None


@pytest.mark.parametrize("other", [{"study": "theirs"}, {"configuration": "that"}])
def test_those_of_another_study_or_configuration_are_set_aside(
    storage: Storage, other: dict, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING, "dcreid"):
        assert newest(storage, STAMP | other) is None
    assert f"step-003.pt is of another {next(iter(other))}" in caplog.text
    assert checkpoint_steps(storage) == []


def test_one_of_older_code_is_taken_for_what_its_place_says(storage: Storage):
    save_state(storage, "step-004.pt", state(4), {})
    found = newest(storage)
    assert found is not None and found["step"] == 4


def test_one_that_does_not_fit_is_set_aside(storage: Storage, caplog: pytest.LogCaptureFixture):
    def fitting(found: dict) -> dict:
        if found["step"] == 3:
            raise ValueError("other tracklets")
        return found

    found = None
    with caplog.at_level(logging.WARNING, "dcreid"), contextlib.suppress(ValueError):
        found = newest(storage, load=fitting)
    assert found is not None and found["step"] == 2
    assert "step-003.pt does not fit (other tracklets)" in caplog.text


def test_a_worker_that_was_cut_off_cannot_overwrite_its_successors_work(storage: Storage):
    cut_off = begun(storage)
    successor = begun(storage)
    assert successor.attempt == cut_off.attempt + 1 == 3
    successor.save(4, state(4), {1})
    content = file(storage, 4).read_bytes()
    with pytest.raises(SupersededError, match="attempt 2 has been replaced by attempt 3"):
        cut_off.save(4, state(40), {4})
    assert file(storage, 4).read_bytes() == content and checkpoint_steps(storage) == [1, 3, 4]
    successor.save(5, state(5), {1})


def test_a_damaged_attempt_is_replaced(storage: Storage):
    (Path(storage.root) / "attempt.json").write_bytes(b"[1")
    begun(storage).save(4, state(4), {1})


def test_steps_made_again_after_damage_do_not_fall_to_later_damaged_ones(storage: Storage):
    file(storage, 3).write_bytes(b"")
    file(storage, 2).write_bytes(b"")
    begun(storage).save(2, state(2), {1})
    found = newest(storage)
    assert found is not None and found["step"] == 2


def test_damaged_ones_of_later_steps_do_not_push_the_new_one_out(storage: Storage):
    checkpoints = begun(storage)
    for step in (4, 5):
        checkpoints.save(step, state(step), {2})
    for step in (4, 5):  # after it has begun: nobody sets them aside
        file(storage, step).write_bytes(b"")
    checkpoints.save(3, state(3), {2})
    assert checkpoint_steps(storage) == [2, 3, 4, 5]
    found = newest(storage)
    assert found is not None and found["step"] == 3 and checkpoint_steps(storage) == [2, 3]


# --- finished trials


def test_a_finished_trial_keeps_the_last_and_the_chosen_without_what_only_training_needs(storage: Storage):
    checkpoints = begun(storage)
    checkpoints.save(4, state(4), {1})
    whole = file(storage, 1).stat().st_size
    checkpoints.finish({1})
    assert checkpoint_steps(storage) == [1, 4]
    for step in (1, 4):
        found = load_state(storage, f"step-{step:03d}.pt", STAMP, storage.pass_over)
        assert found is not None and found["memory"] is found["proxies"] is found["untrained_v"] is None
        torch.testing.assert_close(found["weights"], torch.full((3,), float(step)))
        assert found["history"] == [{"mAP": None}]
    assert file(storage, 1).stat().st_size < whole / 2
    written = file(storage, 1).stat().st_ino
    begun(storage).finish({1})
    assert file(storage, 1).stat().st_ino == written  # what is small already is left alone


def test_a_finished_trials_damaged_checkpoint_stays_as_it_is(storage: Storage, caplog):
    content = file(storage, 1).read_bytes()[:-9]
    file(storage, 1).write_bytes(content)
    keep_finished(storage, STAMP, {1})
    assert file(storage, 1).read_bytes() == content and checkpoint_steps(storage) == [1, 3]
    assert "step-001.pt is damaged and is left out" in caplog.text


def test_checkpoints_of_another_trial_are_not_rewritten(storage: Storage):
    before = file(storage, 3).read_bytes()
    keep_finished(storage, STAMP | {"configuration": "that"}, {3})
    assert file(storage, 3).read_bytes() == before


def test_a_worker_that_was_taken_for_dead_finishes_nothing(storage: Storage):
    cut_off = begun(storage)
    begun(storage)
    with pytest.raises(SupersededError):
        cut_off.finish({1})
    assert checkpoint_steps(storage) == [1, 2, 3]

"""Checkpoints: whole or passed over, the newest two and the best kept."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from study.record.storage import Storage
from study.worker.checkpoints import checkpoint_steps, load_checkpoint, load_newest, save_checkpoint


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    storage = Storage(str(tmp_path / "trial"))
    for step in (1, 2, 3):
        save_checkpoint(storage, step, state(step), best_step=1)
    return storage


def state(step: int) -> dict:
    return {"step": step, "weights": torch.full((3,), float(step)), "history": [{"mAP": None}]}


def file(storage: Storage, step: int) -> Path:
    return Path(storage.root) / f"step-{step:03d}.pt"


def test_a_state_comes_back(storage: Storage):
    found = load_checkpoint(storage, 3)
    assert found is not None and found["step"] == 3
    torch.testing.assert_close(found["weights"], torch.full((3,), 3.0))
    assert load_checkpoint(storage, 9) is None
    assert load_newest(Storage(storage.root + "/other")) is None


def test_the_newest_two_and_the_best_are_kept(storage: Storage):
    assert checkpoint_steps(storage) == [1, 2, 3]
    save_checkpoint(storage, 4, state(4), best_step=1)
    assert checkpoint_steps(storage) == [1, 3, 4]
    save_checkpoint(storage, 5, state(5), best_step=5)
    assert checkpoint_steps(storage) == [4, 5]
    save_checkpoint(storage, 6, state(6), best_step=None)
    assert checkpoint_steps(storage) == [5, 6]


@pytest.mark.parametrize("damage", ["cut", "empty", "one bit", "not a checkpoint"])
def test_a_damaged_one_is_passed_over_for_the_one_before(
    storage: Storage, damage: str, caplog: pytest.LogCaptureFixture
):
    content = file(storage, 3).read_bytes()
    flipped = content[:100] + bytes([content[100] ^ 1]) + content[101:]
    damaged = {"cut": content[:-9], "empty": b"", "one bit": flipped, "not a checkpoint": b"x" * 50}
    file(storage, 3).write_bytes(damaged[damage])
    with caplog.at_level(logging.WARNING, "dcreid"):
        found = load_newest(storage)
    assert found is not None and found["step"] == 2
    assert "step-003.pt is damaged" in caplog.text


def test_all_damaged_is_none(storage: Storage):
    for step in (1, 2, 3):
        file(storage, step).write_bytes(b"")
    assert load_newest(storage) is None


def test_steps_made_again_after_damage_do_not_fall_to_later_damaged_ones(storage: Storage):
    file(storage, 3).write_bytes(b"")
    file(storage, 2).write_bytes(b"")
    save_checkpoint(storage, 2, state(2), best_step=1)
    found = load_newest(storage)
    assert found is not None and found["step"] == 2


def test_damaged_ones_of_later_steps_do_not_push_the_new_one_out(storage: Storage):
    for step in (4, 5):
        save_checkpoint(storage, step, state(step), best_step=2)
    for step in (4, 5):
        file(storage, step).write_bytes(b"")
    save_checkpoint(storage, 3, state(3), best_step=2)
    found = load_newest(storage)
    assert found is not None and found["step"] == 3 and checkpoint_steps(storage) == [2, 3, 4, 5]

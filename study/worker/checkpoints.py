"""Checkpoints of a trial: one file per merge step, checked by SHA-256 when read.

The newest two and the best are kept. A file that was cut or damaged is passed over for the one
before it, with a warning.
"""

from __future__ import annotations

import hashlib
import io
import logging
import pickle
import re
from typing import Any

import torch

from study.record.storage import Storage

_NAME = re.compile(r"step-(\d+)\.pt")
_KEPT = 2
_log = logging.getLogger("dcreid.study")


def save_checkpoint(storage: Storage, step: int, state: dict[str, Any], best_step: int | None) -> None:
    """Writes the state after merge step `step` and drops checkpoints that are neither new nor the best."""
    save_state(storage, f"step-{step:03d}.pt", state)
    # Later ones than this one are from before a crash, and were damaged.
    earlier = [old for old in checkpoint_steps(storage) if old <= step]
    for old in earlier[:-_KEPT]:
        if old != best_step:
            storage.delete(f"step-{old:03d}.pt")


def load_checkpoint(storage: Storage, step: int) -> dict[str, Any] | None:
    """The state after merge step `step`; None where it is missing or damaged (which is logged)."""
    return load_state(storage, f"step-{step:03d}.pt")


def save_state(storage: Storage, name: str, state: dict[str, Any]) -> None:
    """Writes a state of tensors and plain values behind its SHA-256."""
    payload = io.BytesIO()
    torch.save(state, payload)
    content = payload.getvalue()
    storage.write(name, hashlib.sha256(content).digest() + content)


def load_state(storage: Storage, name: str) -> dict[str, Any] | None:
    """What `save_state` wrote; None where it is missing or damaged (which is logged)."""
    content = storage.read(name)
    if content is None:
        return None
    digest, payload = content[:32], content[32:]
    if hashlib.sha256(payload).digest() != digest:
        _log.warning("%s/%s is damaged and passed over", storage.root, name)
        return None
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError) as error:
        _log.warning("%s/%s cannot be read and is passed over (%s)", storage.root, name, error)
        return None
    return state


def load_newest(storage: Storage) -> dict[str, Any] | None:
    """The newest state that is whole; None where there is none."""
    for step in reversed(checkpoint_steps(storage)):
        state = load_checkpoint(storage, step)
        if state is not None:
            return state
    return None


def checkpoint_steps(storage: Storage) -> list[int]:
    """Merge steps with a checkpoint, ascending."""
    matches = (_NAME.fullmatch(name) for name in storage.names())
    return sorted(int(match[1]) for match in matches if match)

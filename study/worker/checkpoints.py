"""Checkpoints of a trial: one file per merge step, checked by SHA-256 when read.

While a trial runs, the newest two are kept, and those of the steps that are chosen: the best, and the one
selected without labels. Of a trial that has finished, the last and the chosen are left, without what only
further training needs (`Algorithm.without_training`). Each says of which study and configuration it is; one
of others, or one that was cut or damaged, is set aside with a warning, and the one before it is taken.
Checkpoints of older code say nothing, and are taken for what their place says.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import re
import secrets
import socket
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import torch

from dcreid.algorithm import Algorithm
from study.record.storage import Storage

_NAME = re.compile(r"step-(\d+)\.pt")
_ATTEMPT = "attempt.json"
_KEPT = 2
_STAMP = "stamp"
Kept = TypeVar("Kept")


class SupersededError(Exception):
    """Another worker has taken the trial over; this one must not write any more."""


class Checkpoints:
    """Those of one trial, for its worker.

    stamp: what each file must say of itself (study and configuration). Every attempt at a trial has a
    number; a worker that was cut off, and taken for dead, finds a newer one and stops.
    """

    attempt = 0

    def __init__(self, storage: Storage, stamp: Mapping[str, Any]):
        self.storage, self.stamp = storage, dict(stamp)
        self._mine: bytes | None = None

    def begin(self, load: Callable[[dict[str, Any]], Kept]) -> Kept | None:
        """Takes the trial over; returns `load` of its newest state, None where there is none.

        A state that is damaged, another's, or refused by `load` with ValueError is set aside. Raises OSError.
        """
        self.attempt = self._last_attempt() + 1
        worker = f"{socket.gethostname()} {os.getpid()} {secrets.token_hex(4)}"
        self._mine = json.dumps({"attempt": self.attempt, "worker": worker}).encode()
        self.storage.write(_ATTEMPT, self._mine)
        return self._newest(load)

    def check_newest(self) -> None:
        """To be called before anything is written. Raises SupersededError, OSError."""
        found = self.storage.read(_ATTEMPT)
        if found != self._mine:
            raise SupersededError(
                f"attempt {self.attempt} has been replaced by attempt {self._last_attempt()}"
            )

    def save(self, step: int, state: dict[str, Any], chosen: Collection[int]) -> None:
        """Writes the state after merge step `step`; drops checkpoints that are neither new nor `chosen`."""
        self.check_newest()
        save_state(self.storage, checkpoint_name(step), state, self.stamp | {"attempt": self.attempt})
        # Later ones than this one are from before a crash, and were damaged.
        earlier = [old for old in checkpoint_steps(self.storage) if old <= step]
        for old in earlier[:-_KEPT]:
            if old not in chosen:
                self.storage.delete(checkpoint_name(old))

    def finish(self, chosen: Collection[int]) -> None:
        """Leaves what a finished trial keeps. Raises SupersededError, OSError."""
        self.check_newest()
        keep_finished(self.storage, self.stamp, chosen)

    def _newest(self, load: Callable[[dict[str, Any]], Kept]) -> Kept | None:
        for step in reversed(checkpoint_steps(self.storage)):
            name = checkpoint_name(step)
            state = load_state(self.storage, name, self.stamp, self.storage.set_aside)
            if state is None:
                continue
            try:
                return load(state)
            except ValueError as error:
                self.storage.set_aside(name, f"does not fit ({error})")
        return None

    def _last_attempt(self) -> int:
        try:
            return int(json.loads(self.storage.read(_ATTEMPT) or b"{}").get("attempt", 0))
        except (ValueError, TypeError, AttributeError):
            return 0


def keep_finished(storage: Storage, stamp: Mapping[str, Any], chosen: Collection[int]) -> None:
    """Leaves of a finished trial's checkpoints the newest and the `chosen`, without what only training needs.

    stamp: what each must say of itself. One that cannot be read stays as it is. Raises OSError.
    """
    steps = checkpoint_steps(storage)
    for step in steps:
        name = checkpoint_name(step)
        if step != steps[-1] and step not in chosen:
            storage.delete(name)
            continue
        state = load_state(storage, name, stamp, storage.pass_over)
        if state is not None and state["memory"] is not None:
            save_state(storage, name, Algorithm.without_training(state), stamp)


def save_state(storage: Storage, name: str, state: dict[str, Any], stamp: Mapping[str, Any]) -> None:
    """Writes a state of tensors and plain values, and what it is of, behind their SHA-256."""
    payload = io.BytesIO()
    torch.save(state | {_STAMP: dict(stamp)}, payload)
    content = payload.getvalue()
    storage.write(name, hashlib.sha256(content).digest() + content)


def load_state(
    storage: Storage, name: str, stamp: Mapping[str, Any], unusable: Callable[[str, str], None]
) -> dict[str, Any] | None:
    """What `save_state` wrote; None where it is missing.

    None also where it is damaged or another's: `unusable` is called with its name and the reason.
    """
    content = storage.read(name)
    if content is None:
        return None
    digest, payload = content[:32], content[32:]
    if hashlib.sha256(payload).digest() != digest:
        unusable(name, "is damaged")
        return None
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except (RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        unusable(name, f"cannot be read ({type(error).__name__})")
        return None
    found = state.pop(_STAMP, {})
    differing = [key for key, value in stamp.items() if found.get(key, value) != value]
    if differing:
        unusable(name, f"is of another {' and '.join(differing)}")
        return None
    return state


def checkpoint_name(step: int) -> str:
    """The file of a merge step's state."""
    return f"step-{step:03d}.pt"


def checkpoint_steps(storage: Storage) -> list[int]:
    """Merge steps with a checkpoint, ascending."""
    matches = (_NAME.fullmatch(name) for name in storage.names())
    return sorted(int(match[1]) for match in matches if match)

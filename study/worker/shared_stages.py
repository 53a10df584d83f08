"""Stages of training that several trials share: computed by the first that comes to them, kept in the
study's storage, taken over by the others.

λ1, λ2 and the other fields of Eq (7) act from the first merge on, so trials that are alike in everything
else train the same first stage. The first merge joins single tracklets, whose dispersion is 0 and
whose sizes are alike: as a rule it comes out the same too, and so does the stage after it. A stage is
named by everything that acts up to it, the labels of the merges made so far included; so stages of
one name are equal, bit for bit on a CPU.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dcreid.algorithm import Algorithm
from study.record.stages import stage_key
from study.record.storage import Storage
from study.source import code_version
from study.worker.checkpoints import load_state, save_state

_log = logging.getLogger("dcreid.study")


class SharedStages:
    """A trial's side: takes a stage over where it lies ready, and leaves its own for others.

    The driver starts trials of one first stage one after the other (`Sharing.blocked`), so nobody
    waits for a file here.
    """

    def __init__(self, root: str, stages: int, algorithm: Algorithm):
        self.storage, self.stages, self.algorithm = Storage(root), stages, algorithm
        self.ranks, kind = algorithm.ranks, algorithm.device.type
        processes = f" {self.ranks.size} processes" if self.ranks.size > 1 else ""  # sum in another order
        self._where = f"{algorithm.data.fingerprint()} {code_version()} {kind}{processes}"

    def train(self) -> None:
        """`Algorithm.train`, or what it would have come to."""
        algorithm = self.algorithm
        if algorithm.steps_done >= self.stages:
            algorithm.train()
            return
        key = stage_key(algorithm.config, algorithm.labels_history, self._where)
        state = self.ranks.on_rank_0(lambda: self._ready(key))
        if state is not None:
            algorithm.adopt(state)
            return
        algorithm.train()
        state = algorithm.shared_state()
        if self.ranks.rank == 0:
            with self._doing_without():
                save_state(self.storage, f"{key}.pt", state, {"stage": key})

    def _ready(self, key: str) -> dict[str, Any] | None:
        with self._doing_without():
            return load_state(self.storage, f"{key}.pt", {"stage": key}, self.storage.set_aside)
        return None

    @contextmanager
    def _doing_without(self) -> Iterator[None]:
        """A disk that refuses harms nobody but the next, who computes it again."""
        try:
            yield
        except OSError as error:
            _log.warning("stages cannot be shared: %s", error)

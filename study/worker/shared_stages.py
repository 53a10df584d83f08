"""Stages of training that several trials share: computed by the first that comes to them, kept in the
study's storage, taken over by the others.

λ1, λ2 and the other fields of Eq (7) act from the first merge on, so trials that agree on everything
else train the same first stage. The first merge joins single tracklets, whose dispersion is 0 and
whose sizes are alike: as a rule it comes out the same too, and so does the stage after it. A stage is
named by everything that acts up to it, the labels of the merges made so far included; so stages of
one name are equal, bit for bit on a CPU.
"""

from __future__ import annotations

import collections
import functools
import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from jaxtyping import Int
from torch import Tensor

from dcreid.algorithm import Algorithm
from dcreid.config import Config
from dcreid.memory import update_rate
from study.plan import StudyPlan, code_version
from study.record.ledger import TrialRecord
from study.record.storage import Storage
from study.worker.checkpoints import load_state, save_state

# Fields that act on merges, which the labels tell, or on what is reported only.
_NO_PART = (
    *("merge.merge_rate", "merge.lambda1", "merge.lambda2", "merge.intra", "merge.distance", "merge.method"),
    *("merge.max_steps", "evaluate.eval_every", "train.leak_audit"),
)
_AS_VALUES = ("train.alpha", "train.alpha_schedule")  # what α is in each stage counts, not how it came
_FROM_STAGE_2 = ("train.later_epochs", "train.later_lr", "train.memory_init")

# Trials that differ in Eq (7) part ways at the second merge.
_SHARED = 2
_log = logging.getLogger("dcreid.study")


def stage_key(config: Config, labels_history: Sequence[Int[Tensor, " n"]] = (), where: str = "") -> str:
    """64 hex digits that name the stage trained after these merges (the first after none).

    where: what else decides the result: data, code, kind of device.
    """
    stage = len(labels_history) + 1
    left_out = _NO_PART + _AS_VALUES + (_FROM_STAGE_2 if stage == 1 else ())
    acting = {name: value for name, value in config.flat().items() if name not in left_out}
    train, rate = config.train, config.merge.merge_rate
    acting["alphas"] = [
        update_rate(train.alpha_schedule, train.alpha, rate, step) for step in range(1, stage + 1)
    ]
    digest = hashlib.sha256(f"{where} {json.dumps(acting, sort_keys=True)}".encode())
    for labels in labels_history:
        digest.update(labels.numpy().tobytes())
    return digest.hexdigest()


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
        name = f"{stage_key(algorithm.config, algorithm.labels_history, self._where)}.pt"
        state = self.ranks.on_rank_0(lambda: self._ready(name))
        if state is not None:
            algorithm.adopt(state)
            return
        algorithm.train()
        state = algorithm.shared_state()
        if self.ranks.rank == 0:
            with self._doing_without():
                save_state(self.storage, name, state)

    def _ready(self, name: str) -> dict[str, Any] | None:
        with self._doing_without():
            return load_state(self.storage, name)
        return None

    @contextmanager
    def _doing_without(self) -> Iterator[None]:
        """A disk that refuses harms nobody but the next, who computes it again."""
        try:
            yield
        except OSError as error:
            _log.warning("stages cannot be shared: %s", error)


class Sharing:
    """The driver's side: which trials share stages, and which wait for another's."""

    def __init__(self, plan: StudyPlan, given: Iterable[Config]):
        self._keys = collections.Counter(_first_stage(json.dumps(config.to_dict())) for config in given)
        self._on, self._samples = plan.share, plan.samples
        searched = () if plan.search_space is None else plan.search_space.fields
        parting = [name for name in searched if name in _NO_PART]
        # A grid meets every value again; values drawn from a range never come twice.
        self._search = bool(parting) and (plan.sampler == "grid" or len(parting) == len(searched))

    def stages(self, config: Config) -> int:
        """Leading stages of a trial that others may have, or want."""
        key = _first_stage(json.dumps(config.to_dict()))
        return _SHARED if self._on and (self._search or self._keys[key] > 1) else 0

    def taken_over(self) -> int:
        """Trials of the whole study that can take stages over from another."""
        if not self._on:
            return 0
        given = sum(count - 1 for count in self._keys.values())
        return given + (self._samples - 1 if self._search else 0)

    def blocked(self, config: Config, running: Iterable[TrialRecord]) -> bool:
        """Whether a trial under way is computing stages that this one would take over."""
        stages = self.stages(config)
        if not stages:
            return False
        key = _first_stage(json.dumps(config.to_dict()))
        return any(
            trial.last_step < stages and _first_stage(json.dumps(trial.config)) == key for trial in running
        )


@functools.lru_cache(maxsize=4096)
def _first_stage(config: str) -> str:
    return stage_key(Config.from_dict(json.loads(config)))


def saved_seconds(trials: Iterable[TrialRecord]) -> tuple[int, float]:
    """(trials that took stages over, trial-seconds that others had spent on them)"""
    saved = [sum(row.get("saved_seconds") or 0.0 for row in trial.steps.values()) for trial in trials]
    return sum(1 for seconds in saved if seconds), sum(saved)

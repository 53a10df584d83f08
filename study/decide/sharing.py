"""Which trials share stages of training, and which wait for another's."""

from __future__ import annotations

import collections
import functools
import json
from collections.abc import Iterable

from dcreid.config import Config
from study.plan import StudyPlan
from study.record.ledger import TrialRecord
from study.record.stages import MERGE_FIELDS, stage_key

# Trials that differ in Eq (7) part ways at the second merge.
_SHARED = 2


class Sharing:
    """The driver's side: which trials share stages, and which wait for another's.

    ready: names of first stages that lie ready with those after them that are shared (see `note`).
    """

    def __init__(self, plan: StudyPlan, given: Iterable[Config], ready: Iterable[str] = ()):
        self.ready = set(ready)
        self._keys = collections.Counter(_first_stage(json.dumps(config.to_dict())) for config in given)
        self._on, self._samples = plan.share, plan.samples
        searched = () if plan.search_space is None else plan.search_space.fields
        parting = [name for name in searched if name in MERGE_FIELDS]
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

    def note(self, trial: TrialRecord) -> None:
        """A trial has recorded a merge step: what it has computed, others need not wait for any more."""
        if trial.last_step >= self.stages(Config.from_dict(trial.config)) > 0:
            self.ready.add(_first_stage(json.dumps(trial.config)))

    def blocked(self, config: Config, running: Iterable[TrialRecord]) -> bool:
        """Whether a trial under way is computing stages that this one would take over."""
        stages = self.stages(config)
        key = _first_stage(json.dumps(config.to_dict()))
        if not stages or key in self.ready:
            return False
        return any(
            trial.last_step < stages and _first_stage(json.dumps(trial.config)) == key for trial in running
        )


@functools.lru_cache(maxsize=4096)
def _first_stage(config: str) -> str:
    return stage_key(Config.from_dict(json.loads(config)))

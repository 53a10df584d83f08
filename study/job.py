"""A trial's job: all that a worker needs to know. To Tune and to other ranks it goes as a dictionary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Job:
    """One trial, to be run from the merge step after `recorded` on."""

    trial: int
    config: dict[str, Any]  # of dcreid.config.Config, nested
    root: str | None  # of the data set
    fingerprint: str  # of the data set
    cache: str  # folder of packed frames
    study: str  # id of the study
    digest: str  # of configuration, data and code, when the trial was made
    storage: str  # folder or URI of the trial's checkpoints
    recorded: int  # newest merge step in the ledger; -1 = none
    stages: str  # folder or URI of the stages that trials share
    shared_stages: int  # leading stages that others may have, or want
    hang_timeout: float  # seconds without a sign of life that the driver allows
    patience: float  # seconds that an outage of the storage is waited for
    cpus: float
    gpus: float
    processes: int
    checkpoint_activations: bool

    @property
    def stamp(self) -> dict[str, str]:
        """What the trial's files say of themselves, so that no other's are taken for them."""
        return {"study": self.study, "configuration": self.digest}

"""Tune's side of a function trainable, made up: what it asks of its session, and what it tells it."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ray import tune


class Cut(Exception):
    """Tune ends the trial."""


class TuneSession:
    """Stands in for the module `ray.tune` where a trainable meets it.

    folder: where checkpoints are kept, copied at once as Tune does it. cut: ends the trial at this report.
    checkpoint: what it is restored from.
    """

    Checkpoint = tune.Checkpoint

    def __init__(self, folder: Path, *, checkpoint: Any = None, cut: int | None = None, **resources: float):
        self.folder, self.checkpoint, self.cut = folder, checkpoint, cut
        self.resources = resources or {"CPU": 1.0}
        self.reports: list[dict[str, Any]] = []
        self.checkpoints: list[tune.Checkpoint] = []

    def report(self, metrics: dict[str, Any], *, checkpoint: tune.Checkpoint | None = None) -> None:
        self.reports.append(metrics)
        if checkpoint is not None:
            place = self.folder / f"checkpoint_{len(self.checkpoints):06d}"
            shutil.copytree(checkpoint.path, place)
            self.checkpoints.append(tune.Checkpoint.from_directory(str(place)))
        if len(self.reports) == self.cut:
            raise Cut

    def get_checkpoint(self) -> tune.Checkpoint | None:
        return self.checkpoint

    def get_context(self) -> Any:
        resources = SimpleNamespace(required_resources=self.resources)
        return SimpleNamespace(get_trial_resources=lambda: resources)

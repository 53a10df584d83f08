"""A trial's network and classes, rebuilt from its checkpoint on the study's data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from analysis.data.folder import ResultsError
from analysis.data.results import Group, Study
from analysis.data.runs import by_score, runs, runs_of, unlabelled
from dcreid.algorithm import Algorithm
from dcreid.config import Config
from dcreid.data import load_dataset
from dcreid.data.store import FrameStore
from dcreid.data.tracklets import TrackletDataset
from dcreid.network.tracklets import l2_normalize
from search_spaces.paper import FINAL
from study.record.ledger import TrialRecord
from study.worker.checkpoints import checkpoint_steps, load_state


@dataclass(frozen=True)
class Rebuilt:
    """An Algorithm as it stood after merge step `step` of a trial."""

    trial: TrialRecord
    step: int
    algorithm: Algorithm

    @property
    def test_store(self) -> FrameStore | None:
        """Frames of the test split, where there is one."""
        return self.algorithm.test_store

    def train_features(self) -> Float[Tensor, "n d"]:
        """v of every training tracklet in the order of the data, as in the merges, on the CPU."""
        algorithm = self.algorithm
        most_frames = algorithm.config.data.eval_frames
        return l2_normalize(algorithm.network.pooled_features(algorithm.store, most_frames=most_frames)).cpu()

    def test_features(self) -> Float[Tensor, "t d"]:
        """v of every test tracklet, as in the evaluation (after the last step of all frames), on the CPU."""
        algorithm = self.algorithm
        assert algorithm.test_store is not None
        most_frames = 0 if self.step >= algorithm.total_steps else algorithm.config.data.eval_frames
        pooled = algorithm.network.pooled_features(algorithm.test_store, most_frames=most_frames)
        return l2_normalize(pooled).cpu()


def rebuild(
    study: Study, number: int | None, data_root: Path | None, cache: Path | None, step: int | None = None
) -> Rebuilt:
    """The network of a trial after merge step `step`.

    number: None takes a run of the final setting, else the best by what the study maximises.
    step: None takes the selected step, else the best one, else the newest that is kept.
    data_root, cache: None = as in the study. Raises ResultsError, and DataError for data that cannot be used.
    """
    trial = choose(study, number)
    data = data_of(study, trial, data_root)
    step, state = _chosen_checkpoint(study, trial, step)
    # The state brings the weights: those it began with need not be here.
    config = Config.from_dict(trial.config).replace(**{"model.weights": "none", "train.compile": False})
    device = "cuda" if torch.cuda.is_available() else "cpu"
    algorithm = Algorithm(config, data, device=device, cache=cache or Path(study.plan.cache))
    algorithm.load_state_dict(state)
    return Rebuilt(trial, step, algorithm)


def data_of(study: Study, trial: TrialRecord, data_root: Path | None) -> TrackletDataset:
    """The data that a trial saw; no frame is read. data_root: None = as in the study.

    Raises ResultsError for other data, and DataError for data that cannot be used.
    """
    if study.plan.root is None and data_root is not None:
        raise ResultsError(f"--data-root {data_root}: {study.folder} used the embedded data; leave it out")
    root = data_root or (None if study.plan.root is None else Path(study.plan.root))
    data = load_dataset(Config.from_dict(trial.config).data, root)
    if data.fingerprint() != study.data["fingerprint"]:
        raise ResultsError(
            f"{root or data.name}: not the data of {study.name} (fingerprint {data.fingerprint()}, "
            f"there {study.data['fingerprint']}); name the right folder with --data-root"
        )
    return data


def choose(study: Study, number: int | None) -> TrialRecord:
    """The trial with this number; else of a plan the final setting's best, of a search its choice.

    By what the study maximises. Raises ResultsError.
    """
    if number is not None:
        named = [trial for trial in study.trials if trial.number == number]
        if not named:
            last = max(trial.number for trial in study.trials)
            raise ResultsError(f"--trial {number}: {study.folder} has trials 0 to {last}")
        return named[0]
    group = Group(study.name, (study,))
    if study.plan.objective == "unlabelled" or unlabelled(group):
        scored = [run.trial for run in by_score(group) if run.trial.state == "complete"]
        if scored:
            return scored[0]
    found = [run for run in runs(group) if not run.diverged and run.trial.origin != "confirm"]
    if not found:
        raise ResultsError(f"{study.folder}: no trial is complete; name one that has a checkpoint: --trial N")
    final = runs_of(found, FINAL) if study.plan.space is None else []
    objective = study.plan.objective
    return max(final or found, key=lambda run: run.trial.objective_value(objective) or 0.0).trial


def by_preference(trial: TrialRecord, steps: Iterable[int]) -> list[int]:
    """Merge steps as they are preferred: the selected one, the best one, then from the last to the first."""
    best, selected = trial.highest_step("mAP"), trial.selected_step
    return sorted(steps, key=lambda step: (step != selected, step != best, -step))


def _chosen_checkpoint(study: Study, trial: TrialRecord, wanted: int | None) -> tuple[int, dict[str, Any]]:
    """(merge step, state) of the wanted step, else of the first by preference that can be read.

    Raises ResultsError.
    """
    storage = study.storage(trial.number)
    kept = checkpoint_steps(storage)
    if wanted is not None and wanted not in kept:
        which = f"checkpoints of merge steps {', '.join(map(str, kept))}" if kept else "no checkpoint"
        raise ResultsError(f"--step {wanted}: trial {trial.number} has kept {which}")
    for step in by_preference(trial, kept if wanted is None else [wanted]):
        state = load_state(storage, f"step-{step:03d}.pt", study.stamp(trial), storage.pass_over)
        if state is not None:
            return step, state
    raise ResultsError(
        f"{storage.root}: no checkpoint of trial {trial.number} that can be read; copy the study's "
        "trials/ too, or name another --trial"
    )

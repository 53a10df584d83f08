"""A study of one real trial, a few merge steps on drawn people, with all that a finished trial keeps."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from tiny_runs import tiny

from dcreid.algorithm import Algorithm
from dcreid.config import Config
from dcreid.data import load_dataset
from dcreid.data.tracklets import TrackletDataset
from study.plan import StudyPlan
from study.record.folder import describe, write_description
from study.record.ledger import Ledger
from study.record.storage import Storage
from study.record.trial_tables import save_classes, save_joins, save_queries
from study.worker.checkpoints import save_state


def without_labels(data: TrackletDataset) -> TrackletDataset:
    """The same people, of whom nobody knows who they are."""
    nobody = np.array([], dtype=np.int64)
    train = dataclasses.replace(data.train, identities=None)
    return dataclasses.replace(data, train=train, test=None, query=nobody, gallery=nobody)


def trained_study(folder: Path, *, labelled: bool = True, **changes: object) -> Path:
    """Makes the study `folder`. changes: of the configuration; labelled: whether anybody knows who is who."""
    config = tiny(**{"merge.max_steps": 3, "train.first_epochs": 1} | changes)
    data = load_dataset(config.data, None)
    data = data if labelled else without_labels(data)
    plan = _plan(folder, config)
    folder.mkdir(parents=True)
    write_description(folder, describe(plan, data, "python study/run.py"))
    ledger = Ledger(folder / "ledger.jsonl")
    ledger.append(
        "trial", number=0, config=config.to_dict(), digest=config.digest(), origin="paper",
        labels=[], params={}, distributions={},
    )  # fmt: skip
    ledger.append("start", trial=0)
    algorithm, storage = Algorithm(config, data), Storage(str(folder / "trials" / "0000"))
    stamp = {"configuration": config.digest()}
    for step in algorithm:
        row = dataclasses.asdict(step) | {"unlabelled": 0.1 * step.step, "total_steps": algorithm.total_steps}
        ledger.append("step", trial=0, row={name: value for name, value in row.items() if value is not None})
        state = Algorithm.without_training(algorithm.state_dict())
        save_state(storage, f"step-{step.step:03d}.pt", state, stamp)
    save_joins(storage, algorithm.joins, stamp)
    save_classes(storage, algorithm, stamp)
    if labelled:
        save_queries(storage, algorithm.queries, data, stamp)
    ledger.append("end", trial=0, state="complete", reason=None, value=0.5)
    ledger.close()
    return folder


def _plan(folder: Path, config: Config) -> StudyPlan:
    return StudyPlan(
        name=folder.name, base=config.to_dict(), root=None, space=None, experiments=None, samples=1, seeds=1,
        objective="last", sampler="tpe", pruner="none", grace=0, cpus_per_trial=1.0, gpus_per_trial=None,
        concurrency=None, time_budget=None, address=None, studies=str(folder.parent), storage=None,
        cache=str(folder.parent / "cache"), max_failures=3,
    )  # fmt: skip

"""The rows of a trial, one after every merge step: what any trainable reports. No Ray is needed.

A trial continues from its newest checkpoint whoever starts it: Tune after a failure, or another
session of the study. Steps that stand in the checkpoint but were never recorded by the driver (it
died in between) are reported from there.
"""

from __future__ import annotations

import dataclasses
import logging
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dcreid.algorithm import Algorithm, MergeStep
from dcreid.config import Config
from dcreid.data import load_dataset
from dcreid.data.tracklets import DataError, TrackletDataset
from dcreid.evaluation.partitions import partition_name
from dcreid.evaluation.retrieval import RetrievalMetrics
from dcreid.evaluation.unlabelled import combined
from dcreid.parallel import ONE_PROCESS, Ranks
from study.errors import NodeError
from study.job import Job
from study.record.patience import Patience, PatientStorage
from study.record.trial_tables import save_classes, save_joins, save_queries
from study.worker.checkpoints import Checkpoints
from study.worker.cuda import device_of
from study.worker.shared_stages import SharedStages

_log = logging.getLogger("dcreid.study")


def trial_rows(
    job: Job,
    on_epoch: Callable[[int, int, int], None] | None = None,
    ranks: Ranks = ONE_PROCESS,
    patience: Patience | None = None,
) -> Iterator[dict[str, Any]]:
    """Rows of the trial that the driver has not recorded: step 0 is the untrained network.

    Of several ranks the first reads and writes the trial's storage. patience: with that and the data; None =
    as long as the job says, and in silence.
    """
    config = Config.from_dict(job.config)
    patience = patience or Patience(job.patience)
    storage = PatientStorage(job.storage, patience)
    if ranks.rank == 0:
        storage.clean()
    if job.cpus:
        torch.set_num_threads(max(1, int(job.cpus / ranks.size)))
    data, device = patience(lambda: _load_data(config, job)), device_of(job, ranks.rank)
    algorithm = _algorithm(
        config,
        data,
        device=device,
        cache=Path(job.cache),
        on_epoch=on_epoch,
        checkpoint_activations=job.checkpoint_activations,
        ranks=ranks,
    )
    checkpoints = Checkpoints(storage, job.stamp)
    state = ranks.on_rank_0(lambda: checkpoints.begin(algorithm.fitting))
    if state is not None:
        algorithm.load_state_dict(state)
    recorded = job.recorded
    untrained = algorithm.untrained()  # anew where a trial was cut before its first checkpoint
    if recorded < 0:
        if ranks.rank == 0:
            save_queries(storage, algorithm.queries, data, job.stamp)
        yield _untrained_row(untrained, algorithm)
    for step in algorithm.history[max(0, recorded) :]:
        yield _row(step, algorithm)
    shared = SharedStages(job.stages, job.shared_stages, algorithm)
    while not algorithm.finished:
        shared.train()
        step = algorithm.merge()
        if ranks.rank == 0:
            _log.info("write merge step %d", step.step)
            checkpoints.check_newest()
            # Before the checkpoint, which a cut trial goes on from.
            save_joins(storage, algorithm.joins, job.stamp)
            save_classes(storage, algorithm, job.stamp)
            save_queries(storage, algorithm.queries, data, job.stamp)
            checkpoints.save(step.step, algorithm.state_dict(), _chosen_steps(algorithm.history))
        if step.step > recorded:
            yield _row(step, algorithm)


def _load_data(config: Config, job: Job) -> TrackletDataset:
    """The study's data set. Raises NodeError, so that the trial is tried again, perhaps elsewhere."""
    try:
        data = load_dataset(config.data, None if job.root is None else Path(job.root))
    except DataError as error:
        raise NodeError(f"{platform.node()} cannot read the data: {error}") from error
    found = data.fingerprint()
    if found != job.fingerprint:
        raise NodeError(
            f"{platform.node()} has other data: fingerprint {found}, the study's is {job.fingerprint}"
        )
    return data


def _algorithm(config: Config, data: TrackletDataset, **options: Any) -> Algorithm:
    """Algorithm 1, its frames packed. Raises NodeError: they cannot be read here, or there is no room."""
    try:
        return Algorithm(config, data, **options)
    except DataError as error:
        raise NodeError(f"{platform.node()}: {error}") from error


def _row(step: MergeStep, algorithm: Algorithm) -> dict[str, Any]:
    return {
        **dataclasses.asdict(step),
        "total_steps": algorithm.total_steps,
    }


def _untrained_row(metrics: RetrievalMetrics | None, algorithm: Algorithm) -> dict[str, Any]:
    measured = {} if metrics is None else dataclasses.asdict(metrics)
    scores = dataclasses.asdict(algorithm.untrained_scores)
    return {
        "step": 0,
        **measured,
        **scores,
        "unlabelled": combined(scores),
        "classes_after": len(algorithm.store),
        "labels_after": partition_name(np.arange(len(algorithm.store))),
        "total_steps": algorithm.total_steps,
        "problems": list(algorithm.problems),
    }


def _chosen_steps(history: list[MergeStep]) -> set[int]:
    """The steps with the highest mAP and the highest score without labels so far, the first of equals."""
    chosen = set()
    for metric in ("mAP", "unlabelled"):
        values = {step.step: getattr(step, metric) for step in history if getattr(step, metric) is not None}
        if values:
            chosen.add(max(values, key=lambda step: (values[step], -step)))
    return chosen

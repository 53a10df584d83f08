"""The rows of a trial of a study, one after every merge step. No Ray is needed.

A trial continues from its newest checkpoint whoever starts it: Tune after a failure, or another
session of the study. Steps that stand in the checkpoint but were never recorded by the driver (it
died in between) are reported from there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from dcreid.algorithm import Algorithm, MergeStep
from dcreid.config import Config
from dcreid.parallel import ONE_PROCESS, Ranks
from study.job import Job
from study.record.patience import Patience, PatientStorage
from study.record.trial_tables import save_classes, save_joins, save_queries
from study.worker.algorithm_rows import algorithm_rows, load_same_data, make_algorithm
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
    data = patience(lambda: load_same_data(config, job.root, job.fingerprint))
    algorithm = make_algorithm(
        config,
        data,
        device=device_of(job, ranks.rank),
        cache=Path(job.cache),
        on_epoch=on_epoch,
        checkpoint_activations=job.checkpoint_activations,
        ranks=ranks,
    )
    checkpoints = Checkpoints(storage, job.stamp)
    state = ranks.on_rank_0(lambda: checkpoints.begin(lambda state: _fitting(algorithm, state, job.recorded)))
    if state is not None:
        algorithm.load_state_dict(state)

    def keep(step: int) -> None:
        if step == 0:
            save_queries(storage, algorithm.queries, data, job.stamp)
            return
        _log.info("write merge step %d", step)
        checkpoints.check_newest()
        # Before the checkpoint, which a cut trial goes on from.
        save_joins(storage, algorithm.joins, job.stamp)
        save_classes(storage, algorithm, job.stamp)
        save_queries(storage, algorithm.queries, data, job.stamp)
        chosen = _chosen_steps(algorithm.history)
        checkpoints.save(step, algorithm.state_dict(), chosen)
        if algorithm.finished:
            checkpoints.finish(chosen)

    shared = SharedStages(job.stages, job.shared_stages, algorithm)
    yield from algorithm_rows(
        algorithm, job.recorded, train=shared.train, keep=keep if ranks.rank == 0 else None
    )


def _fitting(algorithm: Algorithm, state: dict[str, Any], recorded: int) -> dict[str, Any]:
    """The state of a trial, if it can be taken up. Raises ValueError otherwise.

    What a finished trial has kept is taken for the rows in it that the driver has lost, and not to train on.
    """
    done = len(algorithm.fitting(state)["history"])
    if state["memory"] is None and 0 < done <= min(recorded, algorithm.total_steps - 1):
        raise ValueError("it was kept without its memory")
    return state


def _chosen_steps(history: list[MergeStep]) -> set[int]:
    """The steps with the highest mAP and the highest score without labels so far, the first of equals."""
    chosen = set()
    for metric in ("mAP", "unlabelled"):
        values = {step.step: getattr(step, metric) for step in history if getattr(step, metric) is not None}
        if values:
            chosen.add(max(values, key=lambda step: (values[step], -step)))
    return chosen

"""Rows of a run, merge step by merge step: the generator under every trainable, which adds where its
checkpoints go and whom it reports to, and trains nothing itself.
"""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dcreid.algorithm import Algorithm, MergeStep
from dcreid.config import Config
from dcreid.data import load_dataset
from dcreid.data.tracklets import DataError, TrackletDataset
from dcreid.evaluation.partitions import partition_name
from dcreid.evaluation.retrieval import RetrievalMetrics
from dcreid.evaluation.unlabelled import combined
from study.errors import NodeError


def load_same_data(config: Config, root: str | None, fingerprint: str) -> TrackletDataset:
    """The data set that has this fingerprint. Raises NodeError: a trial may be tried again elsewhere."""
    try:
        data = load_dataset(config.data, None if root is None else Path(root))
    except DataError as error:
        raise NodeError(f"{platform.node()} cannot read the data: {error}") from error
    found = data.fingerprint()
    if found != fingerprint:
        raise NodeError(
            f"{platform.node()} has other data: fingerprint {found}, the study's is {fingerprint}"
        )
    return data


def make_algorithm(config: Config, data: TrackletDataset, **options: Any) -> Algorithm:
    """Algorithm 1, its frames packed. Raises NodeError: they cannot be read here, or there is no room."""
    try:
        return Algorithm(config, data, **options)
    except DataError as error:
        raise NodeError(f"{platform.node()}: {error}") from error


def algorithm_rows(
    algorithm: Algorithm,
    recorded: int = -1,
    *,
    train: Callable[[], None] | None = None,
    keep: Callable[[int], None] | None = None,
) -> Iterator[dict[str, Any]]:
    """Runs to the end; the rows of the steps after `recorded`, of which 0 is the untrained network.

    Steps that the algorithm's state brought along come first. train: in place of `Algorithm.train`.
    keep: called with every step that is made, and with 0, before its row is given out.
    """
    untrained = algorithm.untrained()  # anew where a trial was cut before its first checkpoint
    if recorded < 0:
        if keep:
            keep(0)
        yield _untrained_row(untrained, algorithm)
    for step in algorithm.history[max(0, recorded) :]:
        yield _row(step, algorithm)
    while not algorithm.finished:
        (train or algorithm.train)()
        step = algorithm.merge()
        if keep:
            keep(step.step)
        if step.step > recorded:
            yield _row(step, algorithm)


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

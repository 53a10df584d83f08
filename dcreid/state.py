"""The state of an Algorithm: what a cut run goes on from, and the stage that another run may take over."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from dcreid.evaluation.joins import Joins
from dcreid.evaluation.retrieval import QueryResults, RetrievalMetrics
from dcreid.steps import MergeStep, TrainedStage
from dcreid.training import StageResult

if TYPE_CHECKING:
    from dcreid.algorithm import Algorithm

_VERSION = 2


def whole_state(run: Algorithm) -> dict[str, Any]:
    """See `Algorithm.state_dict`."""
    stage = run.stage
    return {
        "version": _VERSION,
        "config": run.config.to_dict(),
        "order": torch.from_numpy(run.order),
        **_network(run),
        "memory": None if run.memory is None else run.memory.rows.cpu().clone(),
        "labels": run.labels.clone(),
        "labels_history": [labels.clone() for labels in run.labels_history],
        "joins": [dataclasses.asdict(joins) for joins in run.joins],
        "history": [dataclasses.asdict(step) for step in run.history],
        "untrained": None if run.before_training is None else dataclasses.asdict(run.before_training),
        "queries": {step: dataclasses.asdict(found) for step, found in run.queries.items()},
        "stage": None if stage is None else dataclasses.asdict(stage.result),
        "stage_seconds": 0.0 if stage is None else stage.seconds["train"],
        "stage_saved_seconds": 0.0 if stage is None else stage.saved_seconds,
    }


def restore(run: Algorithm, state: dict[str, Any]) -> None:
    """See `Algorithm.load_state_dict`."""
    _check_version(state)
    if not np.array_equal(state["order"].numpy(), run.order):
        raise ValueError("the state belongs to other training tracklets, or to another seed")
    _load_network(run, state)
    run.labels = state["labels"].clone()
    run.labels_history = [labels.clone() for labels in state["labels_history"]]
    run.joins = [Joins(**joins) for joins in state["joins"]]
    run.history = [MergeStep(**step) for step in state["history"]]
    run.memory = None if state["memory"] is None else run.new_memory(state["memory"])
    run.before_training = None if state["untrained"] is None else RetrievalMetrics(**state["untrained"])
    # States from before this was kept have none.
    run.queries = {step: QueryResults(**found) for step, found in state.get("queries", {}).items()}
    run.stage = None
    if state["stage"] is not None:
        seconds = {"train": state["stage_seconds"], "features": 0.0, "evaluate": 0.0}
        run.stage = TrainedStage(StageResult(**state["stage"]), seconds, state["stage_saved_seconds"])


def stage_state(run: Algorithm) -> dict[str, Any]:
    """See `Algorithm.shared_state`."""
    stage = run.stage
    assert stage is not None and stage.pooled is not None and run.memory is not None
    return {
        "version": _VERSION,
        **_network(run),
        "memory": run.memory.rows.cpu().clone(),
        "stage": dataclasses.asdict(stage.result),
        "pooled": stage.pooled.cpu(),
        "retrieval": None if stage.retrieval is None else dataclasses.asdict(stage.retrieval),
        "retrieval_of": stage.retrieval_of,
        "seconds": dict(stage.seconds),
    }


def adopt_stage(run: Algorithm, state: dict[str, Any], wanted: tuple[str, int] | None) -> None:
    """See `Algorithm.adopt`. wanted: the retrieval that is due; another's is measured anew."""
    _check_version(state)
    _load_network(run, state)
    run.memory = run.new_memory(state["memory"])
    spent = state["seconds"]
    stage = TrainedStage(
        StageResult(**state["stage"]),
        {"train": 0.0, "features": 0.0, "evaluate": 0.0},
        saved_seconds=spent["train"] + spent["features"],
        pooled=state["pooled"].to(run.device),
    )
    of = state["retrieval_of"]
    if of is not None and tuple(of) == wanted:
        stage.retrieval_of = tuple(of)
        stage.retrieval = None if state["retrieval"] is None else QueryResults(**state["retrieval"])
        stage.saved_seconds += spent["evaluate"]
    run.stage = stage


def _check_version(state: dict[str, Any]) -> None:
    if state.get("version") != _VERSION:
        raise ValueError(f"state of version {state.get('version')}: expected {_VERSION}")


def _network(run: Algorithm) -> dict[str, Any]:
    return {
        "backbone": _to_cpu(run.backbone.state_dict()),
        "head": None if run.head is None else _to_cpu(run.head.state_dict()),
    }


def _load_network(run: Algorithm, state: dict[str, Any]) -> None:
    run.backbone.load_state_dict(state["backbone"])
    if run.head is not None:
        run.head.load_state_dict(state["head"])


def _to_cpu(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in state.items()}

"""Algorithm 1: train, merge m classes, evaluate, and again, until no more than m classes are left.

    algorithm = Algorithm(config, dataset)
    for step in algorithm:            # one MergeStep per merge
        print(step.step, step.classes_after, step.mAP)

A run can be cut after any merge step, or between a stage's training and its merge:
`load_state_dict(state_dict())` in a new Algorithm continues it exactly. Everything random is drawn
from (seed, stage), so the state needs no generator; optimiser momentum starts anew in every stage.

Differs from the public code of this family: the training tracklets are permuted by seed, memory
rows are made from the members of the new classes, and identities reach nothing but the reports.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dcreid.backbone import EmbeddingHead, build_backbone
from dcreid.config import Config, MergeConfig
from dcreid.data.store import FrameStore, open_store
from dcreid.data.tracklets import TrackletDataset
from dcreid.dispersion import cross_distances, pairwise_distances
from dcreid.features import pooled_features, unit
from dcreid.memory import FeatureMemory, class_means, update_rate
from dcreid.merging import merge, merge_cost, merge_exact
from dcreid.metrics import ClusteringQuality, RetrievalMetrics, clustering_quality, evaluate
from dcreid.training import StageResult, generator, torch_seed, train_stage

_STATE_VERSION = 1


@dataclass(frozen=True)
class MergeStep:
    """One merge step. Metrics are fractions; None where the data has no labels or it was not evaluated."""

    step: int  # 1, 2, …
    classes_before: int
    classes_after: int
    alpha: float  # α of the stage's memory updates
    lr: float  # learning rate of new layers in the stage's last epoch
    loss: float  # mean of Eq (2) over the stage's last epoch; nan without training
    mAP: float | None
    mAP_trapezoid: float | None
    rank1: float | None
    rank5: float | None
    rank10: float | None
    rank20: float | None
    queries: int | None
    queries_skipped: int | None  # queries with no match in the gallery, not counted
    class_size_max: int
    class_size_median: float
    purity: float | None
    nmi: float | None
    ari: float | None
    pairwise_f: float | None
    seconds_train: float
    seconds_features: float
    seconds_merge: float
    seconds_evaluate: float
    frames_per_second: float  # training frames per second of the stage
    gpu_memory_bytes: int | None  # peak of the step; None without CUDA


class Algorithm:
    """A run of Algorithm 1 on one device.

    data is read through the frame store in `cache` (None: frames are kept in memory). Identities of
    the data, where there are any, serve `MergeStep`'s measures only.
    """

    def __init__(
        self,
        config: Config,
        data: TrackletDataset,
        *,
        device: str | torch.device = "cpu",
        cache: Path | None = None,
        on_epoch: Callable[[int, int, int], None] | None = None,
    ):
        self.config, self.data, self.device = config, data, torch.device(device)
        self._on_epoch = on_epoch
        _set_precision(config.train.precision, self.device)
        self.order = _order(config, len(data.train))  # row i of everything below is train[order[i]]
        size = config.data.height, config.data.width
        self.store = open_store(data.train, *size, cache)
        self.test_store = None if data.test is None else open_store(data.test, *size, cache)
        self.problems = self.store.problems + (self.test_store.problems if self.test_store else ())
        self._build_network()
        n = len(self.store)
        self.m = joins_per_step(n, config.merge.merge_rate)
        self.labels: Int[Tensor, " n"] = torch.arange(n)
        self.memory: FeatureMemory | None = None
        self.history: list[MergeStep] = []
        self.labels_history: list[Int[Tensor, " n"]] = []
        self._untrained: RetrievalMetrics | None = None
        self._stage: StageResult | None = None  # of the stage trained but not yet merged
        self._stage_seconds = 0.0

    # --- the loop

    def __iter__(self) -> Iterator[MergeStep]:
        while not self.finished:
            yield self.step()

    @property
    def n_classes(self) -> int:
        """C"""
        return int(self.labels.max()) + 1

    @property
    def steps_done(self) -> int:
        """Merge steps made so far."""
        return len(self.history)

    @property
    def total_steps(self) -> int:
        """Merge steps of the whole run: trained and merged while C > m, at most `max_steps`."""
        return merge_steps(len(self.store), self.config.merge)

    @property
    def finished(self) -> bool:
        """Whether the last merge has been made."""
        return self.steps_done >= self.total_steps

    def step(self) -> MergeStep:
        """Trains a stage (unless that was done) and merges. Raises DivergedError."""
        if self.finished:
            raise RuntimeError("all merge steps have been made")
        self.train()
        return self.merge()

    def train(self) -> None:
        """Lines 3 and 6: the stage before the next merge. λ1, λ2 and the like have no say in the first."""
        if self._stage is not None:
            return
        config, stage = self.config, self.steps_done + 1
        self._reset_peak_memory()
        started = self._clock()
        if self.memory is None:
            self._fill_memory(self._pooled())
        assert self.memory is not None
        alpha = update_rate(
            config.train.alpha_schedule, config.train.alpha, config.merge.merge_rate, step=stage
        )
        self._stage = train_stage(
            self._network,
            self.backbone,
            self.head,
            self.memory,
            self.labels,
            self.store.reordered(self.order),
            config,
            stage=stage,
            alpha=alpha,
            device=self.device,
            on_epoch=self._on_epoch,
        )
        self._stage_seconds = self._clock() - started

    def merge(self) -> MergeStep:
        """Lines 4, 5, 7 and 8: merges m classes of the trained stage, renews the memory, evaluates."""
        assert self._stage is not None
        seconds: dict[str, float] = {}
        before = self.n_classes
        with self._timed(seconds, "features"):
            pooled = self._pooled()
        with self._timed(seconds, "merge"):
            self.labels = self._merged(unit(pooled))
            self.labels_history.append(self.labels.to(torch.int32))
            self._fill_memory(pooled)
        last = self.steps_done + 1 >= self.total_steps
        with self._timed(seconds, "evaluate"):
            due = last or (self.steps_done + 1) % self.config.evaluate.eval_every == 0
            retrieval = self._retrieval(all_frames=last) if due else None
        made = self._record(before, self._stage, retrieval, self._clustering(), seconds)
        self.history.append(made)
        self._stage = None
        return made

    def untrained(self) -> RetrievalMetrics | None:
        """Retrieval of the network as it stood before any training (None without labels).

        Measured at the first call, which must come before the first stage, and kept in the state.
        """
        if self._untrained is None and self.steps_done == 0 and self._stage is None:
            self._untrained = self._retrieval(all_frames=False)
        return self._untrained

    # --- the state

    def state_dict(self) -> dict[str, Any]:
        """All that a cut run needs: tensors on the CPU and plain values, safe for `weights_only` loading."""
        stage = None if self._stage is None else dataclasses.asdict(self._stage)
        return {
            "version": _STATE_VERSION,
            "config": self.config.to_dict(),
            "order": torch.from_numpy(self.order),
            "backbone": _to_cpu(self.backbone.state_dict()),
            "head": None if self.head is None else _to_cpu(self.head.state_dict()),
            "memory": None if self.memory is None else self.memory.rows.cpu().clone(),
            "labels": self.labels.clone(),
            "labels_history": [labels.clone() for labels in self.labels_history],
            "history": [dataclasses.asdict(step) for step in self.history],
            "untrained": None if self._untrained is None else dataclasses.asdict(self._untrained),
            "stage": stage,
            "stage_seconds": self._stage_seconds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from `state_dict()` of a run on the same data. Raises ValueError if it does not fit."""
        if state.get("version") != _STATE_VERSION:
            raise ValueError(f"state of version {state.get('version')}: expected {_STATE_VERSION}")
        if not np.array_equal(state["order"].numpy(), self.order):
            raise ValueError("the state belongs to other training tracklets, or to another seed")
        self.backbone.load_state_dict(state["backbone"])
        if self.head is not None:
            self.head.load_state_dict(state["head"])
        self.labels = state["labels"].clone()
        self.labels_history = [labels.clone() for labels in state["labels_history"]]
        self.history = [MergeStep(**step) for step in state["history"]]
        self.memory = None if state["memory"] is None else self._new_memory(state["memory"])
        self._untrained = None if state["untrained"] is None else RetrievalMetrics(**state["untrained"])
        self._stage = None if state["stage"] is None else StageResult(**state["stage"])
        self._stage_seconds = state["stage_seconds"]

    # --- the parts of a step

    def _build_network(self) -> None:
        model, data, train = self.config.model, self.config.data, self.config.train
        with torch_seed(generator(self.config.seed, "network")):
            self.backbone = build_backbone(
                model.backbone,
                model.weights,
                frozen_stages=model.frozen_stages,
                height=data.height,
                width=data.width,
            )
            embedding = model.head == "embedding"
            head = EmbeddingHead(self.backbone.dim, model.embedding_dim, model.dropout) if embedding else None
        layout = torch.channels_last if train.channels_last else torch.contiguous_format
        self.backbone.to(device=self.device, memory_format=layout)  # type: ignore[call-overload]
        self.head = None if head is None else head.to(self.device)
        self._network = torch.compile(self.backbone) if train.compile else self.backbone

    def _pooled(self) -> Float[Tensor, "n d"]:
        # Read in the order on disk, then permuted.
        features = self._features_of(self.store, self.config.data.eval_frames)
        return features[torch.from_numpy(self.order).to(self.device)]

    def _features_of(self, store: FrameStore, most_frames: int) -> Float[Tensor, "n d"]:
        train = self.config.train
        return pooled_features(
            self.backbone,
            store,
            self.device,
            most_frames=most_frames,
            precision=train.precision,
            channels_last=train.channels_last,
        )

    def _merged(self, v: Float[Tensor, "n d"]) -> Int[Tensor, " n"]:
        merging = self.config.merge
        distances = pairwise_distances(v, squared=merging.distance == "squared")
        weights = merging.lambda1, merging.lambda2, merging.intra
        labels = self.labels.to(self.device)
        if merging.method == "exact":
            return merge_exact(distances, labels, self.m, *weights).cpu()
        return merge(labels, merge_cost(distances, labels, *weights), self.m).cpu()

    @torch.no_grad()
    def _fill_memory(self, pooled: Float[Tensor, "n d"]) -> None:
        """Line 6: rows for the classes as they now are (see `TrainConfig.memory_init`)."""
        kind = self.config.train.memory_init
        if kind == "previous_rows" and self.memory is not None:
            self.memory = self._new_memory(self.memory.rows[: self.n_classes])
            return
        embedded = pooled
        if self.head is not None:
            self.head.eval()
            embedded = self.head(pooled)
        rows = class_means(unit(embedded), self.labels.to(self.device), self.n_classes)
        self.memory = self._new_memory(torch.zeros_like(rows) if kind == "zeros" else rows)

    def _new_memory(self, rows: Float[Tensor, "c d"]) -> FeatureMemory:
        return FeatureMemory(rows, self.config.train.temperature).to(self.device)

    def _retrieval(self, *, all_frames: bool) -> RetrievalMetrics | None:
        """Line 8, on the gallery that `TrackletDataset.protocol` names; the last value takes every frame."""
        test = self.data.test
        if test is None or test.identities is None or self.test_store is None or not len(self.data.query):
            return None
        most = 0 if all_frames else self.config.data.eval_frames
        v = unit(self._features_of(self.test_store, most))
        query, gallery = self.data.query, self.data.gallery
        self.test_features: Float[Tensor, "t d"] = v
        return evaluate(
            cross_distances(v[torch.from_numpy(query)], v[torch.from_numpy(gallery)]),
            test.identities[query],
            test.identities[gallery],
            test.cameras[query],
            test.cameras[gallery],
        )

    def _clustering(self) -> ClusteringQuality | None:
        identities = self.data.train.identities
        return None if identities is None else clustering_quality(self.labels, identities[self.order])

    def _record(
        self,
        before: int,
        stage: StageResult,
        retrieval: RetrievalMetrics | None,
        clustering: ClusteringQuality | None,
        seconds: dict[str, float],
    ) -> MergeStep:
        sizes = torch.bincount(self.labels).tolist()
        measured = {} if retrieval is None else dataclasses.asdict(retrieval)
        quality = {} if clustering is None else dataclasses.asdict(clustering)
        optional = [field.name for field in dataclasses.fields(MergeStep) if "None" in str(field.type)]
        values: dict[str, Any] = dict.fromkeys(optional) | measured | quality
        if self.device.type == "cuda":
            values["gpu_memory_bytes"] = torch.cuda.max_memory_allocated(self.device)
        values |= {f"seconds_{part}": spent for part, spent in seconds.items()}
        return MergeStep(
            step=self.steps_done + 1,
            classes_before=before,
            classes_after=len(sizes),
            alpha=stage.alpha,
            lr=stage.lr,
            loss=stage.loss,
            class_size_max=max(sizes),
            class_size_median=float(statistics.median(sizes)),
            seconds_train=self._stage_seconds,
            frames_per_second=stage.frames / self._stage_seconds if self._stage_seconds else 0.0,
            **values,
        )

    # --- clocks and memory

    def _clock(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    @contextmanager
    def _timed(self, seconds: dict[str, float], part: str) -> Iterator[None]:
        started = self._clock()
        yield
        seconds[part] = self._clock() - started

    def _reset_peak_memory(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)


def joins_per_step(n: int, merge_rate: float) -> int:
    """m = ⌊N · pm⌋, at least 1; the small number keeps 100 · 0.29 from being 28.999…"""
    return max(1, math.floor(n * merge_rate + 1e-9))


def merge_steps(n: int, merging: MergeConfig) -> int:
    """Merge steps of a run on n tracklets: one while C > m, at most `max_steps`."""
    steps = max(0, math.ceil(n / joins_per_step(n, merging.merge_rate)) - 1)
    return min(steps, merging.max_steps) if merging.max_steps else steps


def _order(config: Config, n: int) -> Int[np.ndarray, " n"]:
    if not config.data.shuffle_tracklets:
        return np.arange(n, dtype=np.int64)
    return generator(config.seed, "order").permutation(n).astype(np.int64)


def _set_precision(precision: str, device: torch.device) -> None:
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        torch.backends.cudnn.allow_tf32 = precision == "tf32"


def _to_cpu(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in state.items()}

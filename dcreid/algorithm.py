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

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dcreid import state
from dcreid.clustering import merge_labels
from dcreid.clustering.distances import cross_distances
from dcreid.config import Config, ConfigError
from dcreid.data.store import FrameStore, open_store
from dcreid.data.tracklets import TrackletDataset
from dcreid.evaluation.joins import JoinRecorder, Joins
from dcreid.evaluation.partitions import Partition
from dcreid.evaluation.retrieval import QueryResults, RetrievalMetrics, evaluate_queries
from dcreid.features import l2_normalize, pooled_features
from dcreid.memory import FeatureMemory, class_means, update_rate
from dcreid.network.backbone import EmbeddingHead, build_backbone
from dcreid.parallel import ONE_PROCESS, Ranks, synchronise_batch_norm
from dcreid.steps import Clock, MergeStep, TrainedStage
from dcreid.training import DivergedError, generator, torch_seed, train_stage

__all__ = ["Algorithm", "MergeStep"]


class Algorithm:
    """A run of Algorithm 1 on one device, or with others (`ranks`) on several.

    data is read through the frame store in `cache` (None: frames are kept in memory). Identities of
    the data, where there are any, serve `MergeStep`'s measures only. All of several ranks make the
    same calls in the same order and have the same state, which goes on alone or among others.

    checkpoint_activations: a third more computing for a fraction of the memory of training, and the
    same weights (see `Backbone.checkpoint_activations`). Raises ConfigError with `train.compile`.
    """

    def __init__(
        self,
        config: Config,
        data: TrackletDataset,
        *,
        device: str | torch.device = "cpu",
        cache: Path | None = None,
        checkpoint_activations: bool = False,
        on_epoch: Callable[[int, int, int], None] | None = None,
        ranks: Ranks = ONE_PROCESS,
    ):
        if checkpoint_activations and config.train.compile:
            raise ConfigError(
                "checkpoint_activations and train.compile cannot be had together: do without one of them"
            )
        self.config, self.data, self.device = config, data, torch.device(device)
        self._on_epoch, self.ranks = on_epoch, ranks
        _set_precision(config.train.precision, self.device)
        self.order = _order(config, len(data.train))  # row i of everything below is train[order[i]]
        size = config.data.height, config.data.width
        self.store = open_store(data.train, *size, cache)
        self.test_store = None if data.test is None else open_store(data.test, *size, cache)
        self.problems = self.store.problems + (self.test_store.problems if self.test_store else ())
        self._build_network(checkpoint_activations)
        n = len(self.store)
        self.m = config.merge.joins_per_step(n)
        self.labels: Int[Tensor, " n"] = torch.arange(n)
        self.memory: FeatureMemory | None = None
        self.history: list[MergeStep] = []
        self.labels_history: list[Int[Tensor, " n"]] = []
        self.joins: list[Joins] = []  # of every merge step, for reports
        self.before_training: RetrievalMetrics | None = None  # see `untrained`
        self.queries: dict[int, QueryResults] = {}  # of every measured merge step; 0 = untrained
        self.stage: TrainedStage | None = None  # trained, not merged yet
        self._clock = Clock(self.device, ranks)

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
        return self.config.merge.merge_steps(len(self.store))

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
        if self.stage is not None:
            return
        config, stage = self.config, self.steps_done + 1
        self._clock.reset_peak_memory()
        started = self._clock.now()
        if self.memory is None:
            self._fill_memory(self._pooled())
        assert self.memory is not None
        alpha = update_rate(
            config.train.alpha_schedule, config.train.alpha, config.merge.merge_rate, step=stage
        )
        result = train_stage(
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
            ranks=self.ranks,
        )
        seconds = {"train": self._clock.now() - started, "features": 0.0, "evaluate": 0.0}
        self.stage = TrainedStage(result, seconds)

    def measure(self) -> None:
        """Lines 4 and 8: what the trained stage's network alone decides, before the merge.

        Raises DivergedError where training has left features that are not finite.
        """
        stage, wanted = self.stage, self._wanted_retrieval()
        assert stage is not None
        if stage.pooled is None:
            with self._clock.timed(stage.seconds, "features"):
                stage.pooled = self._pooled()
            if stage.result.frames and not bool(stage.pooled.isfinite().all()):
                raise DivergedError(
                    f"features are not finite after stage {self.steps_done + 1}: the training diverged "
                    f"(learning rate {stage.result.lr:g}, temperature {self.config.train.temperature:g})"
                )
        if stage.retrieval_of != wanted:
            with self._clock.timed(stage.seconds, "evaluate"):
                stage.retrieval = None if wanted is None else self._retrieval(all_frames=wanted[1] == 0)
            stage.retrieval_of = wanted

    def merge(self) -> MergeStep:
        """Lines 5 and 7: merges m classes of the trained stage and renews the memory."""
        self.measure()
        stage, before = self.stage, self._partition()
        assert stage is not None and stage.pooled is not None
        pooled = stage.pooled
        with self._clock.timed(stage.seconds, "merge"):
            self.labels, joins = self.ranks.on_rank_0(lambda: self._merged(l2_normalize(pooled)))
            self.labels_history.append(self.labels.to(torch.int32))
            self.joins.append(joins)
            self._fill_memory(pooled)
        made = stage.report(self.steps_done + 1, before, self._partition(), self._clock.peak_memory())
        if stage.retrieval is not None:
            self.queries[made.step] = stage.retrieval
        self.history.append(made)
        self.stage = None
        return made

    def _wanted_retrieval(self) -> tuple[str, int] | None:
        """(gallery, most frames per tracklet) of the next step's evaluation; None where none is due."""
        step = self.steps_done + 1
        last = step >= self.total_steps
        if not last and step % self.config.evaluate.eval_every:
            return None
        return self.config.data.gallery, 0 if last else self.config.data.eval_frames

    def untrained(self) -> RetrievalMetrics | None:
        """Retrieval of the network as it stood before any training (None without labels).

        Measured at the first call, which must come before the first stage, on all frames as the last
        merge step is, and kept in the state.
        """
        if self.before_training is None and self.steps_done == 0 and self.stage is None:
            found = self._retrieval(all_frames=True)
            if found is not None:
                self.before_training, self.queries[0] = found.metrics(), found
        return self.before_training

    # --- the state

    def state_dict(self) -> dict[str, Any]:
        """All that a cut run needs: tensors on the CPU and plain values, safe for `weights_only` loading."""
        return state.whole_state(self)

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Continues from `state_dict()` of a run on the same data. Raises ValueError if it does not fit."""
        state.restore(self, saved)

    def shared_state(self) -> dict[str, Any]:
        """The stage trained and measured but not yet merged, for runs that agree with this one up to here."""
        self.measure()
        return state.stage_state(self)

    def adopt(self, shared: dict[str, Any]) -> None:
        """Takes a stage over from the `shared_state` of another run, instead of `train`.

        The caller answers for that run having the same data, seed, settings and merges so far. What
        it spent is told as `MergeStep.saved_seconds`. Raises ValueError if the state is of another kind.
        """
        state.adopt_stage(self, shared, self._wanted_retrieval())

    # --- the parts of a step

    def _build_network(self, checkpoint_activations: bool) -> None:
        model, data, train = self.config.model, self.config.data, self.config.train
        with torch_seed(generator(self.config.seed, "network"), self.device):
            self.backbone = build_backbone(
                model.backbone,
                model.weights,
                frozen_stages=model.frozen_stages,
                height=data.height,
                width=data.width,
            )
            synchronise_batch_norm(self.backbone, self.ranks, self.device)
            if checkpoint_activations:
                self.backbone.checkpoint_activations()
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
            network=self._network,
            most_frames=most_frames,
            precision=train.precision,
            channels_last=train.channels_last,
            ranks=self.ranks,
        )

    def _merged(self, v: Float[Tensor, "n d"]) -> tuple[Int[Tensor, " n"], Joins]:
        merging = self.config.merge
        recorder = JoinRecorder(self.labels, self.order, self.data.train, merging)
        cameras = torch.from_numpy(self.data.train.cameras[self.order])
        labels = merge_labels(v, self.labels, merging, self.m, cameras=cameras, on_join=recorder)
        return labels, recorder.joins()

    @torch.no_grad()
    def _fill_memory(self, pooled: Float[Tensor, "n d"]) -> None:
        """Line 6: rows for the classes as they now are (see `TrainConfig.memory_init`)."""
        kind = self.config.train.memory_init
        if kind == "previous_rows" and self.memory is not None:
            self.memory = self.new_memory(self.memory.rows[: self.n_classes])
            return
        embedded = pooled
        if self.head is not None:
            self.head.eval()
            embedded = self.head(pooled)
        rows = class_means(l2_normalize(embedded), self.labels.to(self.device), self.n_classes)
        self.memory = self.new_memory(torch.zeros_like(rows) if kind == "zeros" else rows)

    def new_memory(self, rows: Float[Tensor, "c d"]) -> FeatureMemory:
        """A memory with these rows, on the run's device."""
        return FeatureMemory(rows, self.config.train.temperature).to(self.device)

    def _partition(self) -> Partition:
        return Partition.of(self.labels, self.order, self.data.train.identities)

    def _retrieval(self, *, all_frames: bool) -> QueryResults | None:
        """Line 8, on the gallery that `TrackletDataset.protocol` names; the last step takes every frame."""
        test = self.data.test
        if test is None or test.identities is None or self.test_store is None or not len(self.data.query):
            return None
        most = 0 if all_frames else self.config.data.eval_frames
        v = l2_normalize(self._features_of(self.test_store, most))
        self.test_features: Float[Tensor, "t d"] = v
        sides = self.data.query, self.data.gallery
        features = [v[torch.from_numpy(rows)] for rows in sides]
        labels = [column[rows] for column in (test.identities, test.cameras) for rows in sides]
        return self.ranks.on_rank_0(lambda: evaluate_queries(cross_distances(*features), *labels))


def _order(config: Config, n: int) -> Int[np.ndarray, " n"]:
    if not config.data.shuffle_tracklets:
        return np.arange(n, dtype=np.int64)
    return generator(config.seed, "order").permutation(n).astype(np.int64)


def _set_precision(precision: str, device: torch.device) -> None:
    """TF32 in cuDNN's convolutions or nowhere.

    By the older of torch's two interfaces, which sets the newer one with it: code of torch itself
    (`torch.compile`) reads the older one, and that raises where they disagree.
    """
    if device.type == "cuda":
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = precision == "tf32"

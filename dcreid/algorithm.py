"""Algorithm 1: train, merge m classes, evaluate, and again, until no more than m classes are left.

    algorithm = Algorithm(config, dataset)
    for step in algorithm:            # one MergeStep per merge
        print(step.step, step.classes_after, step.mAP)

A run can be stopped after any merge step, or between a stage's training and its merge:
`load_state_dict(state_dict())` in a new Algorithm continues it exactly. Everything random is drawn
from (seed, stage), so the state needs no generator; optimiser momentum starts anew in every stage.
Identities reach nothing but the reports, except in the bound (`dcreid/bound.py`), which says what training
with them is worth.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dcreid.bound import check_identities, identity_labels
from dcreid.clock import Clock
from dcreid.clustering import merge_labels
from dcreid.clustering.cameras import camera_normalised
from dcreid.clustering.distances import cross_distances
from dcreid.clustering.merging import check_memory
from dcreid.config import Config, ConfigError
from dcreid.data.cameras import acting_per_camera, switched_off
from dcreid.data.store import open_store
from dcreid.data.tracklets import TrackletDataset
from dcreid.evaluation.joins import JoinRecorder, Joins
from dcreid.evaluation.partitions import Partition
from dcreid.evaluation.retrieval import QueryResults, RetrievalMetrics, evaluate_queries
from dcreid.evaluation.unlabelled import (
    ClassScores,
    NetworkScores,
    camera_excess,
    confidence,
    exclusivity,
    join_reliability,
    same_camera,
    self_retrieval,
    silhouette,
    size_balance,
    stability,
)
from dcreid.memory import FeatureMemory, class_means, rows_after_merge
from dcreid.network.backbone import notes_on_backbone
from dcreid.network.tracklets import TrackletFeatures, build_network, l2_normalize
from dcreid.parallel import ONE_PROCESS, Ranks
from dcreid.precision import set_tf32
from dcreid.proxies import CameraProxies, proxy_rows
from dcreid.seeding import generator
from dcreid.stage import RetrievalKind, TrainedStage
from dcreid.steps import MergeStep
from dcreid.training import DivergedError, StageResult, Trainer

__all__ = ["Algorithm", "MergeStep"]

_STATE_VERSION = 2


class Algorithm:
    """A run of Algorithm 1 on one device, or together with other processes (`ranks`) on several.

    data is read through the frame store in `cache` (None: frames are kept in memory). Its identities,
    where it has any, are used for the measures in `MergeStep` only, except in the bound. All ranks make the
    same calls in the same order and have the same state; a state can be continued by any number of ranks.

    checkpoint_activations: training takes a third more time and a fraction of the memory, for the same
    weights (`dcreid/network/recomputation.py`). Raises ConfigError with `train.compile`, and where the
    tracklets do not fill a batch (`TrainConfig.check_batches`) or are too few for the number of classes
    that is wanted (`MergeConfig.check_classes`); DataError where the bound finds no identities
    (`check_identities`); MemoryError where the merges have no room (`check_memory`).
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
            raise ConfigError("checkpoint_activations and train.compile exclude each other: turn one off")
        config.train.check_batches(len(data.train))
        config.merge.check_classes(len(data.train))
        check_identities(config, data)
        self.config, self.data, self.device, self.ranks = config, data, torch.device(device), ranks
        set_tf32(config.train.precision, self.device)
        self.order = _order(config, len(data.train))  # row i of labels and features is tracklet order[i]
        size = config.data.height, config.data.width
        self.store = open_store(data.train, *size, cache)
        self.test_store = None if data.test is None else open_store(data.test, *size, cache)
        self.problems = (
            *self.store.problems,
            *(self.test_store.problems if self.test_store else ()),
            *switched_off(acting_per_camera(config), data),
            *notes_on_backbone(config),
        )
        if ranks.rank == 0 and not config.trains_with_identities:
            # The rank that merges; now rather than after the first stage.
            check_memory(config.merge, self.device, len(self.store))
        self.network = build_network(
            config, self.device, checkpoint_activations=checkpoint_activations, ranks=ranks
        )
        self._trainer = Trainer(self.network, self.store.reordered(self.order), config, on_epoch)
        self._clock = Clock(self.device, ranks)

        # Line 1: y_i = i, C = N, m = N · pm. The memory is filled when the first stage begins.
        n = len(self.store)
        self.labels: Int[Tensor, " n"] = torch.arange(n)
        # Of the same rows; None = unknown, and nothing is done per camera.
        self.cameras: Int[Tensor, " n"] | None = None
        if data.train.cameras_known:
            self.cameras = torch.from_numpy(data.train.cameras[self.order])
        self.memory: FeatureMemory | None = None
        self.proxies: CameraProxies | None = None  # of the stage that is to be trained
        self.stage: TrainedStage | None = None  # trained, not merged yet

        # What the run has found so far.
        self.history: list[MergeStep] = []
        self.labels_history: list[Int[Tensor, " n"]] = []  # after every merge step
        # How sure the classes of each merge step are of each tracklet, by the features they were made from.
        self.confidence: dict[int, Float[Tensor, " n"]] = {}
        self.joins: list[Joins] = []  # of every merge step
        self.queries: dict[int, QueryResults] = {}  # of every evaluated merge step; 0 = untrained
        self.before_training: RetrievalMetrics | None = None  # see `untrained`
        self.untrained_scores = NetworkScores()
        # Of length 1, as `silhouette` takes them; half precision is enough, and half of a checkpoint's share.
        self.untrained_v: Float[Tensor, "n d"] | None = None

    # --- Algorithm 1; lines are the paper's

    def __iter__(self) -> Iterator[MergeStep]:
        while not self.finished:  # line 2: while C > m
            yield self.step()

    def step(self) -> MergeStep:
        """One turn of the loop, lines 3 to 8; line 9, keeping the best model, is up to the caller.

        Raises DivergedError.
        """
        if self.finished:
            raise RuntimeError("all merge steps have been made")
        self.train()  # lines 3 and 6: train φ on X and Y; the memory M follows batch by batch
        self.measure()  # line 8, and the features for line 4
        return self.merge()  # lines 4 to 7: merge m classes; new labels; new rows of M; the next step

    def train(self) -> None:
        """Lines 3 and 6: trains the next stage, unless it is trained already (loaded or adopted)."""
        if self.stage is not None:
            return
        self._clock.reset_peak_memory()
        seconds: dict[str, float] = {}
        with self._clock.timed(seconds, "train"):
            self._begin()
            assert self.memory is not None
            result = self._trainer.train_stage(
                self.steps_done + 1, self.memory, self.labels, self.cameras, self.proxies
            )
        self.proxies = None  # the merge makes new ones
        self.stage = TrainedStage(result)
        self.stage.seconds |= seconds

    def measure(self) -> None:
        """Lines 4 and 8 as far as the merge has no part in them: features, and retrieval where it is due.

        Raises DivergedError if the training has left features that are not finite.
        """
        stage, due = self.stage, self._retrieval_due()
        assert stage is not None
        if stage.pooled is None:
            with self._clock.timed(stage.seconds, "features"):
                features = self._features()
                stage.pooled, stage.halves = features.pooled, features.halves
            if stage.result.frames and not bool(stage.pooled.isfinite().all()):
                raise DivergedError(
                    f"features are not finite after stage {self.steps_done + 1}: the training diverged "
                    f"(learning rate {stage.result.lr:g}, temperature {self.config.train.temperature:g})"
                )
            with self._clock.timed(stage.seconds, "scores"):
                stage.scores = self._network_scores(features)
        if stage.retrieval_of != due:
            with self._clock.timed(stage.seconds, "evaluate"):
                stage.retrieval = None if due is None else self._retrieval(most_frames=due[1])
            stage.retrieval_of = due

    def merge(self) -> MergeStep:
        """Lines 4 to 7: merges m classes of the trained stage and makes the memory's new rows."""
        self.measure()
        stage, before, labels = self.stage, self._partition(), self.labels
        assert stage is not None and stage.pooled is not None
        with self._clock.timed(stage.seconds, "merge"):
            v = l2_normalize(stage.pooled)
            self.labels, joins = self.ranks.on_rank_0(lambda: self._merged(v))
            self._make_rows(stage.pooled, labels)
        after = self._partition()
        with self._clock.timed(stage.seconds, "scores"):
            scores, sure = self.ranks.on_rank_0(
                lambda: (self._class_scores(labels, after.sizes), confidence(v, self.labels))
            )
        step = stage.report(self.steps_done + 1, before, after, scores, self._clock.peak_memory())
        self.history.append(step)
        self.labels_history.append(self.labels.to(torch.int32))
        self.confidence[step.step] = sure
        self.joins.append(joins)
        if stage.retrieval is not None:
            self.queries[step.step] = stage.retrieval
        self.stage = None
        return step

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
        """Merge steps of the whole run (`MergeConfig.merge_steps`)."""
        return self.config.merge.merge_steps(len(self.store))

    @property
    def finished(self) -> bool:
        """Whether the last merge step has been made."""
        return self.steps_done >= self.total_steps

    def untrained(self) -> RetrievalMetrics | None:
        """Retrieval of the network before any training (None without labels), on all frames.

        Measured at the first call, which must come before the first stage, and kept in the state; so are its
        scores (`untrained_scores`).
        """
        if self.steps_done == 0 and self.stage is None:
            self._begin()
        if self.before_training is None and self.steps_done == 0 and self.stage is None:
            found = self._retrieval(most_frames=0)
            if found is not None:
                self.before_training, self.queries[0] = found.metrics(), found
        return self.before_training

    # --- the state of the run, and of a stage that other runs share

    def state_dict(self) -> dict[str, Any]:
        """All that another process needs to continue: CPU tensors and plain values, for `weights_only`."""
        stage = self.stage
        return {
            "version": _STATE_VERSION,
            "config": self.config.to_dict(),
            "order": torch.from_numpy(self.order),
            **self.network.state_dict(),
            "memory": None if self.memory is None else self.memory.rows.cpu().clone(),
            "proxies": None if self.proxies is None else self.proxies.memory.rows.cpu().clone(),
            "labels": self.labels.clone(),
            "labels_history": [labels.clone() for labels in self.labels_history],
            "confidence": dict(self.confidence),
            "joins": [dataclasses.asdict(joins) for joins in self.joins],
            "history": [dataclasses.asdict(step) for step in self.history],
            "untrained": None if self.before_training is None else dataclasses.asdict(self.before_training),
            "untrained_scores": dataclasses.asdict(self.untrained_scores),
            "untrained_v": None if self.untrained_v is None else self.untrained_v.cpu(),
            "queries": {step: dataclasses.asdict(found) for step, found in self.queries.items()},
            "stage": None if stage is None else dataclasses.asdict(stage.result),
            "stage_seconds": 0.0 if stage is None else stage.seconds["train"],
            "stage_saved_seconds": 0.0 if stage is None else stage.saved_seconds,
        }

    @staticmethod
    def without_training(state: dict[str, Any]) -> dict[str, Any]:
        """A state without what only further training needs, which is half of it and more.

        Weights, labels, joins and reports are left: it can be loaded and looked at. It is not trained on,
        for another memory would come to something else.
        """
        return state | {"memory": None, "proxies": None, "untrained_v": None}

    def fitting(self, state: dict[str, Any]) -> dict[str, Any]:
        """The state, if `load_state_dict` takes it. Raises ValueError otherwise."""
        _check_version(state)
        if not np.array_equal(state["order"].numpy(), self.order):
            raise ValueError("the state belongs to other training tracklets, or to another seed")
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from `state_dict()` of a run on the same data. Raises ValueError if it does not fit."""
        self.fitting(state)
        self.network.load_state_dict(state)
        self.memory = None if state["memory"] is None else self._memory(state["memory"])
        self.labels = state["labels"].clone()
        proxies = state.get("proxies")  # older states have none
        self.proxies = None if proxies is None else self._proxies(proxies)
        self.labels_history = [labels.clone() for labels in state["labels_history"]]
        self.confidence = dict(state.get("confidence", {}))
        self.joins = [Joins(**joins) for joins in state["joins"]]
        self.history = [MergeStep(**step) for step in state["history"]]
        untrained = state["untrained"]
        self.before_training = None if untrained is None else RetrievalMetrics(**untrained)
        self.untrained_scores = NetworkScores(**state.get("untrained_scores", {}))
        v = state.get("untrained_v")
        self.untrained_v = None if v is None else v.to(self.device)
        queries = state.get("queries", {})  # older states have none
        self.queries = {step: QueryResults(**found) for step, found in queries.items()}
        self.stage = None
        if state["stage"] is not None:
            self.stage = TrainedStage(StageResult(**state["stage"]))
            self.stage.seconds["train"] = state["stage_seconds"]
            self.stage.saved_seconds = state["stage_saved_seconds"]

    def shared_state(self) -> dict[str, Any]:
        """The stage that is trained and not merged yet, for runs that have agreed with this one so far."""
        self.measure()
        assert self.stage is not None and self.memory is not None
        return {
            "version": _STATE_VERSION,
            **self.network.state_dict(),
            "memory": self.memory.rows.cpu().clone(),
            **self.stage.shared_state(),
        }

    def adopt(self, shared: dict[str, Any]) -> None:
        """Takes a stage over from another run's `shared_state`, instead of `train`.

        The caller must make sure that the other run has the same data, seed, settings and merges so
        far. Its cost is reported as `MergeStep.saved_seconds`. Raises ValueError for another version.
        """
        _check_version(shared)
        self._begin()
        self.network.load_state_dict(shared)
        self.memory, self.proxies = self._memory(shared["memory"]), None
        self.stage = TrainedStage.adopted(shared, self._retrieval_due(), self.device)

    # --- the parts of a step

    def _features(self) -> TrackletFeatures:
        # Frames are read in their order on disk; the features are permuted afterwards.
        features = self.network.tracklet_features(self.store, most_frames=self.config.data.eval_frames)
        return features.of_rows(torch.from_numpy(self.order).to(self.device))

    def _begin(self) -> None:
        """Fills the memory from the untrained network, and keeps what the scores need of that."""
        if self.memory is None and self.steps_done:
            raise RuntimeError(f"the state after merge step {self.steps_done} was kept without its memory")
        if self.memory is None:
            features = self._features()
            self._make_rows(features.pooled, self.labels)
            self.untrained_scores = self._network_scores(features)
            self.untrained_v = l2_normalize(features.pooled).half()

    def _network_scores(self, features: TrackletFeatures) -> NetworkScores:
        def scores() -> NetworkScores:
            v, cameras = l2_normalize(features.pooled), self.cameras
            return NetworkScores(
                self_retrieval=self_retrieval(features.ends[0], features.ends[1], cameras),
                stability=stability(features.halves, cameras),
                camera_excess=None if cameras is None else camera_excess(v, cameras),
            )

        return self.ranks.on_rank_0(scores)

    def _class_scores(self, before: Int[Tensor, " n"], sizes: Int[np.ndarray, " c"]) -> ClassScores:
        """Of the classes that the merge has made of those before."""
        stage, merging, reliable = self.stage, self.config.merge, None
        assert stage is not None and stage.halves is not None
        old = torch.arange(len(before)) if merging.method == "anew" else before
        joined = len(torch.unique(before)) - len(sizes)
        if merging.method != "identities" and len(sizes) < len(torch.unique(old)):
            one, other = (
                merge_labels(half, before, merging, joined, cameras=self.cameras).numpy()
                for half in stage.halves
            )
            reliable = join_reliability(old.numpy(), one, other)
        times, order, v = self.data.train.times, self.order, self.untrained_v
        labels, cameras = self.labels.numpy(), None if self.cameras is None else self.cameras.numpy()
        return ClassScores(
            join_reliability=reliable,
            size_balance=size_balance(sizes),
            silhouette=None if v is None else silhouette(v.float(), self.labels),
            exclusivity=None
            if times is None or cameras is None
            else exclusivity(labels, cameras, times[order]),
            same_camera=None if cameras is None else same_camera(labels, cameras),
        )

    def _merged(self, v: Float[Tensor, "n d"]) -> tuple[Int[Tensor, " n"], Joins]:
        """Lines 4 and 5: the labels after m joins, and the joins; in the bound the identities, and none."""
        merging = self.config.merge
        recorder = JoinRecorder(self.labels, self.order, self.data.train, merging)
        if self.config.trains_with_identities:
            assert self.data.train.identities is not None
            return identity_labels(self.data.train.identities, self.order), recorder.joins()
        m = merging.joins(len(self.labels), self.steps_done + 1)
        labels = merge_labels(v, self.labels, merging, m, cameras=self.cameras, on_join=recorder)
        return labels, recorder.joins()

    @torch.no_grad()
    def _make_rows(self, pooled: Float[Tensor, "n d"], before: Int[Tensor, " n"]) -> None:
        """Line 6: the memory's rows for the present classes (see `dcreid/memory.py`), and the proxies'.

        before: the labels before the merge.
        """
        train, labels = self.config.train, self.labels.to(self.device)
        self.network.eval()
        features = self.network.embed(pooled)
        if self.memory is None:
            means = class_means(features, labels, self.n_classes)
            rows = torch.zeros_like(means) if train.first_rows == "zeros" else means
        else:
            older = before.to(self.device), self.memory.rows
            rows = rows_after_merge(train.memory_init, features, labels, self.n_classes, *older)
        self.memory = self._memory(rows)
        if train.camera_proxies and self.cameras is not None:
            self.proxies = self._proxies(proxy_rows(features, self.labels, self.cameras))

    def _memory(self, rows: Float[Tensor, "c d"]) -> FeatureMemory:
        return FeatureMemory(rows, self.config.train.temperature).to(self.device)

    def _proxies(self, rows: Float[Tensor, "r d"]) -> CameraProxies:
        assert self.cameras is not None
        return CameraProxies(self.labels, self.cameras, rows.to(self.device))

    def _partition(self) -> Partition:
        return Partition.of(self.labels, self.order, self.data.train.identities)

    def _retrieval_due(self) -> RetrievalKind | None:
        """Gallery, most frames per tracklet and more of the next step's evaluation; None where none is due.

        The last step is always evaluated, on all frames (0).
        """
        step = self.steps_done + 1
        last = step >= self.total_steps
        data, evaluate = self.config.data, self.config.evaluate
        if not last and step % evaluate.eval_every:
            return None
        return data.gallery, 0 if last else data.eval_frames, evaluate.camera_normalise

    def _retrieval(self, *, most_frames: int) -> QueryResults | None:
        """Line 8, on the gallery that `TrackletDataset.protocol` names; None without labelled test data."""
        test = self.data.test
        if not self.data.labelled:
            return None
        assert test is not None and test.identities is not None and self.test_store is not None
        v = l2_normalize(self.network.pooled_features(self.test_store, most_frames=most_frames))
        self.test_features: Float[Tensor, "t d"] = v
        sides = self.data.query, self.data.gallery
        labels = [column[rows] for column in (test.identities, test.cameras) for rows in sides]

        def ranked(v: Float[Tensor, "t d"]) -> QueryResults:
            features = [v[torch.from_numpy(rows)] for rows in sides]
            return evaluate_queries(cross_distances(*features), *labels)

        def measured() -> QueryResults:
            found = ranked(v)
            if not self.config.evaluate.camera_normalise:
                return found
            return found.with_camera_normalised(ranked(self._camera_normalised(v, test.cameras)))

        return self.ranks.on_rank_0(measured)

    def _camera_normalised(
        self, v: Float[Tensor, "t d"], cameras: Int[np.ndarray, " t"]
    ) -> Float[Tensor, "t d"]:
        """Test features normalised per camera, over its queries and gallery rows.

        Each counts once, junk and distractors too: who has no labels cannot leave them out.
        """
        used = torch.from_numpy(np.union1d(self.data.query, self.data.gallery))
        normalised = torch.zeros_like(v)
        normalised[used] = camera_normalised(v[used], torch.from_numpy(cameras)[used])
        return normalised


def _order(config: Config, n: int) -> Int[np.ndarray, " n"]:
    if not config.data.shuffle_tracklets:
        return np.arange(n, dtype=np.int64)
    return generator(config.seed, "order").permutation(n).astype(np.int64)


def _check_version(state: dict[str, Any]) -> None:
    if state.get("version") != _STATE_VERSION:
        raise ValueError(f"state of version {state.get('version')}: expected {_STATE_VERSION}")

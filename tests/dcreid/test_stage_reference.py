"""Whole training stages against `reference_training`, and that faults planted in them are noticed.

Compared are, behind every epoch and every merge: what each weight and running statistic has changed
by since the start, the memory row and the class of every tracklet; and each stage's loss, rate and α.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pictures import Pictures
from reference_training import BLOCKS, ReferenceRun
from torch import Tensor, nn

import dcreid.algorithm
import dcreid.data.loading
import dcreid.features
import dcreid.training
from dcreid.algorithm import Algorithm
from dcreid.config import Config
from dcreid.data.store import FrameStore
from dcreid.data.tracklets import Split, TrackletDataset
from dcreid.memory import FeatureMemory
from dcreid.network.backbone import Backbone, EmbeddingHead

TOLERANCE = 1e-4  # of a quantity's norm
NOTICED = 10 * TOLERANCE

Found = dict[str, np.ndarray]
Fault = Callable[[pytest.MonkeyPatch], None]

# 11 tracklets in batches of 5 and 6, the last of one having joined the one before; 4 joins a step, so
# that batches of the second stage hold classes more than once. Epoch 2 runs at half the rate of epoch 1.
_BASE: dict[str, Any] = {
    "data.height": 16,
    "data.width": 8,
    "data.frames": 3,
    "data.shift": 0.2,
    "model.weights": "imagenet",  # pre-trained layers have a rate of their own
    "train.batch_size": 5,
    "train.first_epochs": 2,
    "train.later_epochs": 1,
    "train.lr": 0.05,
    "train.backbone_lr_factor": 0.3,
    "train.lr_decay_epoch": 1,
    "train.lr_decay": 0.5,
    "train.weight_decay": 0.1,
    "train.temperature": 0.25,
    "train.alpha": 0.8,
    "merge.merge_rate": 0.4,
    "merge.max_steps": 2,
    "seed": 0,
}
_HEAD = {"model.head": "embedding", "model.embedding_dim": 7}
VARIANTS: dict[str, dict[str, Any]] = {
    "paper": {},
    "head": {**_HEAD, "model.dropout": 0.0},
    "dropout": {**_HEAD, "model.dropout": 0.3, "train.alpha_schedule": "fixed", "train.momentum": 0.0},
    "frozen": {
        **_HEAD,
        **{"model.dropout": 0.0, "model.frozen_stages": 1, "data.frame_sampling": "random"},
        **{"data.eval_frames": 2, "train.batch_size": 7, "train.later_lr": "restart"},
        "train.alpha_schedule": "cosine",
    },
    "random weights": {"model.weights": "none", "train.temperature": 0.1},
}
_LENGTHS = [1, 2, 3, 5, 7, 4, 9, 3, 6, 2, 8]


def config(variant: str) -> Config:
    return Config().replace(**(_BASE | VARIANTS[variant]))


# --- data and network


def tracklets() -> list[np.ndarray]:
    """Random pictures of eight patches; the frames of a tracklet are noisy versions of one."""
    rng = np.random.default_rng(0)
    drawn = []
    for length in _LENGTHS:
        patches = rng.integers(40, 216, (1, 4, 2, 3)).repeat(4, axis=1).repeat(4, axis=2)
        drawn.append((patches + rng.integers(-40, 41, (length, 16, 8, 3))).astype(np.uint8))
    return drawn


def dataset() -> TrackletDataset:
    frames, nothing = tracklets(), np.zeros(0, dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(_LENGTHS)]).astype(np.int64)
    names = [f"tracklet {i}" for i in range(len(frames))]
    cameras = np.zeros(len(frames), dtype=np.int64)
    split = Split("train", Pictures(np.concatenate(frames)), offsets, cameras, None, names)
    return TrackletDataset("pictures", split, None, nothing, nothing, "none")


class SmallNetwork(nn.Module):
    """Blocks of convolution, batch norm and ReLU, and the mean over positions."""

    def __init__(self) -> None:
        super().__init__()
        widths = [3, 6, 8]
        self.features = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(widths[k], widths[k + 1], 3, stride=2, padding=1, bias=False),
                    nn.BatchNorm2d(widths[k + 1]),
                    nn.ReLU(),
                )
                for k in range(BLOCKS)
            )
        )

    def forward(self, frames: Tensor) -> Tensor:
        return self.features(frames).mean(dim=(2, 3))


@pytest.fixture(autouse=True)
def _small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(*_: Any, frozen_stages: int, **__: Any) -> Backbone:
        return Backbone(SmallNetwork(), 8, frozen_stages)

    monkeypatch.setattr(dcreid.algorithm, "build_backbone", build)


# --- what a run comes to


def weights_of(algorithm: Algorithm) -> dict[str, np.ndarray]:
    states = [module.state_dict() for module in (algorithm.backbone, algorithm.head) if module is not None]
    return {
        name: value.double().numpy().copy()
        for state in states
        for name, value in state.items()
        if "tracked" not in name
    }


def noted(
    point: str,
    weights: dict[str, np.ndarray],
    start: dict[str, np.ndarray],
    rows: np.ndarray,
    labels: list[int],
) -> Found:
    """What a run has come to at one point, tracklet by tracklet: names of classes do not matter."""
    classes = np.array(labels)
    found = {f"{point}, change of {name}": weights[name] - start[name] for name in weights}
    found[f"{point}, memory rows"] = rows[classes]
    found[f"{point}, classes"] = (classes[:, None] == classes[None, :]).astype(np.float64)
    return found


def outcome(made: Config) -> Found:
    """Of `Algorithm`."""
    found: Found = {}

    def note(point: str) -> None:
        assert algorithm.memory is not None
        rows = algorithm.memory.rows.double().numpy().copy()
        found.update(noted(point, weights_of(algorithm), start, rows, algorithm.labels.tolist()))

    algorithm = Algorithm(
        made, dataset(), on_epoch=lambda stage, epoch, _: note(f"stage {stage}, epoch {epoch}")
    )
    start = weights_of(algorithm)
    for step in algorithm:
        note(f"merge {step.step}")
    for name in ("loss", "lr", "alpha"):
        found[name] = np.array([getattr(step, name) for step in algorithm.history])
    return found


@functools.cache
def expected(variant: str) -> Found:
    """Of the reference, from the same weights."""
    found: Found = {}

    def note(point: str) -> None:
        weights = {name: value.detach().numpy().copy() for name, value in run.weights.items()}
        found.update(noted(point, weights, start, run.rows, run.labels))

    made = config(variant)
    beginning = Algorithm(made, dataset())
    start = weights_of(beginning)
    head = None if beginning.head is None else beginning.head.state_dict()
    run = ReferenceRun(made, tracklets(), beginning.backbone.state_dict(), head)
    for step in range(1, made.merge.max_steps + 1):
        run.step(lambda stage, epoch: note(f"stage {stage}, epoch {epoch}"))
        note(f"merge {step}")
    return found | {"loss": np.array(run.losses), "lr": np.array(run.rates), "alpha": np.array(run.alphas)}


def differences(ours: Found, theirs: Found) -> dict[str, float]:
    """‖ours − reference‖ / ‖reference‖ of every quantity, the largest first; of a zero, ‖ours‖."""
    assert ours.keys() == theirs.keys()
    apart = {
        name: float(np.linalg.norm(ours[name] - value)) / (float(np.linalg.norm(value)) or 1.0)
        for name, value in theirs.items()
    }
    return dict(sorted(apart.items(), key=lambda item: -item[1]))


# --- faults

FAULTS: dict[str, tuple[Fault, str]] = {}  # name to what plants it, and in which variant


def fault(name: str, variant: str = "head") -> Callable[[Fault], Fault]:
    def register(plant: Fault) -> Fault:
        FAULTS[name] = plant, variant
        return plant

    return register


def loss_becomes(patch: pytest.MonkeyPatch, changed: Callable[..., Tensor]) -> None:
    """`changed(loss, v, labels, C)` in place of Eq (2), `loss` being the true one of (v, labels)."""
    true = FeatureMemory.loss

    def loss(memory: FeatureMemory, v: Tensor, labels: Tensor) -> Tensor:
        return changed(lambda *arguments: true(memory, *arguments), v, labels, len(memory.rows))

    patch.setattr(FeatureMemory, "loss", loss)


def update_becomes(patch: pytest.MonkeyPatch, changed: Callable[..., Any]) -> None:
    """`changed(update, v, labels, α, C)` in place of the memory's update."""
    true = FeatureMemory.update

    def update(memory: FeatureMemory, v: Tensor, labels: Tensor, alpha: float) -> None:
        changed(lambda *arguments: true(memory, *arguments), v, labels, alpha, len(memory.rows))

    patch.setattr(FeatureMemory, "update", update)


def optimiser_becomes(patch: pytest.MonkeyPatch, **changed: Any) -> None:
    """Every parameter group with these settings."""
    true = dcreid.training.make_optimiser

    def make(*arguments: Any) -> torch.optim.SGD:
        optimiser = true(*arguments)
        for group in optimiser.param_groups:
            group.update(changed)
        return optimiser

    patch.setattr(dcreid.training, "make_optimiser", make)


def without_mean_and_deviation(frames: Tensor, *_: Any) -> Tensor:
    return frames.permute(0, 3, 1, 2).contiguous() / 255.0


@fault("loss: sign")
def _(patch: pytest.MonkeyPatch) -> None:
    loss_becomes(patch, lambda loss, v, labels, c: -loss(v, labels))


@fault("loss: labels of other classes")
def _(patch: pytest.MonkeyPatch) -> None:
    loss_becomes(patch, lambda loss, v, labels, c: loss(v, (labels + 1) % c))


@fault("loss: labels of other samples")
def _(patch: pytest.MonkeyPatch) -> None:
    loss_becomes(patch, lambda loss, v, labels, c: loss(v, labels.roll(1)))


@fault("loss: summed over the batch")
def _(patch: pytest.MonkeyPatch) -> None:
    loss_becomes(patch, lambda loss, v, labels, c: loss(v, labels) * len(v))


@fault("loss: no temperature")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(FeatureMemory, "logits", lambda memory, v: v @ memory.rows.T)


@fault("loss: features of any length")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(dcreid.training, "l2_normalize", lambda v: v)


@fault("update: labels of other classes")
def _(patch: pytest.MonkeyPatch) -> None:
    update_becomes(patch, lambda update, v, labels, alpha, c: update(v, (labels + 1) % c, alpha))


@fault("update: labels of other samples")
def _(patch: pytest.MonkeyPatch) -> None:
    update_becomes(patch, lambda update, v, labels, alpha, c: update(v, labels.roll(1), alpha))


@fault("update: none")
def _(patch: pytest.MonkeyPatch) -> None:
    update_becomes(patch, lambda *_: None)


@fault("update: α and 1 − α exchanged")
def _(patch: pytest.MonkeyPatch) -> None:
    update_becomes(patch, lambda update, v, labels, alpha, c: update(v, labels, 1 - alpha))


@fault("update: samples of a class in reverse order")
def _(patch: pytest.MonkeyPatch) -> None:
    update_becomes(patch, lambda update, v, labels, alpha, c: update(v.flip(0), labels.flip(0), alpha))


@fault("update: one sample of a class only")
def _(patch: pytest.MonkeyPatch) -> None:
    def changed(update: Callable[..., None], v: Tensor, labels: Tensor, alpha: float, c: int) -> None:
        first = [i for i, label in enumerate(labels.tolist()) if label not in labels[:i].tolist()]
        update(v[first], labels[first], alpha)

    update_becomes(patch, changed)


@fault("update: before the loss")
def _(patch: pytest.MonkeyPatch) -> None:
    update, rates, true = FeatureMemory.update, [], dcreid.algorithm.update_rate

    def rate(*arguments: Any, **named: Any) -> float:
        rates.append(true(*arguments, **named))
        return rates[-1]

    def loss(memory: FeatureMemory, v: Tensor, labels: Tensor) -> Tensor:
        update(memory, v, labels, rates[-1])
        return own_loss(memory, v, labels)

    own_loss = FeatureMemory.loss
    patch.setattr(dcreid.algorithm, "update_rate", rate)
    patch.setattr(FeatureMemory, "loss", loss)
    update_becomes(patch, lambda *_: None)


@fault("update: a batch late")
def _(patch: pytest.MonkeyPatch) -> None:
    waiting: list[Callable[[], None]] = []

    def changed(update: Callable[..., None], v: Tensor, labels: Tensor, alpha: float, c: int) -> None:
        waiting.append(lambda: update(v, labels, alpha))
        if len(waiting) > 1:
            waiting.pop(0)()

    update_becomes(patch, changed)


@fault("update: with features of the stepped network")
def _(patch: pytest.MonkeyPatch) -> None:
    networks: list[Any] = []
    make, normalise = dcreid.training.make_optimiser, dcreid.training.normalise

    def made(backbone: Backbone, head: EmbeddingHead, *rest: Any) -> torch.optim.SGD:
        networks[:] = [backbone, head]
        return make(backbone, head, *rest)

    def seen(*arguments: Any) -> Tensor:
        networks[2:] = [normalise(*arguments)]
        return networks[2]

    def changed(update: Callable[..., None], v: Tensor, labels: Tensor, alpha: float, c: int) -> None:
        backbone, head, frames = networks
        states = copy.deepcopy([backbone.state_dict(), head.state_dict()])
        with torch.no_grad():
            pooled = backbone(frames).view(len(v), -1, backbone.dim).mean(dim=1)
            stepped = nn.functional.normalize(head(pooled), dim=1)
        backbone.load_state_dict(states[0])  # their running statistics are no part of the fault
        head.load_state_dict(states[1])
        update(stepped, labels, alpha)

    patch.setattr(dcreid.training, "make_optimiser", made)
    patch.setattr(dcreid.training, "normalise", seen)
    update_becomes(patch, changed)


@fault("α: of the stage before")
def _(patch: pytest.MonkeyPatch) -> None:
    true = dcreid.algorithm.update_rate
    patch.setattr(dcreid.algorithm, "update_rate", lambda *rest, step: true(*rest, step=step - 1))


@fault("optimiser: one rate for backbone and head")
def _(patch: pytest.MonkeyPatch) -> None:
    optimiser_becomes(patch, factor=1.0)


@fault("optimiser: no weight decay")
def _(patch: pytest.MonkeyPatch) -> None:
    optimiser_becomes(patch, weight_decay=0.0)


@fault("optimiser: no momentum")
def _(patch: pytest.MonkeyPatch) -> None:
    optimiser_becomes(patch, momentum=0.0, nesterov=False)


@fault("optimiser: momentum not Nesterov's")
def _(patch: pytest.MonkeyPatch) -> None:
    optimiser_becomes(patch, nesterov=False)


@fault("optimiser: the same in every stage")
def _(patch: pytest.MonkeyPatch) -> None:
    made: list[torch.optim.SGD] = []
    make = dcreid.training.make_optimiser

    def once(*arguments: Any) -> torch.optim.SGD:
        if not made:
            made.append(make(*arguments))
        return made[0]

    patch.setattr(dcreid.training, "make_optimiser", once)


@fault("optimiser: gradients add up")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(torch.optim.SGD, "zero_grad", lambda *_, **__: None)


@fault("rate: does not fall")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(dcreid.training, "learning_rate", lambda train, *_: train.lr)


@fault("rate: falls an epoch late")
def _(patch: pytest.MonkeyPatch) -> None:
    true = dcreid.training.learning_rate
    patch.setattr(dcreid.training, "learning_rate", lambda train, stage, epoch: true(train, stage, epoch - 1))


@fault("frames: not varied")
def _(patch: pytest.MonkeyPatch) -> None:
    true = dcreid.training.augment

    def augment(frames: Tensor, *rest: Any, **named: Any) -> Tensor:
        true(frames, *rest, **named)  # the random numbers are drawn
        return frames

    patch.setattr(dcreid.training, "augment", augment)


@fault("frames: not mirrored")
def _(patch: pytest.MonkeyPatch) -> None:
    true = dcreid.training.augment
    patch.setattr(
        dcreid.training, "augment", lambda frames, flip, *rest, **named: true(frames, 0.0, *rest, **named)
    )


@fault("frames: not moved")
def _(patch: pytest.MonkeyPatch) -> None:
    true = dcreid.training.augment
    patch.setattr(
        dcreid.training,
        "augment",
        lambda frames, flip, shift, *rest, **named: true(frames, flip, 0.0, *rest, **named),
    )


@fault("frames: not normalised in training")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(dcreid.training, "normalise", without_mean_and_deviation)


@fault("frames: not normalised for features")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(dcreid.features, "normalise", without_mean_and_deviation)


@fault("frames: always the first")
def _(patch: pytest.MonkeyPatch) -> None:
    true = dcreid.data.loading.sample_frames
    patch.setattr(dcreid.data.loading, "sample_frames", lambda *arguments: 0 * true(*arguments))


@fault("frames: from all of the tracklet")
def _(patch: pytest.MonkeyPatch) -> None:
    true = dcreid.data.loading.sample_frames
    patch.setattr(
        dcreid.data.loading,
        "sample_frames",
        lambda lengths, count, _, rng: true(lengths, count, "random", rng),
    )


@fault("frames: of the tracklets before they were permuted")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(FrameStore, "reordered", lambda store, order: store)


@fault("features: all frames where a few are asked for", "frozen")
def _(patch: pytest.MonkeyPatch) -> None:
    true = dcreid.features.evenly_spaced
    patch.setattr(dcreid.features, "evenly_spaced", lambda store, most: true(store, 0))


@fault("mode: backbone evaluates in training")
def _(patch: pytest.MonkeyPatch) -> None:
    true = Backbone.train
    patch.setattr(Backbone, "train", lambda backbone, mode=True: true(backbone, False))


@fault("mode: head evaluates in training")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(EmbeddingHead, "train", lambda head, mode=True: nn.Module.train(head, False))


@fault("mode: backbone trains while features are taken")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Backbone, "eval", lambda backbone: backbone)


@fault("mode: head trains while rows are made")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(EmbeddingHead, "eval", lambda head: head)


@fault("mode: batch norm of frozen stages trains", "frozen")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Backbone, "train", nn.Module.train)


@fault("mode: no dropout", "dropout")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(nn.Dropout, "forward", lambda dropout, x: x)


@fault("rows: of features in reverse order")
def _(patch: pytest.MonkeyPatch) -> None:
    true = dcreid.algorithm.class_means
    patch.setattr(dcreid.algorithm, "class_means", lambda features, *rest: true(features.flip(0), *rest))


@fault("rows: of features without the head")
def _(patch: pytest.MonkeyPatch) -> None:
    def same_width(head: EmbeddingHead, features: Tensor) -> Tensor:
        return own_forward(head, features) if head.training else features[:, : head.layers[0].out_features]

    own_forward = EmbeddingHead.forward
    patch.setattr(EmbeddingHead, "forward", same_width)


@fault("rows: kept from before the merge")
def _(patch: pytest.MonkeyPatch) -> None:
    true = Algorithm.new_memory

    def kept(algorithm: Algorithm, rows: Tensor) -> FeatureMemory:
        return true(algorithm, rows if algorithm.memory is None else algorithm.memory.rows[: len(rows)])

    patch.setattr(Algorithm, "new_memory", kept)


# --- the tests


@pytest.mark.parametrize("variant", VARIANTS)
def test_two_stages_and_their_merges_equal_the_reference(variant: str) -> None:
    apart = differences(outcome(config(variant)), expected(variant))
    assert len(apart) > 50
    beyond = {name: value for name, value in apart.items() if not value <= TOLERANCE}
    assert not beyond


@pytest.mark.parametrize("variant", ["paper", "head"])
def test_the_first_rows_are_the_features_of_the_untrained_network(variant: str) -> None:
    made = config(variant).replace(**{"train.first_epochs": 0})
    algorithm = Algorithm(made, dataset())
    head = None if algorithm.head is None else algorithm.head.state_dict()
    reference = ReferenceRun(made, tracklets(), algorithm.backbone.state_dict(), head)
    algorithm.train()
    assert algorithm.memory is not None
    np.testing.assert_allclose(algorithm.memory.rows, reference.rows, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these, planted in `dcreid`, moves the outcome by ten times what rounding may."""
    plant, variant = FAULTS[name]
    theirs = expected(variant)
    plant(monkeypatch)
    apart = differences(outcome(config(variant)), theirs)
    assert max(apart.values()) > NOTICED

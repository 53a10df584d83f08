"""Faults planted in the training stage are noticed by the comparison with `reference_training`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from stage_runs import config, differences, expected, outcome
from torch import Tensor, nn

import dcreid.algorithm
import dcreid.data.loading
import dcreid.memory
import dcreid.network.tracklets
import dcreid.training
from dcreid.algorithm import Algorithm
from dcreid.data.store import FrameStore
from dcreid.memory import FeatureMemory, class_means
from dcreid.network.backbone import Backbone
from dcreid.network.head import EmbeddingHead
from dcreid.network.tracklets import TrackletNetwork

NOTICED = 1e-3  # of a quantity's norm: ten times what is allowed for rounding

Fault = Callable[[pytest.MonkeyPatch], None]
FAULTS: dict[str, tuple[Fault, str]] = {}  # by name: what plants it, and in which variant


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


def without_mean_and_deviation(patch: pytest.MonkeyPatch, *, training: bool) -> None:
    """Frames go into the backbone as they are, in training or for features."""
    true = TrackletNetwork.frame_features

    def features(network: TrackletNetwork, frames: Tensor, rng: None = None) -> Tensor:
        if network.backbone.training is not training:
            return true(network, frames, rng)
        return network.backbone(frames.permute(0, 3, 1, 2).contiguous() / 255.0)

    patch.setattr(TrackletNetwork, "frame_features", features)


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
    true = TrackletNetwork.embed

    def embed(network: TrackletNetwork, pooled: Tensor) -> Tensor:
        assert network.head is not None
        return network.head(pooled) if network.head.training else true(network, pooled)

    patch.setattr(TrackletNetwork, "embed", embed)


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
    update, rates, true = FeatureMemory.update, [], dcreid.training.update_rate

    def rate(*arguments: Any, **named: Any) -> float:
        rates.append(true(*arguments, **named))
        return rates[-1]

    def loss(memory: FeatureMemory, v: Tensor, labels: Tensor) -> Tensor:
        update(memory, v, labels, rates[-1])
        return own_loss(memory, v, labels)

    own_loss = FeatureMemory.loss
    patch.setattr(dcreid.training, "update_rate", rate)
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
    seen: list[Any] = []
    true = TrackletNetwork.batch_features

    def batch_features(network: TrackletNetwork, frames: Tensor, b: int, rng: None) -> Tensor:
        seen[:] = [network, frames]
        return true(network, frames, b, rng)

    def changed(update: Callable[..., None], v: Tensor, labels: Tensor, alpha: float, c: int) -> None:
        network, frames = seen
        before = network.state_dict()
        with torch.no_grad():
            stepped = network.embed(true(network, frames, len(v)))
        network.load_state_dict(before)  # the running statistics are no part of the fault
        update(stepped, labels, alpha)

    patch.setattr(TrackletNetwork, "batch_features", batch_features)
    update_becomes(patch, changed)


@fault("α: of the stage before")
def _(patch: pytest.MonkeyPatch) -> None:
    true = dcreid.training.update_rate
    patch.setattr(dcreid.training, "update_rate", lambda *rest, step: true(*rest, step=step - 1))


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


@fault("frames: not augmented")
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
    without_mean_and_deviation(patch, training=True)


@fault("frames: not normalised for features")
def _(patch: pytest.MonkeyPatch) -> None:
    without_mean_and_deviation(patch, training=False)


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
    true = dcreid.network.tracklets.evenly_spaced
    patch.setattr(dcreid.network.tracklets, "evenly_spaced", lambda store, most: true(store, 0))


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
    true = class_means
    for module in (dcreid.algorithm, dcreid.memory):
        patch.setattr(module, "class_means", lambda features, *rest: true(features.flip(0), *rest))


@fault("rows: of features without the head")
def _(patch: pytest.MonkeyPatch) -> None:
    def same_width(head: EmbeddingHead, features: Tensor) -> Tensor:
        return own_forward(head, features) if head.training else features[:, : head.layers[0].out_features]

    own_forward = EmbeddingHead.forward
    patch.setattr(EmbeddingHead, "forward", same_width)


@fault("rows: kept from before the merge")
def _(patch: pytest.MonkeyPatch) -> None:
    true = Algorithm._memory

    def kept(algorithm: Algorithm, rows: Tensor) -> FeatureMemory:
        return true(algorithm, rows if algorithm.memory is None else algorithm.memory.rows[: len(rows)])

    patch.setattr(Algorithm, "_memory", kept)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them changes some quantity far more than rounding does."""
    plant, variant = FAULTS[name]
    theirs = expected(variant)
    plant(monkeypatch)
    apart = differences(outcome(config(variant)), theirs)
    assert max(apart.values()) > NOTICED

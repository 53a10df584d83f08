"""One stage of training between two merges (Algorithm 1, lines 3 and 6).

The loss is Eq (2) over the feature memory; after each optimiser step the memory takes in the
batch's features. Everything random is drawn from (seed, stage), so a stage repeats exactly
wherever a run was cut.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from dcreid.config import Config, TrainConfig
from dcreid.data.loading import augment, normalise, training_batches
from dcreid.data.store import FrameStore
from dcreid.features import autocast, l2_normalize
from dcreid.memory import FeatureMemory
from dcreid.network.backbone import Backbone
from dcreid.parallel import ONE_PROCESS, Ranks

_STREAMS = {"order": 0, "network": 1, "stage": 2}


class DivergedError(ArithmeticError):
    """The loss is no longer finite; the message names stage and epoch."""


@dataclass(frozen=True)
class StageResult:
    """What a stage of training came to. `loss` is the last epoch's mean; nan where nothing was trained."""

    alpha: float
    lr: float
    loss: float
    frames: int


def generator(seed: int, stream: str, stage: int = 0) -> np.random.Generator:
    """The random numbers of one purpose and stage, independent of all others."""
    return np.random.default_rng([seed, _STREAMS[stream], stage])


@contextlib.contextmanager
def torch_seed(rng: np.random.Generator, device: torch.device) -> Iterator[None]:
    """torch's generators (dropout, initial weights) seeded inside, and as before outside."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(int(rng.integers(2**63)))
        yield


def learning_rate(train: TrainConfig, stage: int, epoch: int) -> float:
    """Rate of stage 1, 2, … and epoch 1, 2, … within it ("Training details").

    Stage 1 starts at lr and is multiplied by lr_decay after lr_decay_epoch epochs; later stages stay
    at the decayed rate, or restart at lr.
    """
    if stage == 1:
        return train.lr * (train.lr_decay if epoch > train.lr_decay_epoch else 1.0)
    return train.lr * (train.lr_decay if train.later_lr == "decayed" else 1.0)


def make_optimiser(backbone: Backbone, head: nn.Module | None, config: Config) -> torch.optim.SGD:
    """SGD whose groups carry their share of the learning rate as `factor`.

    Pre-trained layers get backbone_lr_factor, new ones the full rate; a backbone with random weights
    is new.
    """
    train = config.train
    pretrained = config.model.weights != "none"
    groups = [
        {
            "params": [weight for weight in backbone.parameters() if weight.requires_grad],
            "factor": train.backbone_lr_factor if pretrained else 1.0,
        }
    ]
    if head is not None:
        groups.append({"params": list(head.parameters()), "factor": 1.0})
    groups = [group for group in groups if group["params"]]
    return torch.optim.SGD(
        groups,
        lr=train.lr,
        momentum=train.momentum,
        nesterov=train.momentum > 0,
        weight_decay=train.weight_decay,
        fused=True,
    )


def train_stage(
    network: Callable[[Tensor], Tensor],
    backbone: Backbone,
    head: nn.Module | None,
    memory: FeatureMemory,
    labels: Int[Tensor, " n"],
    store: FrameStore,
    config: Config,
    *,
    stage: int,
    alpha: float,
    device: torch.device,
    on_epoch: Callable[[int, int, int], None] | None = None,
    ranks: Ranks = ONE_PROCESS,
) -> StageResult:
    """Trains `backbone` (and `head`) on the classes `labels` for the epochs of stage 1, 2, …

    network: what maps frames to features, the backbone itself or its compiled form. labels (n,) on
    the CPU. on_epoch(stage, epoch, epochs) is called after each epoch. ranks: those who train it
    together, each on its share of every batch. Raises DivergedError.
    """
    train, data = config.train, config.data
    epochs = train.first_epochs if stage == 1 else train.later_epochs
    if epochs == 0 or not any(weight.requires_grad for weight in _weights(backbone, head)):
        return StageResult(alpha, learning_rate(train, stage, 1), math.nan, 0)
    rng = generator(config.seed, "stage", stage)
    optimiser = make_optimiser(backbone, head, config)
    on_device = labels.to(device)
    modules = [module for module in (backbone, head, memory) if module is not None]
    ranks.broadcast(value for module in modules for value in module.state_dict().values())
    if ranks.size > 1:
        network = _drawing_apart(network, rng.spawn(ranks.size)[ranks.rank], device)
    backbone.train()
    if head is not None:
        head.train()
    lr = loss_mean = math.nan
    with torch_seed(rng, device):
        for epoch in range(1, epochs + 1):
            lr = learning_rate(train, stage, epoch)
            for group in optimiser.param_groups:
                group["lr"] = lr * group["factor"]
            # Losses add up on the device: reading one would stop the GPU in every iteration.
            total = torch.zeros((), device=device)
            batches = training_batches(
                store,
                batch_size=train.batch_size,
                frames=data.frames,
                sampling=data.frame_sampling,
                rng=rng,
                device=device,
                ranks=ranks,
            )
            for frames, tracklets in batches:
                b = len(tracklets)
                varied = augment(frames, data.flip, data.shift, rng, batch=b, share=ranks.share(b))
                v = _embed(network, head, varied, train, device, b, ranks)
                loss = memory.loss(v, on_device[tracklets.to(device, non_blocking=True)])
                optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                ranks.all_reduce_gradients(backbone.parameters())
                if head is not None:  # each rank's were those of the whole batch
                    ranks.broadcast(weight.grad for weight in head.parameters())
                optimiser.step()
                memory.update(v, labels[tracklets], alpha)
                total += loss.detach() * b
            ranks.broadcast([total])
            loss_mean = float(total) / len(store)
            if not math.isfinite(loss_mean):
                raise DivergedError(
                    f"loss is {loss_mean} in epoch {epoch} of stage {stage}: the training diverged "
                    f"(learning rate {lr:g}, temperature {train.temperature:g})"
                )
            if on_epoch is not None:
                on_epoch(stage, epoch, epochs)
    return StageResult(alpha, lr, loss_mean, epochs * len(store) * data.frames)


def _weights(backbone: Backbone, head: nn.Module | None) -> Iterator[nn.Parameter]:
    yield from backbone.parameters()
    if head is not None:
        yield from head.parameters()


def _drawing_apart(
    network: Callable[[Tensor], Tensor], rng: np.random.Generator, device: torch.device
) -> Callable[[Tensor], Tensor]:
    """The network, drawing (stochastic depth) what no other rank draws; outside, all go on alike."""

    def apart(frames: Tensor) -> Tensor:
        with torch_seed(rng, device):
            return network(frames)

    return apart


def _embed(
    network: Callable[[Tensor], Tensor],
    head: nn.Module | None,
    frames: UInt8[Tensor, "s f h w 3"],
    train: TrainConfig,
    device: torch.device,
    b: int,
    ranks: Ranks,
) -> Float[Tensor, "b d"]:
    """L2-normalised features of a batch of b tracklets: mean over the frames, then the head if any.

    frames: those of this rank's share of the batch.
    """
    with autocast(device, train.precision):
        features = network(normalise(frames.flatten(0, 1), train.channels_last))
    pooled = features.float().view(*frames.shape[:2], features.shape[1]).mean(dim=1)
    pooled = ranks.all_gather(pooled, b)
    return l2_normalize(pooled if head is None else head(pooled))

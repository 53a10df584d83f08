"""Stages of training between two merges (Algorithm 1, lines 3 and 6).

The loss is Eq (2) over the feature memory, to which camera proxies may add theirs; after each optimiser
step memory and proxies take in the batch's features. In a batch, and in an epoch, a tracklet may come more
than once (`TrainConfig.sampler`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor, nn

from dcreid.config import Config
from dcreid.data.augmentation import augment
from dcreid.data.loading import training_batches
from dcreid.data.sampling import batches_of, draws_by_class
from dcreid.data.store import FrameStore
from dcreid.memory import FeatureMemory
from dcreid.network.tracklets import TrackletNetwork
from dcreid.proxies import CameraProxies
from dcreid.schedules import learning_rate, update_rate
from dcreid.seeding import generator, torch_seed


class DivergedError(ArithmeticError):
    """Loss or features are no longer finite; the message names the stage."""


@dataclass(frozen=True)
class StageResult:
    """The figures of a stage, of its last epoch: `lr` of new layers, `loss` the mean of Eq (2).

    `loss` is nan where nothing was trained. `frames` were trained on in all epochs.
    """

    alpha: float
    lr: float
    loss: float
    frames: int


def make_optimiser(network: TrackletNetwork, config: Config) -> torch.optim.SGD:
    """SGD whose parameter groups have their factor of the learning rate as `factor`.

    Pre-trained layers have backbone_lr_factor, new ones 1; a backbone with random weights is new.
    """
    train = config.train
    pretrained = config.model.weights != "none"
    groups = [
        {
            "params": [weight for weight in network.backbone.parameters() if weight.requires_grad],
            "factor": train.backbone_lr_factor if pretrained else 1.0,
        }
    ]
    if network.head is not None:
        groups.append({"params": list(network.head.parameters()), "factor": 1.0})
    groups = [group for group in groups if group["params"]]
    return torch.optim.SGD(
        groups,
        lr=train.lr,
        momentum=train.momentum,
        nesterov=train.momentum > 0,
        weight_decay=train.weight_decay,
        fused=True,
    )


class Trainer:
    """Trains a network on the tracklets of a store, one stage after the other.

    on_epoch(stage, epoch, epochs) is called after each epoch.
    """

    def __init__(
        self,
        network: TrackletNetwork,
        store: FrameStore,
        config: Config,
        on_epoch: Callable[[int, int, int], None] | None = None,
    ):
        self.network, self.store, self.config, self.on_epoch = network, store, config, on_epoch

    def train_stage(
        self,
        stage: int,
        memory: FeatureMemory,
        labels: Int[Tensor, " n"],
        cameras: Int[Tensor, " n"] | None = None,
        proxies: CameraProxies | None = None,
    ) -> StageResult:
        """Trains network and memory on the classes `labels` (on the CPU) for the epochs of stage 1, 2, …

        cameras: of the tracklets, on the CPU; None = unknown. proxies: trained with the memory; None =
        none. The result depends on all these, the weights and (seed, stage), and on nothing else. Raises
        DivergedError.
        """
        train, network, ranks = self.config.train, self.network, self.network.ranks
        device = network.device
        merge_rate = self.config.merge.merge_rate
        alpha = update_rate(train.alpha_schedule, train.alpha, merge_rate, step=stage)
        epochs = train.first_epochs if stage == 1 else train.later_epochs
        if epochs == 0 or not network.trainable:
            return StageResult(alpha, learning_rate(train, stage, 1), math.nan, 0)

        # All ranks start from the same weights, with momentum 0 and the stage's own random numbers; what
        # the backbone draws itself must differ between ranks.
        rng = generator(self.config.seed, "stage", stage)
        backbone_rng = rng.spawn(ranks.size)[ranks.rank] if ranks.size > 1 else None
        optimiser = make_optimiser(network, self.config)
        weights = [weight for group in optimiser.param_groups for weight in group["params"]]
        network.broadcast_weights()
        ranks.broadcast([memory.rows, None if proxies is None else proxies.memory.rows])
        network.train()
        on_device = labels.to(device)

        with torch_seed(rng, device):
            for epoch in range(1, epochs + 1):
                lr = learning_rate(train, stage, epoch)
                for group in optimiser.param_groups:
                    group["lr"] = lr * group["factor"]
                # Losses are added up on the device: reading one would stop the GPU in every iteration.
                total = torch.zeros((), device=device)
                plan = self._plan(labels, cameras, rng)

                for frames, tracklets in self._batches(plan, rng):
                    # Forward: Eq (2) for the features of b augmented tracklets.
                    b = len(tracklets)
                    augmented = self._augmented(frames, b, rng)
                    v = network.embed(network.batch_features(augmented, b, backbone_rng))  # (b, e)
                    loss = memory.loss(v, on_device[tracklets.to(device, non_blocking=True)])

                    # Backward: a step of SGD with the gradients of the whole batch.
                    optimiser.zero_grad(set_to_none=True)
                    whole = loss if proxies is None else loss + proxies.loss(v, tracklets)
                    whole.backward()  # type: ignore[no-untyped-call]
                    network.combine_gradients()
                    if train.clip_norm:
                        nn.utils.clip_grad_norm_(weights, train.clip_norm)
                    optimiser.step()

                    # Line 6: the memory takes in the features that the loss was computed from.
                    memory.update(v, labels[tracklets], alpha)
                    if proxies is not None:
                        proxies.update(v, tracklets, alpha)
                    total += loss.detach() * b

                ranks.broadcast([total])
                trained = sum(map(len, plan))
                mean_loss = float(total) / trained
                if not math.isfinite(mean_loss):
                    raise DivergedError(
                        f"loss is {mean_loss} in epoch {epoch} of stage {stage}: the training diverged "
                        f"(learning rate {lr:g}, temperature {train.temperature:g})"
                    )
                if self.on_epoch is not None:
                    self.on_epoch(stage, epoch, epochs)
        return StageResult(alpha, lr, mean_loss, epochs * trained * self.config.data.frames)

    def _plan(
        self, labels: Int[Tensor, " n"], cameras: Int[Tensor, " n"] | None, rng: np.random.Generator
    ) -> list[Int[np.ndarray, " _"]]:
        """The tracklets of an epoch's batches."""
        train = self.config.train
        if train.sampler == "classes":
            order = draws_by_class(
                labels.numpy(),
                None if cameras is None else cameras.numpy(),
                per_class=train.tracklets_per_class,
                classes_per_batch=train.batch_size // train.tracklets_per_class,
                rng=rng,
            )
        else:
            order = rng.permutation(len(self.store))
        return batches_of(order, train.batch_size, drop_last=train.drop_last)

    def _batches(
        self, plan: list[Int[np.ndarray, " _"]], rng: np.random.Generator
    ) -> Iterator[tuple[UInt8[Tensor, "s f h w 3"], Int[Tensor, " b"]]]:
        """One epoch: frames of this rank's share of each batch, on the device; the batch's tracklets."""
        return training_batches(
            self.store,
            plan,
            frames=self.config.data.frames,
            sampling=self.config.data.frame_sampling,
            rng=rng,
            device=self.network.device,
            ranks=self.network.ranks,
        )

    def _augmented(
        self, frames: UInt8[Tensor, "s f h w 3"], b: int, rng: np.random.Generator
    ) -> UInt8[Tensor, "s f h w 3"]:
        data, share = self.config.data, self.network.ranks.share(b)
        return augment(
            frames,
            data.flip,
            data.shift,
            rng,
            crop=data.crop,
            per=data.augment_per,
            batch=b,
            share=share,
        )

"""From the frames of a tracklet to its feature (paper, "Setting").

A tracklet's feature is the mean of its frames' backbone features. Clustering and evaluation compare
these means, L2-normalised; the memory gets them behind the optional head, L2-normalised.

Shapes: n tracklets of a store, b of a batch, s of this rank's share of the batch, f frames of each,
(h, w) frame size, d width of the backbone's features, e width behind the head.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional

from dcreid.config import Config
from dcreid.data.augmentation import normalise
from dcreid.data.loading import frame_runs
from dcreid.data.sampling import evenly_spaced
from dcreid.data.store import FrameStore
from dcreid.network.backbone import Backbone, backbone_of
from dcreid.network.batch_norm import synchronise_batch_norm
from dcreid.network.head import BucHead, EmbeddingHead, head_of
from dcreid.network.weights import versioned
from dcreid.parallel import ONE_PROCESS, Ranks
from dcreid.precision import autocast
from dcreid.seeding import generator, torch_seed


def l2_normalize(features: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """v = φ / ‖φ‖ of the paper's "Setting"."""
    return functional.normalize(features, dim=1)


_SIXTHS = 6  # two make a third, three a half


@dataclass(frozen=True)
class TrackletFeatures:
    """Features of n tracklets and of parts of them, for the scores of `dcreid/evaluation/unlabelled.py`.

    A frame belongs to the sixth of its tracklet in which its middle lies. Parts are means of their own
    frames, of length 1. A tracklet of one frame has no first and last third (rows of 0), and is the same in
    both halves; from two frames on no part is empty.
    """

    pooled: Float[Tensor, "n d"]  # the mean over all frames, not normalised
    halves: Float[Tensor, "2 n d"]
    ends: Float[Tensor, "2 n d"]  # the first and the last third

    @classmethod
    def of(
        cls, pooled: Float[Tensor, "n d"], sixths: Float[Tensor, "n 6 d"], frames: Int[Tensor, " n"]
    ) -> TrackletFeatures:
        """From the sums over each sixth. frames: how many each tracklet has."""
        halves = torch.stack([sixths[:, :3].sum(dim=1), sixths[:, 3:].sum(dim=1)])
        ends = torch.stack([sixths[:, :2].sum(dim=1), sixths[:, 4:].sum(dim=1)])
        single = (frames == 1)[:, None]
        return cls(
            pooled,
            functional.normalize(torch.where(single, pooled, halves), dim=2),
            functional.normalize(ends, dim=2),
        )

    def of_rows(self, rows: Int[Tensor, " k"]) -> TrackletFeatures:
        """Those of some tracklets, or of all in another order."""
        return TrackletFeatures(self.pooled[rows], self.halves[:, rows], self.ends[:, rows])


class TrackletNetwork:
    """Backbone and optional head on one device, and how frames go through them.

    With several `ranks`, each computes the features of its share of the frames.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: EmbeddingHead | None = None,
        *,
        device: torch.device,
        precision: str = "auto",
        channels_last: bool = True,
        compiled: bool = False,
        mirrored: bool = False,
        ranks: Ranks = ONE_PROCESS,
    ):
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.backbone: Backbone = backbone.to(device=device, memory_format=layout)  # type: ignore[call-overload]
        self.head = None if head is None else head.to(device)
        self.device, self.ranks = device, ranks
        self._precision, self._channels_last = precision, channels_last
        self._mirrored = mirrored  # whether features of tracklets are of mirror images, too
        self._call_backbone: Callable[[Tensor], Tensor] = torch.compile(backbone) if compiled else backbone

    @property
    def modules(self) -> list[nn.Module]:
        """The backbone, and the head if there is one."""
        return [self.backbone] if self.head is None else [self.backbone, self.head]

    @property
    def trainable(self) -> bool:
        """Whether any weight is not frozen."""
        return any(weight.requires_grad for module in self.modules for weight in module.parameters())

    def train(self) -> None:
        """Training mode (batch norm, dropout)."""
        for module in self.modules:
            module.train()

    def eval(self) -> None:
        """Evaluation mode."""
        for module in self.modules:
            module.eval()

    # --- features

    def frame_features(
        self, frames: UInt8[Tensor, "k h w 3"], rng: np.random.Generator | None = None
    ) -> Float[Tensor, "k d"]:
        """Backbone features of single frames, in float32.

        rng: seeds what the backbone draws itself (stochastic depth); None = torch's generators as they are.
        """
        pixels = normalise(frames, self._channels_last)
        seeded = contextlib.nullcontext() if rng is None else torch_seed(rng, self.device)
        with seeded, autocast(self.device, self._precision):
            return self._call_backbone(pixels).float()

    def eval_features(self, frames: UInt8[Tensor, "k h w 3"]) -> Float[Tensor, "k d"]:
        """`frame_features` as those of tracklets are made of them: the mean of a frame's and, if the network
        was made so, its mirror image's. To be called in evaluation mode."""
        features = self.frame_features(frames)
        return (features + self.frame_features(frames.flip(2))) / 2 if self._mirrored else features

    def batch_features(
        self, frames: UInt8[Tensor, "s f h w 3"], b: int, rng: np.random.Generator | None = None
    ) -> Float[Tensor, "b d"]:
        """Pooled features of a batch of b tracklets, of which `frames` are this rank's share."""
        features = self.frame_features(frames.flatten(0, 1), rng)  # (s · f, d)
        pooled = features.view(*frames.shape[:2], features.shape[1]).mean(dim=1)  # (s, d)
        return self.ranks.all_gather(pooled, b)

    def embed(self, pooled: Float[Tensor, "n d"]) -> Float[Tensor, "n e"]:
        """v, as the memory gets it: pooled features behind the head if there is one, L2-normalised.

        With BUC's head L2 comes before its dropout.
        """
        v: Tensor = pooled if self.head is None else self.head(pooled)
        return v if isinstance(self.head, BucHead) else l2_normalize(v)

    def pooled_features(
        self, store: FrameStore, *, most_frames: int = 0, batch: int = 512
    ) -> Float[Tensor, "n d"]:
        """Features of every tracklet of a store in evaluation mode, which stays on; not normalised.

        The mean over its frames and, if the network was made so, their mirror images.

        most_frames: at most so many evenly spaced frames of each tracklet; 0 = all. batch: frames at a
        time, whatever tracklet they belong to.
        """
        return self._means_and_sixths(store, most_frames, batch, with_sixths=False)[0]

    def tracklet_features(
        self, store: FrameStore, *, most_frames: int = 0, batch: int = 512
    ) -> TrackletFeatures:
        """The same, and the features of parts of the tracklets, all from one pass over the frames."""
        pooled, sixths, frames = self._means_and_sixths(store, most_frames, batch, with_sixths=True)
        return TrackletFeatures.of(pooled, sixths, frames)

    @torch.inference_mode()
    def _means_and_sixths(
        self, store: FrameStore, most_frames: int, batch: int, *, with_sixths: bool
    ) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n s d"], Int[Tensor, " n"]]:
        """Means of all frames, sums over each sixth (if wanted, else s = 0), and the number of frames."""
        self.eval()
        n, rows_of_sixths = len(store), _SIXTHS if with_sixths else 0
        rows, kept = evenly_spaced(store, most_frames)
        counts = torch.from_numpy(kept).to(self.device)
        owner = torch.repeat_interleave(torch.arange(n, device=self.device), counts)
        place = torch.arange(len(owner), device=self.device) - (counts.cumsum(0) - counts)[owner]
        part = owner * _SIXTHS + (2 * place + 1) * _SIXTHS // (2 * counts[owner])
        sums = torch.zeros(n, self.backbone.dim, device=self.device)
        sixths = torch.zeros(n * rows_of_sixths, self.backbone.dim, device=self.device)
        share = self.ranks.share(len(rows))
        start = share.start
        for frames in frame_runs(store, rows[share], batch, self.device):
            features = self.eval_features(frames)
            span = slice(start, start + len(frames))
            sums.index_add_(0, owner[span], features)
            if with_sixths:
                sixths.index_add_(0, part[span], features)
            start = span.stop
        if with_sixths:
            sixths = self.ranks.all_reduce(sixths)
        means = self.ranks.all_reduce(sums) / counts[:, None]
        return means, sixths.view(n, rows_of_sixths, self.backbone.dim), counts

    # --- several ranks

    def broadcast_weights(self) -> None:
        """Gives every rank the weights of rank 0."""
        self.ranks.broadcast(value for module in self.modules for value in module.state_dict().values())

    def combine_gradients(self) -> None:
        """After `backward`: gives every rank the gradients of the whole batch.

        In the backbone each rank has its share's part of them; in the head, which saw all tracklets
        on every rank, each has them whole, up to rounding.
        """
        self.ranks.all_reduce_gradients(self.backbone.parameters())
        if self.head is not None:
            self.ranks.broadcast(weight.grad for weight in self.head.parameters())

    # --- the state

    def state_dict(self) -> dict[str, Any]:
        """Copies of all weights and statistics on the CPU, as "backbone" and "head"."""
        return {
            "backbone": _on_cpu(self.backbone.state_dict()),
            "head": None if self.head is None else _on_cpu(self.head.state_dict()),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over the entries "backbone" and "head" of a state."""
        self.backbone.load_state_dict(versioned(self.backbone, state["backbone"]))
        if self.head is not None:
            self.head.load_state_dict(state["head"])


def _on_cpu(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in state.items()}


def build_network(
    config: Config,
    device: torch.device,
    *,
    checkpoint_activations: bool = False,
    ranks: Ranks = ONE_PROCESS,
) -> TrackletNetwork:
    """The network of a configuration, with the initial weights of its seed. Raises BackboneError."""
    train = config.train
    with torch_seed(generator(config.seed, "network"), device):
        backbone = backbone_of(config)
        head = head_of(config.model, backbone.dim)
    synchronise_batch_norm(backbone, ranks, device)
    if checkpoint_activations:
        backbone.checkpoint_activations()
    return TrackletNetwork(
        backbone,
        head,
        device=device,
        precision=train.precision,
        channels_last=train.channels_last,
        compiled=train.compile,
        mirrored=config.data.eval_mirror,
        ranks=ranks,
    )

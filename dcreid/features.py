"""Tracklet features: the mean of the backbone features of a tracklet's frames (paper, "Setting").

Each frame goes through the backbone once, in large batches that do not care for tracklet borders.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from dcreid.data.loading import evenly_spaced, frame_runs, normalise
from dcreid.data.store import FrameStore
from dcreid.network.backbone import Backbone
from dcreid.parallel import ONE_PROCESS, Ranks


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """The precision of convolutions: auto is bf16 on CUDA and float32 elsewhere."""
    bf16 = precision == "bf16" or (precision == "auto" and device.type == "cuda")
    return torch.autocast(device.type, dtype=torch.bfloat16) if bf16 else contextlib.nullcontext()


@torch.inference_mode()
def pooled_features(
    backbone: Backbone,
    store: FrameStore,
    device: torch.device,
    *,
    network: Callable[[Tensor], Tensor] | None = None,
    most_frames: int = 0,
    batch: int = 512,
    precision: str = "auto",
    channels_last: bool = True,
    ranks: Ranks = ONE_PROCESS,
) -> Float[Tensor, "n d"]:
    """Mean backbone feature of every tracklet in float32, on the device, not yet normalised.

    network: what maps frames to features where that is not the backbone itself, its compiled form.
    most_frames: at most so many evenly spaced frames of each tracklet; 0 = all. ranks: what they each
    extract adds up to the same features on all. The backbone is left in the mode it came in.
    """
    network = backbone if network is None else network
    was_training = backbone.training
    backbone.eval()
    rows, kept = evenly_spaced(store, most_frames)
    counts = torch.from_numpy(kept).to(device)
    owner = torch.repeat_interleave(torch.arange(len(store), device=device), counts)
    sums = torch.zeros(len(store), backbone.dim, device=device)
    share = ranks.share(len(rows))
    start = share.start
    for frames in frame_runs(store, rows[share], batch, device):
        with autocast(device, precision):
            features = network(normalise(frames, channels_last))
        sums.index_add_(0, owner[start : start + len(frames)], features.float())
        start += len(frames)
    backbone.train(was_training)
    return ranks.all_reduce(sums) / counts[:, None]


def l2_normalize(features: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """v = φ / ‖φ‖ of the paper's "Setting"."""
    return functional.normalize(features, dim=1)

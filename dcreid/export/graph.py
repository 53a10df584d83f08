"""What an exported graph computes: the backbone, and what its reader leaves to it before and after."""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dcreid.data.augmentation import MEAN, STD
from dcreid.model import Model
from dcreid.network.tracklets import l2_normalize


class Graph(nn.Module):
    """Images (b, 3, h, w) to features (b, d); see `graph_of` for what happens on the way."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: nn.Module, *, normalises: bool, mirrored: bool, unit: bool):
        super().__init__()
        self.network = network
        self.normalises, self.mirrored, self.unit = normalises, mirrored, unit
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(STD).view(1, 3, 1, 1))

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        frames = (images - self.mean) / self.deviation if self.normalises else images
        if self.mirrored:
            b, both = images.shape[0], self.network(torch.cat([frames, frames.flip(3)]))
            features = (both[:b] + both[b:]) / 2
        else:
            features = self.network(frames)
        return l2_normalize(features) if self.unit else features


def graph_of(model: Model, *, normalises: bool, unit: bool) -> Graph:
    """A float32 copy of the model's network on the CPU, in evaluation mode.

    normalises: images come as RGB from 0 to 1, and ImageNet's mean and deviation are taken out here. unit:
    features leave with length 1. Where the model takes the mean with mirror images, the graph does.
    """
    network = copy.deepcopy(model.network.backbone.network).to("cpu", torch.float32)
    network = network.to(memory_format=torch.contiguous_format)
    mirrored = model.config.data.eval_mirror
    graph = Graph(network, normalises=normalises, mirrored=mirrored, unit=unit)
    return graph.eval().requires_grad_(False)

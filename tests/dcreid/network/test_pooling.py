"""A frame's feature is the mean over the positions of the map that a network pools."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dcreid.network.backbone import build_backbone

# The map that a network pools, as its forward pass in torchvision has it.
MAPS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "mobilenet_v2": lambda net, x: net.features(x),
    "shufflenet_v2_x0_5": lambda net, x: net.conv5(
        net.stage4(net.stage3(net.stage2(net.maxpool(net.conv1(x)))))
    ),
    "squeezenet1_1": lambda net, x: net.features(x),
    "densenet121": lambda net, x: torch.relu(net.features(x)),
    "convnext_tiny": lambda net, x: net.features(x),
    "vgg11": lambda net, x: net.features(x),
}
LARGE = ("densenet121", "convnext_tiny", "vgg11")


@torch.no_grad()
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in MAPS]
)
def test_features_are_means_over_the_positions_of_a_map(name: str) -> None:
    torch.manual_seed(0)
    backbone = build_backbone(name, "none", height=96, width=64).eval()
    frames = torch.randn(2, 3, 96, 64)
    maps = MAPS[name](backbone.network, frames).double().flatten(2).numpy()
    assert maps.shape[2] > 1
    np.testing.assert_allclose(backbone(frames).numpy(), maps.mean(axis=2), rtol=1e-4, atol=1e-5)

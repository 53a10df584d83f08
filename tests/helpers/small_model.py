"""A model with a network of three layers, which is exported within a second."""

from __future__ import annotations

import torch
from torch import nn

from dcreid.config import Config
from dcreid.model import Card, Model
from dcreid.network.backbone import Backbone
from dcreid.network.pooling import GlobalPool
from dcreid.network.tracklets import TrackletNetwork


def small_model(height: int = 32, width: int = 16, mirrored: bool = False, **changes: object) -> Model:
    """Random weights. changes: further fields of its configuration, with `__` for the dot."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 5, 2, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 12, 3, 2, 1))
    network.append(GlobalPool())
    network[1].running_mean.normal_()
    network[1].running_var.uniform_(0.5, 2.0)
    values: dict[str, object] = {
        "data.dataset": "folder",
        "data.height": height,
        "data.width": width,
        "data.eval_mirror": mirrored,
        **{name.replace("__", "."): value for name, value in changes.items()},
    }
    config = Config().replace(**values)
    tracklets = TrackletNetwork(Backbone(network, 12, 0), device=torch.device("cpu"), mirrored=mirrored)
    return Model(tracklets, Card(config, "test", "folder", "0" * 8, "nothing: random weights"))

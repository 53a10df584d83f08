"""The embedding head."""

from __future__ import annotations

import torch
from torch import nn

from dcreid.network.head import EmbeddingHead


def test_the_head_is_linear_batch_norm_dropout():
    head = EmbeddingHead(6, 4, 0.5)
    assert [type(layer) for layer in head.layers] == [nn.Linear, nn.BatchNorm1d, nn.Dropout]
    assert head(torch.randn(3, 6)).shape == (3, 4)

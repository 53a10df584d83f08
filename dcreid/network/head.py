"""The optional layer between backbone and memory; clustering and evaluation never see it."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from dcreid.precision import float32_linear


class EmbeddingHead(nn.Module):
    """Linear (in full float32), batch norm, dropout: (b, d) pooled features to (b, embedding_dim)."""

    def __init__(self, dim: int, embedding_dim: int, dropout: float):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(dim, embedding_dim), nn.BatchNorm1d(embedding_dim), nn.Dropout(dropout)
        )

    def forward(self, features: Float[Tensor, "b d"]) -> Float[Tensor, "b e"]:
        linear, norm, dropout = self.layers
        assert isinstance(linear, nn.Linear)
        embedded: Tensor = dropout(norm(float32_linear(features, linear.weight, linear.bias)))
        return embedded

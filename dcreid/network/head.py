"""The optional layer between backbone and memory; clustering and evaluation never see it."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dcreid.config import ModelConfig
from dcreid.precision import float32_linear


class EmbeddingHead(nn.Module):
    """Linear (in full float32), batch norm, dropout: (b, d) pooled features to (b, embedding_dim).

    L2 comes behind it (`TrackletNetwork.embed`).
    """

    def __init__(self, dim: int, embedding_dim: int, dropout: float):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(dim, embedding_dim), nn.BatchNorm1d(embedding_dim), nn.Dropout(dropout)
        )

    def forward(self, features: Float[Tensor, "b d"]) -> Float[Tensor, "b e"]:
        embedded: Tensor = self.layers[2](self._normed(features))
        return embedded

    def _normed(self, features: Float[Tensor, "b d"]) -> Float[Tensor, "b e"]:
        linear, norm, _ = self.layers
        assert isinstance(linear, nn.Linear)
        normed: Tensor = norm(float32_linear(features, linear.weight, linear.bias))
        return normed


class BucHead(EmbeddingHead):
    """As in the code of BUC and DBC: dropout behind L2, and their initial weights.

    Rows have length 1 in evaluation mode; in training their squared length is 1 / (1 − dropout) on average.
    """

    def __init__(self, dim: int, embedding_dim: int, dropout: float):
        super().__init__(dim, embedding_dim, dropout)
        linear = self.layers[0]
        assert isinstance(linear, nn.Linear)
        nn.init.kaiming_normal_(linear.weight, mode="fan_out")
        nn.init.zeros_(linear.bias)

    def forward(self, features: Float[Tensor, "b d"]) -> Float[Tensor, "b e"]:
        embedded: Tensor = self.layers[2](functional.normalize(self._normed(features), dim=1))
        return embedded


def head_of(model: ModelConfig, dim: int) -> EmbeddingHead | None:
    """The head of a configuration for features of width `dim`; initial weights from torch's generator."""
    kinds = {"embedding": EmbeddingHead, "buc": BucHead}
    return kinds[model.head](dim, model.embedding_dim, model.dropout) if model.head != "none" else None

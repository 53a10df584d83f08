"""Global average pooling, in the place of a network's classifier."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class GlobalPool(nn.Module):
    """The mean over positions, for networks whose features are not pooled yet."""

    def forward(self, features: Float[Tensor, "b d ..."]) -> Float[Tensor, "b d"]:
        return features.flatten(2).mean(dim=2) if features.ndim > 2 else features

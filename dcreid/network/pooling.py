"""Global pooling, in the place of a network's classifier."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class GlobalPool(nn.Module):
    """The mean over positions, for networks whose features are not pooled yet."""

    def forward(self, features: Float[Tensor, "b d ..."]) -> Float[Tensor, "b d"]:
        return features.flatten(2).mean(dim=2) if features.ndim > 2 else features


def before_pooling(network: nn.Module) -> nn.Sequential | nn.ModuleList | None:
    """The modules of which the last gives the map that is pooled; None where there is no such map.

    network: with a GlobalPool in its classifier's place.
    """
    pools = nn.AdaptiveAvgPool2d | GlobalPool
    last = [module for module in network.children() if not isinstance(module, pools)][-1]
    return last if isinstance(last, nn.Sequential | nn.ModuleList) else None

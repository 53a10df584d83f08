"""Global pooling, in the place of a network's classifier: the mean over positions, or GeM."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dcreid.network.weights import BackboneError

_P = 3.0  # of GeM in person re-identification, where it is not learnt
_LEAST = 1e-6


class GlobalPool(nn.Module):
    """The mean over positions, for networks whose features are not pooled yet."""

    def forward(self, features: Float[Tensor, "b d ..."]) -> Float[Tensor, "b d"]:
        return features.flatten(2).mean(dim=2) if features.ndim > 2 else features


def pool_by_generalised_mean(name: str, network: nn.Module, classifier: str) -> None:
    """GeM in place of the mean: (mean over positions of max(x, 1e-6)^p)^(1/p) with p = 3, in place.

    "Fine-tuning CNN Image Retrieval" (arXiv 1711.02512), Eq (3). Powers are taken in front of the mean
    that the network computes itself, in whatever way, and the root behind it, in the place of its
    classifier. Raises BackboneError for networks without a map of features before their pooling.
    """
    last = before_pooling(network)
    if last is None:
        raise BackboneError(
            f"pooling = gem: not possible with backbone {name!r}, it has no map of features before its "
            "pooling; use pooling = average"
        )
    last.append(_Powers())
    setattr(network, classifier, _RootOfMean())


def before_pooling(network: nn.Module) -> nn.Sequential | nn.ModuleList | None:
    """The modules of which the last gives the map that is pooled; None where there is no such map.

    network: with a GlobalPool in its classifier's place.
    """
    pools = nn.AdaptiveAvgPool2d | GlobalPool
    last = [module for module in network.children() if not isinstance(module, pools)][-1]
    return last if isinstance(last, nn.Sequential | nn.ModuleList) else None


class _Powers(nn.Module):
    """max(x, 1e-6)^p, in float32 at least: bf16 would leave two digits of the mean."""

    def forward(self, features: Float[Tensor, "b d h w"]) -> Float[Tensor, "b d h w"]:
        exact = features.to(torch.promote_types(features.dtype, torch.float32))
        return exact.clamp(min=_LEAST).pow(_P)


class _RootOfMean(GlobalPool):
    def forward(self, features: Float[Tensor, "b d ..."]) -> Float[Tensor, "b d"]:
        return super().forward(features).pow(1.0 / _P)

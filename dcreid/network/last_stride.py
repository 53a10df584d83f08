"""Stride 1 in a backbone's last reduction: a map of twice the height and width, with the same weights.

Practice in person re-identification since "Beyond Part Models" (arXiv 1711.09349). The layers are found
by what they do to a frame: those that reduce the same map as the last one that reduces at all, such as
both branches of a residual block.
"""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dcreid.network.pooling import GlobalPool
from dcreid.network.weights import BackboneError

_Reducing = nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d


@torch.no_grad()
def without_last_reduction(name: str, network: nn.Module, frame: Float[Tensor, "1 3 h w"]) -> None:
    """Sets the stride of the layers of the last reduction to 1, in place.

    frame: any of a size that the network takes as it is. Raises BackboneError where the map before
    pooling does not become twice as high and wide, up to one row and column.
    """
    network.eval()
    last = _before_pooling(network)
    if last is None:
        raise _refused(name, "it has no map of features before its pooling")
    before = _map_size(network, last[-1], frame)
    for layer in _last_reduction(network, frame):
        layer.stride = (1, 1) if isinstance(layer, nn.Conv2d) else 1
    try:
        after = _map_size(network, last[-1], frame)
    except (RuntimeError, AssertionError) as error:
        raise _refused(name, f"it does not take a larger map ({error})") from None
    if after == before or any(abs(long - 2 * short) > 1 for short, long in zip(before, after, strict=True)):
        was, now = (f"{height}×{width}" for height, width in (before, after))
        raise _refused(name, f"its map of {was} would become one of {now}, not of twice the size")


def _before_pooling(network: nn.Module) -> nn.Sequential | nn.ModuleList | None:
    """The modules of which the last gives the map that is pooled; None where there is no such map.

    network: with a GlobalPool in its classifier's place.
    """
    pools = nn.AdaptiveAvgPool2d | GlobalPool
    last = [module for module in network.children() if not isinstance(module, pools)][-1]
    return last if isinstance(last, nn.Sequential | nn.ModuleList) else None


def _refused(name: str, why: str) -> BackboneError:
    return BackboneError(f"last_stride = 1: not possible with backbone {name!r}, {why}; use last_stride = 2")


def _last_reduction(network: nn.Module, frame: Tensor) -> list[_Reducing]:
    """The layers that reduce a map of the size that the last one does."""
    called: list[tuple[_Reducing, torch.Size]] = []

    def note(layer: Any, given: tuple[Tensor, ...]) -> None:
        if layer.stride not in (1, (1, 1)):
            called.append((layer, given[0].shape[2:]))

    with contextlib.ExitStack() as hooks:
        for module in network.modules():
            if isinstance(module, _Reducing):
                hooks.enter_context(module.register_forward_pre_hook(note))
        network(frame)
    return [layer for layer, size in called if size == called[-1][1]]


def _map_size(network: nn.Module, last: nn.Module, frame: Tensor) -> torch.Size:
    """Height and width of what the module `last` gives."""
    sizes: list[torch.Size] = []
    with last.register_forward_hook(lambda *called: sizes.append(called[2].shape[2:])):
        network(frame)
    return sizes[0]

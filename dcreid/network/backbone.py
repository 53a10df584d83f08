"""The backbone φ(θ; x): any torchvision classification network without its classifier.

Frames go in, one pooled feature per frame comes out.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torchvision
from jaxtyping import Float
from torch import Tensor, nn

from dcreid.network.pooling import GlobalPool
from dcreid.network.recomputation import recompute_activations
from dcreid.network.weights import BackboneError as BackboneError
from dcreid.network.weights import load_weights, with_imagenet_weights

# Where torchvision's networks keep their classifier.
_CLASSIFIERS = ("fc", "classifier", "head", "heads")
_SEVERAL_CLASSIFIERS = ("inception_v3", "googlenet")


class Backbone(nn.Module):
    """Normalised frames (b, 3, h, w) to features (b, dim); the first `frozen_stages` are not trained.

    Stages are the children of `features`, or for residual networks stem, layer1, … layer4.
    """

    def __init__(self, network: nn.Module, dim: int, frozen_stages: int):
        super().__init__()
        self.network, self.dim = network, dim
        stages = _stages(network)
        if frozen_stages > len(stages):
            raise BackboneError(f"frozen_stages = {frozen_stages}: this backbone has {len(stages)} stages")
        self._frozen = [module for stage in stages[:frozen_stages] for module in stage]
        for module in self._frozen:
            module.requires_grad_(False)
        self.train()

    def forward(self, frames: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        pooled: Tensor = self.network(frames)
        return pooled

    def train(self, mode: bool = True) -> Backbone:
        """As `nn.Module.train`, but frozen stages stay in evaluation mode, batch norm included."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def checkpoint_activations(self) -> None:
        """Saves memory in training, see `dcreid/network/recomputation.py`. To be called last."""
        recompute_activations(self.network)


def build_backbone(
    name: str, weights: str = "imagenet", *, frozen_stages: int = 0, height: int = 256, width: int = 128
) -> Backbone:
    """torchvision's network `name` with `weights`: imagenet, none, or the path of a state dict.

    Random weights come from torch's global generator: seed it first. Raises BackboneError when the
    name is unknown, the network cannot take height × width frames, or the weights cannot be loaded.
    """
    _check_name(name)
    imagenet = weights == "imagenet"
    network = with_imagenet_weights(name) if imagenet else torchvision.models.get_model(name)
    classifier = _classifier_name(name, network)
    if weights not in ("imagenet", "none"):
        load_weights(network, Path(weights), classifier)
    setattr(network, classifier, GlobalPool())
    if name.startswith(("vgg", "alexnet")):
        network.avgpool = nn.AdaptiveAvgPool2d(1)
    return Backbone(network, _feature_width(name, network, height, width), frozen_stages)


def stage_count(name: str) -> int:
    """How many stages of a backbone can be frozen. Raises BackboneError as `build_backbone` does."""
    _check_name(name)
    with torch.device("meta"):
        network = torchvision.models.get_model(name, weights=None)
    setattr(network, _classifier_name(name, network), GlobalPool())
    return len(_stages(network))


def _check_name(name: str) -> None:
    if name not in torchvision.models.list_models(module=torchvision.models):
        raise BackboneError(
            f"backbone {name!r}: not a torchvision classification network (resnet50, mobilenet_v2, …)"
        )
    if name in _SEVERAL_CLASSIFIERS:
        raise BackboneError(f"backbone {name!r}: not supported, it has no single classifier to cut off")


def _classifier_name(name: str, network: nn.Module) -> str:
    for attribute in _CLASSIFIERS:
        if hasattr(network, attribute):
            return attribute
    raise BackboneError(f"backbone {name!r}: not supported, it has no classifier where others do")


def _stages(network: nn.Module) -> list[list[nn.Module]]:
    if hasattr(network, "layer1"):
        stem = [module for name, module in network.named_children() if name in ("conv1", "bn1")]
        return [stem, *([getattr(network, f"layer{i}")] for i in range(1, 5))]
    features = getattr(network, "features", getattr(network, "layers", network))
    children = [child for child in features.children() if not isinstance(child, GlobalPool)]
    return [[child] for child in children if any(True for _ in child.parameters())]


@torch.no_grad()
def _feature_width(name: str, network: nn.Module, height: int, width: int) -> int:
    """Tried on one blank frame. Raises BackboneError for frame sizes that the network cannot take."""
    network.eval()
    try:
        output = network(torch.zeros(1, 3, height, width))
    except (RuntimeError, AssertionError) as error:
        raise BackboneError(f"backbone {name!r} does not take {height}×{width} frames: {error}") from error
    if output.ndim != 2:
        raise BackboneError(
            f"backbone {name!r}: gives features of shape {tuple(output.shape)}, not a vector per frame"
        )
    if not bool(output.isfinite().all()):
        raise BackboneError(f"backbone {name!r}: its weights give features that are NaN or infinite")
    return int(output.shape[1])

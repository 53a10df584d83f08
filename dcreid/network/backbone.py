"""The backbone φ(θ; x): any torchvision classification network without its classifier.

Frames go in, one pooled feature per frame comes out.
"""

from __future__ import annotations

import functools
import itertools
import math
from pathlib import Path

import torch
import torchvision
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dcreid.config import Config
from dcreid.network.last_stride import without_last_reduction
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
    batch_norm: adapt, or frozen = its statistics are never those of a batch, and never change.
    """

    def __init__(self, network: nn.Module, dim: int, frozen_stages: int, batch_norm: str = "adapt"):
        super().__init__()
        self.network, self.dim = network, dim
        stages = _stages(network)
        if frozen_stages > len(stages):
            raise BackboneError(f"frozen_stages = {frozen_stages}: this backbone has {len(stages)} stages")
        self._fixed = [module for stage in stages[:frozen_stages] for module in stage]
        for module in self._fixed:
            module.requires_grad_(False)
        if batch_norm == "frozen":
            self._fixed += [module for module in network.modules() if isinstance(module, _BatchNorm)]
        self.train()

    def forward(self, frames: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        pooled: Tensor = self.network(frames)
        return pooled

    def train(self, mode: bool = True) -> Backbone:
        """As `nn.Module.train`, but frozen stages and frozen batch norm stay in evaluation mode."""
        super().train(mode)
        for module in self._fixed:
            module.eval()
        return self

    def checkpoint_activations(self) -> None:
        """Saves memory in training, see `dcreid/network/recomputation.py`. To be called last."""
        recompute_activations(self.network)


def backbone_of(config: Config) -> Backbone:
    """The backbone of a configuration, as `build_backbone` makes it."""
    model, data = config.model, config.data
    return build_backbone(
        model.backbone,
        model.weights,
        frozen_stages=model.frozen_stages,
        batch_norm=model.batch_norm,
        last_stride=model.last_stride,
        height=data.height,
        width=data.width,
    )


def notes_on_backbone(config: Config) -> tuple[str, ...]:
    """What a run of this configuration says of its backbone: a line each."""
    if config.model.batch_norm == "frozen" and config.model.weights == "none":
        return (
            "model.batch_norm = frozen with model.weights = none: the statistics that are kept are those of "
            "no data (mean 0, variance 1); adapt takes them from the batches",
        )
    return ()


def build_backbone(
    name: str,
    weights: str = "imagenet",
    *,
    frozen_stages: int = 0,
    batch_norm: str = "adapt",
    last_stride: int = 2,
    height: int = 256,
    width: int = 128,
) -> Backbone:
    """torchvision's network `name` with `weights`: imagenet, none, or the path of a state dict.

    last_stride: 1 takes the stride out of the network's last reduction. Random weights come from torch's
    global generator: seed it first. Raises BackboneError when the name is unknown, the network cannot take
    height × width frames or has no such reduction, or the weights cannot be loaded.
    """
    _check_name(name)
    imagenet = weights == "imagenet"
    network = with_imagenet_weights(name) if imagenet else torchvision.models.get_model(name)
    classifier = classifier_name(name, network)
    if weights not in ("imagenet", "none"):
        load_weights(network, Path(weights), classifier)
    setattr(network, classifier, GlobalPool())
    if name.startswith(("vgg", "alexnet")):
        network.avgpool = nn.AdaptiveAvgPool2d(1)
    dim = _feature_width(name, network, height, width)
    if last_stride == 1:
        without_last_reduction(name, network, torch.zeros(1, 3, height, width))
    return Backbone(network, dim, frozen_stages, batch_norm)


def stage_count(name: str) -> int:
    """How many stages of a backbone can be frozen. Raises BackboneError as `build_backbone` does."""
    return len(_stages(_on_meta(name)))


@torch.no_grad()
@functools.cache
def stages_to_stride(name: str, stride: int) -> int:
    """How many leading stages of a backbone give maps that are reduced at most by `stride`.

    So many are frozen to keep a network fixed up to there: for ResNets and 8 the first three, conv1 to
    layer2. Raises BackboneError as `build_backbone` does.
    """
    network, maps = _on_meta(name).eval(), list[torch.Size]()
    for stage in _stages(network):
        stage[-1].register_forward_hook(lambda *called: maps.append(called[2].shape))
    network(torch.zeros(1, 3, 224, 224, device="meta"))  # a size that all of them take
    # Axis 2 is the height, or the width of channels-last maps; sequences of patches have no third axis.
    reductions = [224 / shape[2] if len(shape) == 4 else math.inf for shape in maps]
    return sum(1 for _ in itertools.takewhile(lambda reduction: reduction < 1.5 * stride, reductions))


def _on_meta(name: str) -> nn.Module:
    """The network in shapes alone, without its classifier."""
    _check_name(name)
    try:
        with torch.device("meta"):
            network: nn.Module = torchvision.models.get_model(name, weights=None)
    except NotImplementedError:  # RegNets compute their widths with tensors
        network = torchvision.models.get_model(name, weights=None).to("meta")
    setattr(network, classifier_name(name, network), GlobalPool())
    return network


def _check_name(name: str) -> None:
    if name not in torchvision.models.list_models(module=torchvision.models):
        raise BackboneError(
            f"backbone {name!r}: not a torchvision classification network (resnet50, mobilenet_v2, …)"
        )
    if name in _SEVERAL_CLASSIFIERS:
        raise BackboneError(f"backbone {name!r}: not supported, it has no single classifier to cut off")


def classifier_name(name: str, network: nn.Module) -> str:
    """Where torchvision's network `name` has its classifier. Raises BackboneError where it has none."""
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

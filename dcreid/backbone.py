"""The backbone φ(θ; x): any torchvision classification network without its classifier.

Frames go in, one pooled feature per frame comes out; a tracklet's feature is the mean over its
frames, L2-normalised (paper, "Setting"). The optional embedding head is the layer that the public
code of this family puts between backbone and memory; clustering and evaluation never see it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torchvision
from jaxtyping import Float
from torch import Tensor, nn

# Where torchvision's networks keep their classifier.
_CLASSIFIERS = ("fc", "classifier", "head", "heads")
_SEVERAL_CLASSIFIERS = ("inception_v3", "googlenet")


class BackboneError(Exception):
    """A backbone or its weights cannot be had; the message says what to do."""


class Backbone(nn.Module):
    """Frames (b, 3, h, w), normalised, to features (b, dim); the first `frozen_stages` stay as they are.

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


class _GlobalPool(nn.Module):
    """In the classifier's place: the mean over positions where the network has not pooled yet."""

    def forward(self, features: Float[Tensor, "b d ..."]) -> Float[Tensor, "b d"]:
        return features.flatten(2).mean(dim=2) if features.ndim > 2 else features


class EmbeddingHead(nn.Module):
    """Linear, batch norm, dropout: (b, d) pooled features to (b, embedding_dim)."""

    def __init__(self, dim: int, embedding_dim: int, dropout: float):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(dim, embedding_dim), nn.BatchNorm1d(embedding_dim), nn.Dropout(dropout)
        )

    def forward(self, features: Float[Tensor, "b d"]) -> Float[Tensor, "b e"]:
        embedded: Tensor = self.layers(features)
        return embedded


def build_backbone(
    name: str, weights: str = "imagenet", *, frozen_stages: int = 0, height: int = 256, width: int = 128
) -> Backbone:
    """torchvision's network `name` with `weights`: imagenet, none, or the path of a state dict.

    Random weights come from torch's global generator: seed it first. Raises BackboneError when the
    name is unknown, the network cannot take height × width frames, or the weights cannot be loaded.
    """
    _check_name(name)
    network = _with_imagenet(name) if weights == "imagenet" else torchvision.models.get_model(name)
    classifier = _classifier_name(name, network)
    if weights not in ("imagenet", "none"):
        _load_file(network, Path(weights), classifier)
    setattr(network, classifier, _GlobalPool())
    if name.startswith(("vgg", "alexnet")):
        network.avgpool = nn.AdaptiveAvgPool2d(1)
    return Backbone(network, _probe(name, network, height, width), frozen_stages)


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


def stage_count(name: str) -> int:
    """How many stages a backbone has to freeze. Raises BackboneError as `build_backbone` does."""
    _check_name(name)
    with torch.device("meta"):
        network = torchvision.models.get_model(name, weights=None)
    setattr(network, _classifier_name(name, network), _GlobalPool())
    return len(_stages(network))


def _stages(network: nn.Module) -> list[list[nn.Module]]:
    if hasattr(network, "layer1"):
        stem = [module for name, module in network.named_children() if name in ("conv1", "bn1")]
        return [stem, *([getattr(network, f"layer{i}")] for i in range(1, 5))]
    features = getattr(network, "features", getattr(network, "layers", network))
    children = [child for child in features.children() if not isinstance(child, _GlobalPool)]
    return [[child] for child in children if any(True for _ in child.parameters())]


def _with_imagenet(name: str) -> nn.Module:
    # V1 where there is a choice: the weights of the paper's day, not a later recipe's.
    choices = torchvision.models.get_model_weights(name)
    entry = next((choice for choice in choices if "IMAGENET1K_V1" in choice.name), next(iter(choices)))
    try:
        network: nn.Module = torchvision.models.get_model(name, weights=entry, progress=False)
    except (OSError, RuntimeError) as error:  # URLError is an OSError; a broken file a RuntimeError
        cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(entry.url).name
        raise BackboneError(
            f"weights imagenet: {entry.url} cannot be downloaded or read ({error}). "
            f"On a machine with a network, download that file; then put it at {cached} here, or give its "
            f"path as the weights (--weights FILE), or train from random weights (--weights none)."
        ) from error
    return network


def _load_file(network: nn.Module, path: Path, classifier: str) -> None:
    """A whole-model or a `features` state dict; classifier entries are not needed and not checked."""
    if not path.is_file():
        raise BackboneError(f"weights {path}: no such file (imagenet, none, or the path of a state dict)")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise BackboneError(
            f"weights {path}: not a PyTorch state dict ({type(error).__name__}: {error})"
        ) from error
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise BackboneError(f"weights {path}: holds no state dict (a mapping of names to tensors)")
    given = {str(key).removeprefix("module."): value for key, value in state.items()}
    wanted = {
        key: value for key, value in network.state_dict().items() if not key.startswith(classifier + ".")
    }
    if any(f"features.{key}" in wanted for key in given):  # saved from network.features
        given = {f"features.{key}": value for key, value in given.items()}
    given = {key: value for key, value in given.items() if not key.startswith(classifier + ".")}
    _check_match(path, given, wanted)
    network.load_state_dict(given, strict=False)


def _check_match(path: Path, given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    optional = {key for key in wanted if key.endswith("num_batches_tracked")}  # absent in old files
    problems = {
        "missing": sorted(set(wanted) - set(given) - optional),
        "unexpected": sorted(set(given) - set(wanted)),
        "of another shape": sorted(k for k in set(given) & set(wanted) if given[k].shape != wanted[k].shape),
    }
    told = [f"{len(keys)} keys {kind}: {', '.join(keys[:3])}" for kind, keys in problems.items() if keys]
    if told:
        raise BackboneError(f"weights {path}: do not fit this backbone; " + "; ".join(told))


@torch.no_grad()
def _probe(name: str, network: nn.Module, height: int, width: int) -> int:
    """Feature width, from one blank frame; tells frame sizes that the network cannot take."""
    network.eval()
    try:
        output = network(torch.zeros(1, 3, height, width))
    except (RuntimeError, AssertionError) as error:
        raise BackboneError(f"backbone {name!r} does not take {height}×{width} frames: {error}") from error
    if output.ndim != 2:
        raise BackboneError(
            f"backbone {name!r}: gives features of shape {tuple(output.shape)}, not a vector per frame"
        )
    return int(output.shape[1])

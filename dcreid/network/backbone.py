"""The backbone φ(θ; x): any torchvision classification network without its classifier.

Frames go in, one pooled feature per frame comes out; a tracklet's feature is the mean over its
frames, L2-normalised (paper, "Setting"). The optional embedding head is the layer that the public
code of this family puts between backbone and memory; clustering and evaluation never see it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

import torch
import torchvision
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from dcreid.float32 import float32_linear

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

    def checkpoint_activations(self) -> None:
        """From now on training keeps the inputs of blocks only, and computes what is inside anew.

        The backward pass does so, block by block: a third more arithmetic in a fraction of the memory,
        for the same gradients, running statistics and state dict. Blocks that are not trained, and
        evaluation, run as before. To be called last: of modules replaced later it would know nothing.
        """
        _run_in_segments(self.network)


class _GlobalPool(nn.Module):
    """In the classifier's place: the mean over positions where the network has not pooled yet."""

    def forward(self, features: Float[Tensor, "b d ..."]) -> Float[Tensor, "b d"]:
        return features.flatten(2).mean(dim=2) if features.ndim > 2 else features


def _run_in_segments(network: nn.Module) -> None:
    """Has the sequences of blocks or layers that a network consists of recompute them, see `_Segments`."""
    if type(network).forward in _SEQUENCES:
        network.forward = _Segments(network.children())
    else:
        for child in network.children():
            _run_in_segments(child)


# Forward passes in which children follow one another; ResNet's, once `_GlobalPool` is its classifier.
_SEQUENCES = (nn.Sequential.forward, torchvision.models.ResNet.forward)


class _Segments:
    """The forward pass of modules that follow one another, recomputed segment by segment.

    A segment is one block, or layers in a row up to a pooling layer (the stem). Sequences of blocks
    among the modules, which are the stages of most networks, come to have segments of their own.
    """

    def __init__(self, modules: Iterable[nn.Module]):
        self.segments: list[list[nn.Module]] = []
        for module in modules:
            if self.segments and _is_layer(module) and _goes_on(self.segments[-1][-1]):
                self.segments[-1].append(module)
            else:
                self.segments.append([module])
            if type(module).forward in _SEQUENCES and not all(map(_is_layer, module.children())):
                _run_in_segments(module)

    def __call__(self, x: Tensor) -> Tensor:
        for modules in self.segments:
            x = _recomputed(modules, x) if _would_be_kept(modules) else _through(modules, x)
        return x


def _is_layer(module: nn.Module) -> bool:
    return not list(module.children())


def _goes_on(module: nn.Module) -> bool:
    return _is_layer(module) and not isinstance(module, nn.MaxPool2d | nn.AvgPool2d)


def _would_be_kept(modules: list[nn.Module]) -> bool:
    """Whether plain training keeps activations inside: with weights to train, and no segments within."""
    weights = (weight for module in modules if module.training for weight in module.parameters())
    trained = torch.is_grad_enabled() and any(weight.requires_grad for weight in weights)
    return trained and not isinstance(modules[0].forward, _Segments)


def _through(modules: list[nn.Module], x: Tensor) -> Tensor:
    for module in modules:
        x = module(x)
    return x


def _recomputed(modules: list[nn.Module], x: Tensor) -> Tensor:
    """`_through`, of which x alone is kept. Dropout draws the same again."""
    y: Tensor = checkpoint(
        partial(_through, modules),
        x,
        use_reentrant=False,
        context_fn=lambda: (contextlib.nullcontext(), _statistics_kept(modules)),
    )
    return y


@contextlib.contextmanager
def _statistics_kept(modules: list[nn.Module]) -> Iterator[None]:
    """Inside, batch norm follows the batch in copies of its running statistics, which nobody reads.

    It cannot go without them: the backward pass expects the same tensors as the first time.
    """
    norms = [part for module in modules for part in module.modules() if isinstance(part, _BatchNorm)]
    kept = [dict(norm.named_buffers()) for norm in norms]
    for norm, buffers in zip(norms, kept, strict=True):
        for name, buffer in buffers.items():
            setattr(norm, name, buffer.clone())
    try:
        yield
    finally:
        for norm, buffers in zip(norms, kept, strict=True):
            for name, buffer in buffers.items():
                setattr(norm, name, buffer)


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

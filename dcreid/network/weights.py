"""Weights of a backbone: ImageNet's from torchvision, or a state dict from a file."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
import torchvision
from safetensors import SafetensorError
from torch import Tensor, nn

from dcreid.errors import InputError


class BackboneError(InputError):
    """A backbone or its weights cannot be used; the message says what to do."""


def with_imagenet_weights(name: str) -> nn.Module:
    """torchvision's network with its ImageNet weights, downloaded unless they are cached."""
    # V1 where there is a choice: the weights of the paper's time, not a later recipe's.
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


def load_weights(network: nn.Module, path: Path, classifier: str) -> None:
    """Loads a state dict of the whole network or of its `features`.

    classifier: name of the module whose entries are neither needed nor checked.
    """
    given = {key.removeprefix("module."): value for key, value in _read(path).items()}
    wanted = _without(classifier, network.state_dict())
    if any(f"features.{key}" in wanted for key in given):  # saved from network.features
        given = {f"features.{key}": value for key, value in given.items()}
    given = _without(classifier, given)
    _check_match(path, given, wanted)
    _check_values(path, given, wanted)
    network.load_state_dict(versioned(network, network.state_dict() | given))


def versioned(module: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state with the versions of the module's parts, which files do not keep and MNASNet asks for."""
    whole = OrderedDict(state)
    whole._metadata = module.state_dict()._metadata  # type: ignore[attr-defined]
    return whole


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise BackboneError(f"weights {path}: no such file (imagenet, none, or the path of a state dict)")
    if path.suffix == ".safetensors":  # such as a study's models
        try:
            return safetensors.torch.load_file(path)
        except SafetensorError as error:
            raise BackboneError(f"weights {path}: a damaged file of safetensors ({error})") from None
    try:
        with warnings.catch_warnings(action="ignore"):
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch says how to run what is in the file all the same: nobody should
        raise BackboneError(
            f"weights {path}: not a PyTorch state dict, or one that would run code when it is read; "
            "make one with torch.save(network.state_dict(), FILE)"
        ) from None
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise BackboneError(f"weights {path}: holds no state dict (a mapping of names to tensors)")
    return {str(key): value for key, value in state.items()}


def _without(module: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value for key, value in state.items() if not key.startswith(f"{module}.")}


def _check_match(path: Path, given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    optional = {key for key in wanted if key.endswith("num_batches_tracked")}  # absent in old files
    problems = {
        "missing": sorted(set(wanted) - set(given) - optional),
        "unexpected": sorted(set(given) - set(wanted)),
        "of another shape": sorted(k for k in set(given) & set(wanted) if given[k].shape != wanted[k].shape),
    }
    found = [f"{len(keys)} keys {kind}: {', '.join(keys[:3])}" for kind, keys in problems.items() if keys]
    if found:
        raise BackboneError(f"weights {path}: do not fit this backbone; " + "; ".join(found))


def _check_values(path: Path, given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Refuses what would be loaded and give NaN features, or none at all."""
    for key, value in given.items():
        wrong = _wrong_with(value, wanted[key].is_floating_point())
        if wrong is None and key.endswith("running_var") and bool((value < 0).any()):
            wrong = "holds negative variances"
        if wrong is not None:
            raise BackboneError(f"weights {path}: tensor {key} {wrong}; save the network's weights again")


def _wrong_with(value: Tensor, real: bool) -> str | None:
    if value.device.type == "meta":
        return "has a shape and no values (a meta tensor)"
    if value.layout != torch.strided or value.is_nested:
        return f"is stored as {value.layout}, not as plain numbers"
    if real and not value.is_floating_point():
        return f"holds {value.dtype} values, not real numbers"
    if real and not bool(value.float().isfinite().all()):
        return "holds NaN or infinite values"
    return None

"""Writes a model for another program, after a comparison of the file's answers with the model's own.

Every file is made in memory, run in its runtime on drawn pictures, one and seven at a time, and compared
with `Model.embed`; only then are it and its card written. The card says what goes in and out, how far the
answers are apart, and everything that the model's own card says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from numpy import ndarray
from torch import Tensor
from torch.nn import functional

from dcreid.data.augmentation import normalise
from dcreid.export import boxmot
from dcreid.export.graph import graph_of
from dcreid.export.onnx_file import (
    BATCH,
    INPUT,
    OUTPUT,
    check_installed,
    onnx_bytes,
    run_onnx,
    runtime_version,
    with_metadata,
)
from dcreid.export.torchvision_file import check_plain, run_torchvision, state_bytes
from dcreid.model import Model, ModelError
from dcreid.paths import write_whole

_PICTURES = 7
_GRID = 8, 4  # colours of a drawn picture
# Of vectors of length 1: how far the file's may be from the model's; and how many times that, at least, the
# vectors of two pictures are apart.
_TOLERANCE, _APART = 1e-4, 3.0

_SUFFIXES = {
    "onnx": (".onnx",),
    "boxmot": (".pt", ".onnx"),
    "ultralytics": (".onnx",),
    "pt": (".pt", ".pth"),
}
_RGB = "crops resized to height × width, RGB, divided by 255"
_NORMALISED = f"{_RGB}, ImageNet's mean and deviation taken out"
_ANY = "any: bring to 1 before vectors are compared"


@dataclass(frozen=True)
class Exported:
    """What was written: the file, its size, its card, and how far its vectors are from the model's."""

    path: Path
    card: Path
    size: int
    difference: float
    runtime: str


@dataclass(frozen=True)
class _Draft:
    """A file not yet written. run: its answers to images in the form in which its reader feeds them."""

    content: bytes
    runtime: str
    contract: Mapping[str, Any]
    run: Callable[[UInt8[Tensor, "n h w 3"]], Float32[ndarray, "n d"]]


def export(model: Model, target: str, path: Path) -> Exported:
    """Writes the file and its card, after the comparison.

    target: onnx, boxmot, ultralytics or pt. Raises ModelError (InputError) where the file cannot be made, or
    would not give the model's features; OSError.
    """
    check_path(target, path)
    draft = _draft(model, target, path)
    difference = _compared(draft, model, f"--for {target}")
    card = {
        "made_for": target,
        "file": path.name,
        **draft.contract,
        "checked": {
            "runtime": draft.runtime,
            "pictures": [1, _PICTURES],
            "largest_difference": difference,
            "of": "elements of vectors of length 1, against the model in PyTorch",
        },
        "model": model.card.to_dict(),
    }
    content = draft.content
    if path.suffix == ".onnx":
        content = with_metadata(content, _properties(target, card))
    beside = path.with_name(path.name + (".metadata.json" if target == "boxmot" else ".json"))
    write_whole(beside, _card_bytes(model, target, card))  # first: a file that is there has its card
    write_whole(path, content)
    return Exported(path, beside, len(content), difference, draft.runtime)


def check_path(target: str, path: Path) -> None:
    """Raises ModelError where no export can be written under this name, InputError without its libraries."""
    if path.suffix not in _SUFFIXES[target]:
        raise ModelError(f"--out {path}: --for {target} writes {' or '.join(_SUFFIXES[target])}")
    if not path.parent.is_dir() or path.is_dir():
        raise ModelError(f"--out {path}: {path.parent} must be a folder, and the file none")
    if path.suffix == ".onnx":
        check_installed()


def _draft(model: Model, target: str, path: Path) -> _Draft:
    if path.suffix == ".onnx":
        return _onnx(model, target)
    return _weights(model, target, path)


def _onnx(model: Model, target: str) -> _Draft:
    """BoxMOT takes mean and deviation out itself, and brings vectors to length 1."""
    bare = target == "boxmot"
    content = onnx_bytes(graph_of(model, normalises=not bare, unit=not bare), *_size(model))

    def run(pictures: UInt8[Tensor, "n h w 3"]) -> Float32[ndarray, "n d"]:
        images = normalise(pictures, False) if bare else pictures.permute(0, 3, 1, 2) / 255
        return run_onnx(content, images.numpy())

    contract = {
        "input": {
            "name": INPUT,
            "shape": [BATCH, 3, *_size(model)],
            "type": "float32",
            "values": _NORMALISED if bare else _RGB,
        },
        "output": {
            "name": OUTPUT,
            "shape": [BATCH, model.dim],
            "type": "float32",
            "length": _ANY if bare else "1: compare by dot product or Euclidean distance",
        },
    }
    return _Draft(content, runtime_version(), contract, run)


def _weights(model: Model, target: str, path: Path) -> _Draft:
    name, instead = model.config.model.backbone, "export it as ONNX: --for onnx"
    if target == "boxmot":
        instead = f"write ONNX, which BoxMOT loads as well: --out {path.with_suffix('.onnx')}"
        if name not in boxmot.LOADABLE:
            raise ModelError(
                f"--for boxmot: model.backbone = {name!r} is no network of BoxMOT's with these weights "
                f"({', '.join(boxmot.LOADABLE)}); {instead}"
            )
        boxmot.check_name(path, name)
    check_plain(model, target, instead)
    content = state_bytes(model)

    def run(pictures: UInt8[Tensor, "n h w 3"]) -> Float32[ndarray, "n d"]:
        features = run_torchvision(content, name, normalise(pictures, False))
        if features.shape[1] != model.dim:
            raise ModelError(
                f"--for {target}: model.backbone = {name!r}: torchvision's own forward pass pools otherwise "
                f"({features.shape[1]:,} numbers a frame, not {model.dim:,}); {instead}"
            )
        return features.numpy()

    contract = {
        "weights": f"state dict of torchvision.models.{name} without its classifier",
        "input": {"shape": [BATCH, 3, *_size(model)], "values": _NORMALISED},
        "output": {"shape": [BATCH, model.dim], "length": _ANY},
    }
    return _Draft(content, f"torchvision's {name}", contract, run)


# --- the comparison


def _compared(draft: _Draft, model: Model, what: str) -> float:
    """The largest difference of the vectors. Raises ModelError where the file is not the model."""
    pictures = _drawn(model)
    expected = model.embed(pictures)
    found = np.concatenate([_unit(draft.run(pictures[:1])), _unit(draft.run(pictures))])
    difference = float(np.abs(found - np.concatenate([expected[:1], expected])).max())
    if not difference <= _TOLERANCE:  # NaN neither
        raise ModelError(
            f"{what}: {draft.runtime} gives vectors up to {difference:.2g} from the model's own; "
            "nothing was written"
        )
    vectors = torch.from_numpy(found[1:]).double()
    nearest = float(functional.pdist(vectors).min())
    if nearest <= _APART * difference or nearest == 0:
        raise ModelError(
            f"{what}: the vectors of two different pictures are {nearest:.2g} apart, no more than rounding: "
            "they do not depend on the picture; nothing was written"
        )
    return difference


def _unit(features: Float32[ndarray, "n d"]) -> Float32[ndarray, "n d"]:
    rows: Float32[ndarray, "n d"] = features / np.linalg.norm(features, axis=1, keepdims=True)
    return rows


def _drawn(model: Model) -> UInt8[Tensor, "n h w 3"]:
    """Pictures of a few blurred patches of colour, each another."""
    generator = torch.Generator().manual_seed(0)
    patches = torch.rand(_PICTURES, 3, *_GRID, generator=generator)
    pictures = functional.interpolate(patches, _size(model), mode="bilinear")
    return (255 * pictures).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _size(model: Model) -> tuple[int, int]:
    return model.config.data.height, model.config.data.width


# --- the card


def _properties(target: str, card: Mapping[str, Any]) -> dict[str, str]:
    """The file's own metadata."""
    properties = {"dcreid": json.dumps(card)}
    if target == "ultralytics":  # without it a file that has metadata counts as one of a fixed batch of 1
        properties["args"] = str({"dynamic": True})
    return properties


def _card_bytes(model: Model, target: str, card: dict[str, Any]) -> bytes:
    if target == "boxmot":
        return boxmot.metadata(model.config.model.backbone, *_size(model), card)
    return (json.dumps(card, indent=1) + "\n").encode()

"""python -m dcreid export: a model in the file of another program."""

from __future__ import annotations

import argparse
from typing import Any

from dcreid.commandline import say

EXAMPLE = "python -m dcreid export MODEL --for onnx --out model.onnx         # for other programs"
_TARGETS = {
    "onnx": "for any program: RGB crops of the model's size from 0 to 1, vectors of length 1 come back",
    "boxmot": "FILE.pt (its own ResNets) or FILE.onnx, and FILE.metadata.json beside it",
    "ultralytics": "for `with_reid: True`, `model: FILE.onnx` in a tracker's YAML",
    "pt": "a state dict that torchvision's network loads, and --weights",
}


def add_to(commands: Any) -> argparse.ArgumentParser:
    """Its options."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "export",
        help="write a model for onnxruntime, BoxMOT, ultralytics or torchvision",
        description="Writes a model for another program, and a card (JSON) beside it, after comparing the\n"
        "file's answers with the model's own.\n\n"
        + "\n".join(f"{name:12} {what}" for name, what in _TARGETS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="a study's models/selected.safetensors or the like")
    parser.add_argument("--for", required=True, dest="target", choices=tuple(_TARGETS), help="who reads it")
    parser.add_argument("--out", required=True, metavar="FILE", help="the file to write")
    return parser


def work(options: argparse.Namespace) -> None:
    """Reads, compares, writes."""
    from dcreid.export.files import check_path, export  # here, so that --help answers at once
    from dcreid.model import Model
    from dcreid.paths import user_path

    out = user_path("--out", options.out)
    check_path(options.target, out)
    done = export(Model.load(user_path("MODEL", options.model)), options.target, out)
    say(
        f"{out}: {done.size / 1e6:,.1f} MB; {done.runtime} on 1 and 7 pictures: vectors of length 1 at most "
        f"{done.difference:.1g} from the model's; card: {done.card.name}"
    )

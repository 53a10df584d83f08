"""What BoxMOT (version 25) asks of a ReID model's files.

It takes the network's name from `model_name` in FILE.metadata.json or, where that is missing and in older
versions, from the file's name: the longest of the names it knows that occurs in it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dcreid.model import ModelError

# Its networks with torchvision's keys, layers and pooling.
LOADABLE = (
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    *("resnext50_32x4d", "resnext101_32x8d"),
)
# What else its registry has, as far as a file's name goes: one of these in it, and another network is built.
_OTHERS = (
    *(
        "resnet50_fc512",
        "osnet_x",
        "osnet_ibn_x",
        "osnet_ain_x",
        "mobilenetv2_x",
        "mobilenetv4_",
        "mlfn",
        "hacnn",
    ),
    *("lmbn_n", "lmbn_ain_n", "hi_afa", "csl_tinyvit_"),
)
_VEHICLES = ("veri", "vehicleid")  # older versions resize to 256×256 where a name has them


def check_name(path: Path, backbone: str) -> None:
    """Raises ModelError where BoxMOT would take a file of weights for another network's, or no network's."""
    name = path.name.lower()
    found = [known for known in (*LOADABLE, *_OTHERS) if known in name]
    mistaken = [known for known in (*_OTHERS, *LOADABLE) if known in name and known != backbone]
    mistaken += [word for word in _VEHICLES if word in name]
    proposed = path.with_name(f"{backbone}_dcreid.pt")
    if backbone not in found:
        raise ModelError(
            f"--out {path}: BoxMOT finds the network by the file's name, which must contain {backbone!r}: "
            f"{proposed}"
        )
    if mistaken:
        raise ModelError(
            f"--out {path}: for {mistaken[0]!r} in its name BoxMOT takes it for another model; {proposed}"
        )


def metadata(backbone: str, height: int, width: int, card: dict[str, Any]) -> bytes:
    """FILE.metadata.json."""
    content = {
        "schema_version": 1,
        "model_name": backbone,
        "preprocess": "resize",
        "model_kwargs_schema_version": 1,
        "model_kwargs": {"img_size": [height, width]},
        "dcreid": card,
    }
    return (json.dumps(content, indent=1) + "\n").encode()

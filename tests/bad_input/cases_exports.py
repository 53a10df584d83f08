"""Models, names and options of `python -m dcreid export`."""

from __future__ import annotations

from pathlib import Path

from bad_input import made
from bad_input.case import Case, cases_of


def model(**changes: object) -> made.Make:
    """A small model with random weights, `m`; changes of its configuration with `__` for the dot."""

    def make(here: Path) -> None:
        import torch  # here: most cases need none

        from dcreid.config import Config
        from dcreid.model import Card, Model
        from dcreid.network.tracklets import build_network

        base = {"data__height": 32, "data__width": 16, "model__backbone": "shufflenet_v2_x0_5"}
        given = {"data__dataset": "folder", "model__weights": "none"} | base | changes
        config = Config().replace(**{name.replace("__", "."): value for name, value in given.items()})
        network = build_network(config, torch.device("cpu"))
        Model(network, Card(config, "test", "folder", "", "nothing: random weights")).save(here / "m")

    return make


ONNX = "export m --for onnx --out m.onnx"
FAST = {"fast": True}
CASES: list[Case] = cases_of(
    "exports",
    "dcreid",
    ("no program", "export m --out m.onnx", "--for"),
    ("nobody's program", "export m --for keras --out m.h5", "--for: invalid choice: 'keras'", FAST),
    ("no file to write", "export m --for onnx", "--out"),
    ("no such model", ONNX, "m: no such file", FAST),
    ("a page for a model", ONNX, "m: not a model's file", {"prepare": made.file("m", "<html>" * 99)} | FAST),
    ("an empty file for a model", ONNX, "m: not a model's file", {"prepare": made.file("m", b"")}),
    ("a folder for a model", ONNX, "m: no such file", {"prepare": made.folder("m")}),
    ("an empty path to write", ("export", "m", "--for", "onnx", "--out", ""), "--out '': an empty path"),
    ("no suffix", "export m --for onnx --out m2", "--out m2: --for onnx writes .onnx", FAST),
    ("weights as ONNX", "export m --for pt --out m.onnx", "--for pt writes .pt or .pth"),
    ("ONNX as weights", "export m --for ultralytics --out m.pt", "--for ultralytics writes .onnx"),
    ("no such folder to write in", "export m --for onnx --out d/m.onnx", "d must be a folder", FAST),
    ("a folder to write", ONNX, "must be a folder, and the file none", {"prepare": made.folder("m.onnx")}),
    (
        *("mirror images in bare weights", "export m --for pt --out m.pt", "data.eval_mirror = true"),
        {"prepare": model(data__eval_mirror=True)} | FAST,
    ),
    (
        *(
            "weights of a network that BoxMOT lacks",
            "export m --for boxmot --out m.pt",
            ("model.backbone", "m.onnx"),
        ),
        {"prepare": model()},
    ),
    (
        *("a name that BoxMOT does not know", "export m --for boxmot --out m.pt", "resnet18_dcreid.pt"),
        {"prepare": model(model__backbone="resnet18", data__width=32)},
    ),
    (
        *("an escape sequence in the file's name", ("export", "m", "--for", "onnx", "--out", "\x1b[2J")),
        r"\x1b[2J: --for onnx writes .onnx",
    ),
)

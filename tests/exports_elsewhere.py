"""Vectors that BoxMOT's and ultralytics' own ReID loaders give for exported models, beside the model's own.

    PYTHONPATH=. PYTHON tests/exports_elsewhere.py MODEL IMAGE…

PYTHON is one with dcreid and, beside it, boxmot, ultralytics and OpenCV (none of them a dependency of dcreid;
BoxMOT installs the onnxruntime that it wants by itself). Prints for each export the cosines with the model's
vectors, for the images as they are, in the frame size of the model, twice and half of it; and milliseconds a
crop. Each program gets the images as OpenCV reads them from a PNG file, in BGR; the model gets the file.
`tests/dcreid/export/test_elsewhere.py` does the same with a small network, where the programs are installed.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcreid.export.boxmot import LOADABLE
from dcreid.export.files import export
from dcreid.model import Model

Crops = list[NDArray[np.uint8]]
Vectors = NDArray[np.float32]
Encoder = Callable[[Crops], Vectors]
# Ultralytics widens boxes by these before it crops, then cuts coordinates to whole numbers.
_GAIN, _PAD, _INSIDE = 1.02, 10, 0.25


def onnxruntime_encoder(path: Path, size: tuple[int, int]) -> Encoder:
    """What the documentation tells users of --for onnx to write."""
    import cv2
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def encode(crops: Crops) -> Vectors:
        resized = [cv2.resize(crop, size[::-1], interpolation=cv2.INTER_LINEAR) for crop in crops]
        rgb = np.stack([cv2.cvtColor(crop, cv2.COLOR_BGR2RGB) for crop in resized])
        images = rgb.transpose(0, 3, 1, 2).astype(np.float32) / 255
        vectors: Vectors = session.run(None, {"images": images})[0]
        return vectors

    return encode


def boxmot_encoder(path: Path) -> Encoder:
    """BoxMOT's own loader; vectors of length 1."""
    from boxmot.reid.core import ReID

    loaded = ReID(path, device="cpu")

    def encode(crops: Crops) -> Vectors:
        vectors: Vectors = loaded(crops)
        return vectors

    return encode


def ultralytics_encoder(path: Path) -> Encoder:
    """The encoder that BoT-SORT uses with `model: FILE`: it cuts boxes out of a whole image."""
    from ultralytics.trackers.utils.reid import ReID

    loaded = ReID(str(path), device="cpu")

    def encode(crops: Crops) -> Vectors:
        # The crops side by side; boxes as centre, width and height, which it widens by 2 % and 10 pixels.
        height, widths = max(len(crop) for crop in crops), [crop.shape[1] for crop in crops]
        image, left, boxes = np.zeros((height + 1, sum(widths) + 1, 3), dtype=np.uint8), 0, []
        for crop, width in zip(crops, widths, strict=True):
            image[: len(crop), left : left + width] = crop
            centre = left + width / 2 + _INSIDE, len(crop) / 2 + _INSIDE
            boxes.append((*centre, (width - _PAD) / _GAIN, (len(crop) - _PAD) / _GAIN))
            left += width
        return np.stack(loaded(image, np.array(boxes, dtype=np.float32)))

    return encode


def made(model: Model, folder: Path) -> dict[str, Encoder]:
    """Every export that this model has, loaded by its own program."""
    backbone = model.config.model.backbone
    size = model.config.data.height, model.config.data.width

    def written(target: str, name: str) -> Path:
        return export(model, target, folder / name).path

    encoders: dict[str, Encoder] = {
        "onnx, onnxruntime": onnxruntime_encoder(written("onnx", "any.onnx"), size),
        "boxmot, .onnx": boxmot_encoder(written("boxmot", f"{backbone}_dcreid.onnx")),
        "ultralytics": ultralytics_encoder(written("ultralytics", "tracker.onnx")),
    }
    if backbone in LOADABLE and model.config.model.last_stride == 2 and not model.config.data.eval_mirror:
        encoders["boxmot, .pt"] = boxmot_encoder(written("boxmot", f"{backbone}_dcreid.pt"))
    return encoders


def as_read(paths: list[Path], size: tuple[int, int] | None, folder: Path) -> tuple[list[Path], Crops]:
    """PNG files of the images, in one size where one is given, and what OpenCV reads from them."""
    import cv2

    made, crops = [], []
    for i, path in enumerate(paths):
        crop: Any = cv2.imread(str(path))
        if size is not None:
            crop = cv2.resize(crop, size[::-1], interpolation=cv2.INTER_CUBIC)
        made.append(folder / f"{i:04}.png")
        cv2.imwrite(str(made[-1]), crop)
        crops.append(cv2.imread(str(made[-1])))
    return made, crops


def main() -> None:
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")  # it would install what it misses
    model, images = Model.load(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
    height, width = model.config.data.height, model.config.data.width
    sizes = {
        "as they are": None,
        f"{height}×{width}": (height, width),
        f"{2 * height}×{2 * width}": (2 * height, 2 * width),
        f"{height // 2}×{width // 2}": (height // 2, width // 2),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        encoders = made(model, folder)
        print(f"{model.config.model.backbone}, {len(images)} images; cosine with the model's vectors")
        print(f"{'crops':14} {'export':20} {'mean':>9} {'smallest':>9} {'largest difference':>19}")
        for what, size in sizes.items():
            paths, crops = as_read(images, size, folder)
            expected = model.embed(paths)
            for export_name, encode in encoders.items():
                vectors = encode(crops)
                cosines = (vectors * expected).sum(axis=1)
                apart = np.abs(vectors - expected).max()
                print(f"{what:14} {export_name:20} {cosines.mean():9.6f} {cosines.min():9.6f} {apart:19.2g}")
        _times(model, encoders, as_read(images, (height, width), folder)[1])


def _times(model: Model, encoders: dict[str, Encoder], crops: Crops) -> None:
    """Milliseconds a crop, the median of fifteen turns; everything takes its turn."""
    encoders = {
        "this program": lambda some: model.embed([crop[..., ::-1].copy() for crop in some]),
        **encoders,
    }
    for n in (1, 7):
        some = (crops * n)[:n]
        spent: dict[str, list[float]] = {name: [] for name in encoders}
        for turn in range(16):
            for name, encode in encoders.items():
                start = time.perf_counter()
                encode(some)
                if turn:
                    spent[name].append(1000 * (time.perf_counter() - start) / n)
        told = "; ".join(f"{name} {np.median(each):.1f}" for name, each in spent.items())
        print(f"ms a crop, {n} at a time: {told}")


if __name__ == "__main__":
    main()

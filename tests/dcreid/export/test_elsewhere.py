"""BoxMOT's and ultralytics' own loaders give the model's vectors, where they are installed.

`tests/exports_elsewhere.py` says how to run it, and does the same with a real model and images.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from exports_elsewhere import as_read, made
from PIL import Image

from dcreid.config import Config, SyntheticConfig
from dcreid.data.synthetic.dataset import load_synthetic
from dcreid.model import Card, Model
from dcreid.network.tracklets import build_network

pytestmark = pytest.mark.slow


def model_of(backbone: str, **changes: object) -> Model:
    config = Config().replace(
        **{
            "data.dataset": "folder",
            "data.height": 96,
            "data.width": 48,
            "model.backbone": backbone,
            "model.weights": "none",
            **changes,
        }
    )
    return Model(build_network(config, torch.device("cpu")), Card(config, "test", "folder", "", "nothing"))


@pytest.fixture
def people(tmp_path: Path) -> list[Path]:
    """Seven drawn people, 96 × 48."""
    split = load_synthetic(SyntheticConfig()).train
    frames, _ = split.frames.read(np.asarray(split.offsets[:7], dtype=np.int64), 96, 48)
    for i, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"{i}.png")
    return sorted(tmp_path.glob("*.png"))


@pytest.mark.parametrize(
    ("backbone", "changes", "exports"),
    [
        ("resnet18", {}, 4),  # BoxMOT's weights, too
        ("mobilenet_v2", {"model.last_stride": 1, "data.eval_mirror": True}, 3),
    ],
)
def test_their_own_loaders_give_the_models_vectors(
    backbone: str,
    changes: dict[str, object],
    exports: int,
    people: list[Path],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
):
    for program in ("cv2", "boxmot", "ultralytics"):
        pytest.importorskip(program, reason=f"{program} is not installed: it is no dependency of dcreid's")
    monkeypatch.setenv("YOLO_AUTOINSTALL", "false")
    model = model_of(backbone, **changes)
    encoders = made(model, tmp_path_factory.mktemp("exports"))
    _, crops = as_read(people, None, tmp_path_factory.mktemp("read"))
    expected = model.embed(people)
    assert len(encoders) == exports
    for name, encode in encoders.items():
        for n in (1, 7):
            found = encode(crops[:n])
            assert found.shape == (n, model.dim) and abs(found - expected[:n]).max() < 1e-5, (name, n)
            assert n == 1 or abs(found[0] - found[1]).max() > 1e-3, name

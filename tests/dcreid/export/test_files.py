"""Exported files give the model's vectors in their runtimes, from a picture file on, or are not written."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torchvision
from PIL import Image
from small_model import small_model
from torch import nn

from dcreid.config import Config, SyntheticConfig
from dcreid.data.synthetic.dataset import load_synthetic
from dcreid.errors import InputError
from dcreid.export import files, onnx_file
from dcreid.export.files import Exported, export
from dcreid.export.graph import Graph
from dcreid.model import Card, Model, ModelError
from dcreid.network.backbone import build_backbone
from dcreid.network.tracklets import build_network

MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """PNG files of seven drawn people, 32 × 16."""
    split = load_synthetic(SyntheticConfig()).train
    frames, _ = split.frames.read(np.asarray(split.offsets[:7], dtype=np.int64), 32, 16)
    folder = tmp_path_factory.mktemp("people")
    paths = [folder / f"{i}.png" for i in range(7)]
    for path, frame in zip(paths, frames, strict=True):
        Image.fromarray(frame).save(path)
    return paths


@pytest.fixture(scope="module", autouse=True)
def _graphs_made_once() -> Iterator[None]:
    """The exporter takes a second or two for each."""
    real, kept = files.onnx_bytes, dict[tuple[bool, bool], bytes]()

    def onnx_bytes(graph: Graph, height: int, width: int) -> bytes:
        key = graph.normalises, graph.mirrored
        if key not in kept:
            kept[key] = real(graph, height, width)
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "onnx_bytes", onnx_bytes)
        yield


# Whether each is tried with mirror images.
MIRRORED = {"onnx": True, "boxmot": False, "ultralytics": True}


@pytest.fixture(scope="module")
def models() -> dict[str, Model]:
    return {target: small_model(mirrored=mirrored) for target, mirrored in MIRRORED.items()}


@pytest.fixture(scope="module")
def written(models: dict[str, Model], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Exported]:
    """Every ONNX export."""
    folder = tmp_path_factory.mktemp("exports")
    return {target: export(model, target, folder / f"{target}.onnx") for target, model in models.items()}


def bgr(path: Path) -> np.ndarray:
    """As OpenCV reads it."""
    return np.asarray(Image.open(path).convert("RGB"))[:, :, ::-1]


def fed(crops: list[np.ndarray], target: str) -> np.ndarray:
    """What the program feeds: written down from the sources of BoxMOT 25 and ultralytics 8.4."""
    images = np.stack([crop[:, :, ::-1] for crop in crops]).astype(np.float64) / 255
    if target == "boxmot":
        images = (images - MEAN) / DEVIATION
    return images.transpose(0, 3, 1, 2).astype(np.float32)


def lengths(rows: np.ndarray) -> np.ndarray:
    return np.linalg.norm(rows, axis=1)


@pytest.mark.parametrize("target", MIRRORED)
@pytest.mark.parametrize("n", [1, 7])
def test_from_a_png_file_to_the_models_vector(
    target: str, n: int, pictures: list[Path], models: dict[str, Model], written: dict[str, Exported]
):
    session = onnxruntime.InferenceSession(str(written[target].path), providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    assert (given.name, given.shape, given.type) == ("images", ["batch", 3, 32, 16], "tensor(float)")
    assert session.get_outputs()[0].shape == ["batch", 12]
    found = session.run(None, {"images": fed([bgr(path) for path in pictures[:n]], target)})[0]
    expected = models[target].embed(pictures[:n])
    assert found.shape == expected.shape
    if target == "boxmot":  # brings them to length 1 itself
        assert abs(lengths(found) - 1).min() > 0.01
        found = found / lengths(found)[:, None]
    assert np.allclose(lengths(found), 1, atol=1e-6) and abs(found - expected).max() < 2e-6
    if n > 1:
        assert abs(found[0] - found[1]).max() > 0.01


def test_larger_crops_are_to_be_shrunk_as_pillow_does_it(
    pictures: list[Path], models: dict[str, Model], written: dict[str, Exported], tmp_path: Path
):
    larger = [tmp_path / path.name for path in pictures]
    for path, copy in zip(pictures, larger, strict=True):
        Image.open(path).resize((40, 80), Image.Resampling.NEAREST).save(copy)
    shrunk = [Image.open(path).resize((16, 32), Image.Resampling.BILINEAR) for path in larger]
    images = fed([np.asarray(image)[:, :, ::-1] for image in shrunk], "onnx")
    found = onnx_file.run_onnx(written["onnx"].path.read_bytes(), images)
    assert abs(found - models["onnx"].embed(larger)).max() < 1e-3


def properties(done: Exported) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(done.path).metadata_props}


def test_the_card_says_what_was_made_and_how_far_it_is_from_the_model(
    written: dict[str, Exported], models: dict[str, Model]
):
    done = written["onnx"]
    card = json.loads(done.card.read_text())
    assert done.card.name == "onnx.onnx.json" and done.size == done.path.stat().st_size
    assert card["made_for"] == "onnx" and card["input"]["shape"] == ["batch", 3, 32, 16]
    assert card["checked"]["largest_difference"] == done.difference < 1e-5
    assert card["model"] == json.loads(json.dumps(models["onnx"].card.to_dict()))
    assert json.loads(properties(done)["dcreid"]) == card and "args" not in properties(done)


def test_ultralytics_is_told_that_the_batch_is_dynamic(written: dict[str, Exported]):
    assert properties(written["ultralytics"]).get("args") == "{'dynamic': True}"


def test_boxmot_finds_the_frame_size_beside_the_file(written: dict[str, Exported]):
    done = written["boxmot"]
    assert done.card.name == "boxmot.onnx.metadata.json"
    beside = json.loads(done.card.read_text())
    assert beside["model_kwargs"] == {"img_size": [32, 16]} and beside["preprocess"] == "resize"
    assert (beside["schema_version"], beside["model_kwargs_schema_version"]) == (1, 1)
    assert beside["model_name"] == "resnet50" and beside["dcreid"]["made_for"] == "boxmot"


# --- weights alone


def resnet(weights: str = "none", **changes: object) -> Model:
    config = Config().replace(
        **{
            "data.dataset": "folder",
            "data.height": 32,
            "data.width": 32,
            "model.backbone": "resnet18",
            "model.weights": weights,
            **changes,
        }
    )
    return Model(build_network(config, torch.device("cpu")), Card(config, "test", "folder", "", "nothing"))


@pytest.mark.parametrize(("target", "name"), [("pt", "any.pt"), ("boxmot", "resnet18_dcreid.pt")])
def test_bare_weights_go_to_torchvision_and_back(target: str, name: str, tmp_path: Path):
    model = resnet()
    batch_norm = model.network.backbone.network.bn1
    batch_norm.running_mean.normal_(generator=torch.Generator().manual_seed(1))
    done = export(model, target, tmp_path / name)
    state = torch.load(done.path, weights_only=True)
    network = torchvision.models.resnet18()
    assert set(network.state_dict()) - set(state) == {"fc.weight", "fc.bias"}
    network.fc = nn.Identity()
    network.load_state_dict(state)
    frames = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        expected = model.network.backbone(frames)
        assert torch.allclose(network.eval()(frames), expected, atol=1e-5)
        back = build_backbone("resnet18", str(done.path), height=32, width=32)
        assert torch.allclose(back.eval()(frames), expected, atol=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, done.card.name])


def test_weights_keep_the_versions_that_torchvision_asks_for(tmp_path: Path):
    model = resnet(**{"model.backbone": "mnasnet0_5"})
    done = export(model, "pt", tmp_path / "any.pt")
    assert done.difference < 1e-5
    back = build_backbone("mnasnet0_5", str(done.path), height=32, width=32).network.state_dict()
    assert all(
        torch.equal(value, back[name]) for name, value in model.network.backbone.network.state_dict().items()
    )


@pytest.mark.parametrize(
    ("target", "name", "offered"),
    [("pt", "any.pt", "--for onnx"), ("boxmot", "resnet18_dcreid.pt", "resnet18_dcreid.onnx")],
)
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"model.last_stride": 1}, "model.last_stride = 1"),
        ({"data.eval_mirror": True}, "data.eval_mirror = true"),
    ],
)
def test_what_weights_alone_do_not_carry_is_refused_by_its_field(
    target: str, name: str, offered: str, changes: dict[str, object], field: str, tmp_path: Path
):
    with pytest.raises(ModelError, match=field) as refused:
        export(resnet(**changes), target, tmp_path / name)
    assert offered in str(refused.value) and not list(tmp_path.iterdir())


def test_pooling_that_is_not_torchvisions_is_found_by_running_it(tmp_path: Path):
    model = resnet(**{"model.backbone": "squeezenet1_1", "data.height": 64})
    with pytest.raises(ModelError, match=r"model\.backbone = 'squeezenet1_1'.*--for onnx"):
        export(model, "pt", tmp_path / "any.pt")
    assert not list(tmp_path.iterdir())


def test_a_network_that_boxmot_does_not_have_is_refused_as_weights(tmp_path: Path):
    model = resnet(**{"model.backbone": "mobilenet_v2"})
    with pytest.raises(ModelError, match=r"model\.backbone = 'mobilenet_v2'.*mobilenet_v2\.onnx"):
        export(model, "boxmot", tmp_path / "mobilenet_v2.pt")


# --- files that are not the model


Run = Callable[[bytes, np.ndarray], np.ndarray]


def colours_swapped(run: Run, content: bytes, images: np.ndarray) -> np.ndarray:
    return run(content, images[:, ::-1])


def not_a_number(run: Run, content: bytes, images: np.ndarray) -> np.ndarray:
    return run(content, images) + np.float32(np.nan)


def one_alone_is_another(run: Run, content: bytes, images: np.ndarray) -> np.ndarray:
    return run(content, images * np.float32(1 if len(images) > 1 else 0.5))


def the_first_for_all(run: Run, content: bytes, images: np.ndarray) -> np.ndarray:
    return run(content, np.broadcast_to(images[:1], images.shape))


@pytest.mark.parametrize("fault", [colours_swapped, not_a_number, one_alone_is_another, the_first_for_all])
def test_a_file_whose_answers_are_not_the_models_is_not_written(
    fault: Callable[..., np.ndarray],
    models: dict[str, Model],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(files, "run_onnx", functools.partial(fault, files.run_onnx))
    with pytest.raises(ModelError, match="from the model's own; nothing was written"):
        export(models["onnx"], "onnx", tmp_path / "any.onnx")
    assert not list(tmp_path.iterdir())


def test_a_model_that_answers_every_picture_alike_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    model = small_model(mirrored=True)
    with torch.no_grad():
        model.network.backbone.network[3].weight.zero_()
    alike = model.embed(np.zeros((1, 32, 16, 3), dtype=np.uint8))
    monkeypatch.setattr(files, "run_onnx", lambda content, images: alike.repeat(len(images), axis=0))
    with pytest.raises(ModelError, match="do not depend on the picture; nothing was written"):
        export(model, "onnx", tmp_path / "any.onnx")
    assert not list(tmp_path.iterdir())


def test_a_missing_library_is_named_with_the_extra_that_has_it(
    models: dict[str, Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(InputError, match=r"onnxscript.*pip install -e '\.\[export\]'"):
        export(models["onnx"], "onnx", tmp_path / "any.onnx")


def test_a_network_that_the_exporter_cannot_take_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch):
    def refuses(*given: object, **how: object) -> None:
        try:
            raise ValueError("no such operator\nand a page of advice")
        except ValueError as error:
            raise RuntimeError("This is step 2/3\nNext steps:") from error

    monkeypatch.setattr(torch.onnx, "export", refuses)
    with pytest.raises(InputError) as refused:
        onnx_file.onnx_bytes(nn.Identity(), 8, 4)
    assert str(refused.value).endswith("cannot take this network (ValueError: no such operator)")


@pytest.mark.parametrize(
    ("target", "name", "said"),
    [
        ("onnx", "model.pt", "--for onnx writes .onnx"),
        ("pt", "model.onnx", "--for pt writes .pt or .pth"),
        ("boxmot", "model", "--for boxmot writes .pt or .onnx"),
        ("ultralytics", "nosuch/model.onnx", "must be a folder"),
    ],
)
def test_names_that_cannot_be_written(
    target: str, name: str, said: str, models: dict[str, Model], tmp_path: Path
):
    with pytest.raises(ModelError, match=said):
        export(models["onnx"], target, tmp_path / name)

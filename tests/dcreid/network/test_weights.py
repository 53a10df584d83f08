"""Weights of backbones: files and downloads that are taken or refused; untrained features of real frames."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch.nn import functional

from dcreid.network.backbone import Backbone, BackboneError, build_backbone


def build(name: str = "mobilenet_v3_small", weights: str | Path = "none", frozen_stages: int = 0) -> Backbone:
    torch.manual_seed(0)
    return build_backbone(name, str(weights), frozen_stages=frozen_stages, height=64, width=32)


def frames(b: int = 2) -> torch.Tensor:
    return torch.randn(b, 3, 64, 32, generator=torch.Generator().manual_seed(0))


def test_offline_imagenet_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def offline(*_args: object, **_kwargs: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(BackboneError) as error:
        build("resnet50", "imagenet")
    message = str(error.value)
    assert "https://download.pytorch.org/models/resnet50-0676ba61.pth" in message
    assert str(tmp_path / "hub" / "checkpoints" / "resnet50-0676ba61.pth") in message
    assert "--weights FILE" in message and "--weights none" in message


def test_imagenet_weights_are_taken_from_torch_s_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    checkpoints = tmp_path / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    torch.manual_seed(7)
    state = torchvision.models.mobilenet_v3_small().state_dict()
    entry = torchvision.models.get_model_weights("mobilenet_v3_small").IMAGENET1K_V1
    torch.save(state, checkpoints / Path(entry.url).name)
    loaded = build("mobilenet_v3_small", "imagenet").state_dict()
    assert torch.equal(loaded["network.features.0.0.weight"], state["features.0.0.weight"])


@pytest.mark.parametrize("wrapped", ["plain", "module.", "state_dict"])
@pytest.mark.parametrize("part", ["whole", "features"])
def test_state_dicts_of_the_whole_model_and_of_its_features(tmp_path: Path, wrapped: str, part: str):
    torch.manual_seed(5)
    model = torchvision.models.mobilenet_v3_small()
    state = (model if part == "whole" else model.features).state_dict()
    if wrapped == "module.":
        state = {f"module.{key}": value for key, value in state.items()}
    path = tmp_path / "weights.pt"
    torch.save({"state_dict": state, "epoch": 3} if wrapped == "state_dict" else state, path)
    loaded = build(weights=path).eval()
    model.eval()
    torch.testing.assert_close(loaded(frames()), model.features(frames()).mean(dim=(2, 3)))


def test_files_of_safetensors_are_taken(tmp_path: Path):
    torch.manual_seed(5)
    state = torchvision.models.mobilenet_v3_small().state_dict()
    save_file(state, tmp_path / "model.safetensors")
    loaded = build(weights=tmp_path / "model.safetensors").state_dict()
    assert torch.equal(loaded["network.features.0.0.weight"], state["features.0.0.weight"])
    (tmp_path / "model.safetensors").write_bytes(b"x" * 99)
    with pytest.raises(BackboneError, match=r"model\.safetensors: a damaged file"):
        build(weights=tmp_path / "model.safetensors")


def test_a_whole_resnet_with_another_number_of_classes_is_taken(tmp_path: Path):
    torch.save(torchvision.models.resnet18(num_classes=625).state_dict(), tmp_path / "w.pt")
    assert build("resnet18", tmp_path / "w.pt").dim == 512


def test_counters_that_old_files_lack_are_not_missed(tmp_path: Path):
    state = torchvision.models.resnet18().state_dict()
    old = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.pt")
    assert build("resnet18", tmp_path / "old.pt").dim == 512


def test_weights_of_another_network_list_the_first_keys(tmp_path: Path):
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "w.pt")
    with pytest.raises(BackboneError) as error:
        build("mobilenet_v3_small", tmp_path / "w.pt")
    message = str(error.value)
    assert str(tmp_path / "w.pt") in message
    assert "keys missing: features.0.0.weight, features.0.1.bias, features.0.1.running_mean" in message
    assert "keys unexpected: bn1.bias, bn1.num_batches_tracked, bn1.running_mean" in message


def test_weights_of_another_shape_list_the_first_keys(tmp_path: Path):
    torch.save(torchvision.models.resnet50().state_dict(), tmp_path / "w.pt")
    with pytest.raises(BackboneError, match=r"keys of another shape: layer1.0.conv1.weight, layer"):
        build("resnet18", tmp_path / "w.pt")


def test_files_that_hold_no_weights_are_refused(tmp_path: Path):
    with pytest.raises(BackboneError, match=r"gone\.pt: no such file"):
        build(weights=tmp_path / "gone.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(BackboneError, match=r"text\.pt: not a PyTorch state dict"):
        build(weights=tmp_path / "text.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(BackboneError, match=r"list\.pt: holds no state dict"):
        build(weights=tmp_path / "list.pt")


def untrained(root: Path, weights: Path, height: int, width: int) -> tuple[float, float]:
    """Rank-1 and mAP in percent of ImageNet features on the test split (8 frames a tracklet)."""
    from dcreid.clustering.distances import cross_distances
    from dcreid.data.jpeg import read_jpegs
    from dcreid.data.readers.mars import load_mars
    from dcreid.evaluation.retrieval import evaluate

    data = load_mars(root)
    test = data.test
    backbone = build_backbone("mobilenet_v2", str(weights), height=height, width=width).eval()
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    features = []
    with torch.inference_mode():
        for start in range(0, len(test.frames), 256):
            rows = np.arange(start, min(start + 256, len(test.frames)))
            pixels, readable = read_jpegs([test.frames.path(int(row)) for row in rows], height, width)
            assert readable.all()
            x = (torch.from_numpy(pixels).float() / 255 - mean) / std
            features.append(backbone(x.permute(0, 3, 1, 2)))
    frames_of = torch.cat(features).split(test.lengths.tolist())
    tracklets = functional.normalize(torch.stack([x.mean(dim=0) for x in frames_of]), dim=1)
    ids, cameras = test.identities, test.cameras
    got = evaluate(
        cross_distances(tracklets[data.query], tracklets[data.gallery]),
        ids[data.query],
        ids[data.gallery],
        cameras[data.query],
        cameras[data.gallery],
    )
    return 100 * got.rank1, 100 * got.mAP


@pytest.mark.real
@pytest.mark.parametrize(
    ("height", "width", "rank1", "mean_ap"),
    [(64, 32, 29.7, 18.0), pytest.param(128, 64, 32.0, 23.0, marks=pytest.mark.slow)],
)
def test_untrained_features_score_what_is_known_of_them(
    mars_mini: Path, mobilenet_weights: Path, height: int, width: int, rank1: float, mean_ap: float
):
    assert untrained(mars_mini, mobilenet_weights, height, width) == pytest.approx((rank1, mean_ap), abs=1)


class Harmful:
    """Unpickling it makes a file."""

    def __reduce__(self):
        return Path.touch, (Path("harmed"),)


def _file(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<!DOCTYPE html>\n<html>\n<body>404\n" * 20,
        bytes(range(256)) * 40,
        _file({"conv1.weight": torch.zeros(2)})[:-100],
        pickle.dumps({"conv1.weight": Harmful()}),
        _file({"conv1.weight": Harmful()}),
        _file(torch.nn.Linear(2, 2)),
        (16).to_bytes(8, "little") + b'{"a":{"dtype":}}' + bytes(64),
    ],
    ids=["empty", "html", "noise", "cut", "pickle", "harmful", "module", "safetensors"],
)
def test_files_that_are_no_state_dict_are_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(BackboneError) as error:
        build("resnet18", tmp_path / "w.pt")
    message = str(error.value)
    assert (
        message.startswith(f"weights {tmp_path / 'w.pt'}: not a PyTorch state dict") and "\n" not in message
    )
    assert "torch.save(network.state_dict(), FILE)" in message and "weights_only" not in message
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("conv1.weight", lambda t: t.index_fill(0, torch.tensor([3]), float("nan")), "NaN or infinite"),
        ("bn1.running_mean", lambda t: t - float("inf"), "NaN or infinite"),
        ("conv1.weight", lambda t: t.double() + 1e300, "NaN or infinite"),  # in 32 bits
        ("conv1.weight", lambda t: t.to(torch.int8), "torch.int8 values"),
        ("bn1.bias", lambda t: t.to(torch.complex64), "torch.complex64 values"),
        ("conv1.weight", lambda t: t.to_sparse(), "stored as torch.sparse_coo"),
        ("conv1.weight", lambda t: t.to("meta"), "no values (a meta tensor)"),
        ("bn1.running_var", lambda t: t.index_fill(0, torch.tensor([3]), -1.0), "negative variances"),
    ],
    ids=["nan", "inf", "too large", "int8", "complex", "sparse", "meta", "variance"],
)
def test_tensors_that_would_give_no_features_are_named(tmp_path: Path, name: str, change, said: str):
    state = torchvision.models.resnet18().state_dict()
    torch.save(state | {name: change(state[name])}, tmp_path / "w.pt")
    with pytest.raises(BackboneError) as error:
        build("resnet18", tmp_path / "w.pt")
    message = str(error.value)
    assert f"weights {tmp_path / 'w.pt'}: tensor {name} " in message and said in message
    assert "\n" not in message


def test_weights_of_other_precisions_are_taken(tmp_path: Path):
    state = torchvision.models.resnet18().state_dict()
    torch.save({k: v.half() if v.is_floating_point() else v for k, v in state.items()}, tmp_path / "w.pt")
    assert build("resnet18", tmp_path / "w.pt").dim == 512


def test_finite_weights_whose_features_are_not_are_refused(tmp_path: Path):
    state = torchvision.models.resnet18().state_dict()
    torch.save(state | {"bn1.bias": torch.full((64,), 3e38)}, tmp_path / "w.pt")
    with pytest.raises(BackboneError, match="NaN or infinite"):
        build("resnet18", tmp_path / "w.pt")

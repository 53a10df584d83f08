"""Backbones: shapes, frozen stages, weights, the errors that users meet; untrained figures on real frames."""

from __future__ import annotations

import copy
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional

from dcreid.network.backbone import Backbone, BackboneError, EmbeddingHead, build_backbone, stage_count

DIMS = {
    "resnet18": 512,
    "resnet34": 512,
    "resnet50": 2048,
    "resnet101": 2048,
    "mobilenet_v2": 1280,
    "mobilenet_v3_small": 576,
    "convnext_tiny": 768,
    "efficientnet_b0": 1280,
    "squeezenet1_1": 512,
    "densenet121": 1024,
    "vgg11": 512,
}
LARGE = {"resnet34", "resnet50", "resnet101", "convnext_tiny", "efficientnet_b0", "densenet121", "vgg11"}


def build(name: str = "mobilenet_v3_small", weights: str | Path = "none", frozen_stages: int = 0) -> Backbone:
    torch.manual_seed(0)
    return build_backbone(name, str(weights), frozen_stages=frozen_stages, height=64, width=32)


def frames(b: int = 2) -> torch.Tensor:
    return torch.randn(b, 3, 64, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in DIMS]
)
def test_networks_give_one_vector_per_frame(name: str):
    backbone = build(name)
    assert backbone.dim == DIMS[name]
    for mode in (True, False):
        assert backbone.train(mode)(frames()).shape == (2, DIMS[name])


def test_the_feature_is_the_mean_over_positions():
    backbone = build("mobilenet_v2").eval()
    maps = backbone.network.features(frames())
    torch.testing.assert_close(backbone(frames()), maps.mean(dim=(2, 3)))


def test_a_new_backbone_is_in_training_mode_throughout():
    assert all(module.training for module in build().modules())


def test_nothing_of_the_classifier_is_left():
    keys = build("resnet18").state_dict()
    assert not [key for key in keys if "fc" in key]


def test_random_weights_follow_the_seed():
    one, other = build(), build()
    torch.manual_seed(1)
    different = build_backbone("mobilenet_v3_small", "none", height=64, width=32)
    assert torch.equal(one.eval()(frames()), other.eval()(frames()))
    assert not torch.equal(one(frames()), different.eval()(frames()))


@pytest.mark.parametrize(
    ("name", "stages", "frozen"),
    [
        ("resnet18", 3, ("conv1", "bn1", "layer1", "layer2")),
        ("resnet18", 1, ("conv1", "bn1")),
        ("mobilenet_v2", 2, ("features.0", "features.1")),
        ("mobilenet_v3_small", 5, tuple(f"features.{i}" for i in range(5))),
    ],
)
def test_frozen_stages_stay_as_they_are(name: str, stages: int, frozen: tuple[str, ...]):
    backbone = build(name, frozen_stages=stages).train()
    before = copy.deepcopy(backbone.state_dict())
    optimiser = torch.optim.SGD((p for p in backbone.parameters() if p.requires_grad), lr=0.1, momentum=0.9)
    for _ in range(2):
        backbone(frames(4)).square().sum().backward()
        optimiser.step()
    changed = {key for key, value in backbone.state_dict().items() if not torch.equal(value, before[key])}
    fixed = {key for key in before if key.removeprefix("network.").startswith(tuple(f"{s}." for s in frozen))}
    assert fixed and not changed & fixed
    assert changed == set(before) - fixed


def test_all_stages_can_be_frozen_and_no_more():
    assert not [p for p in build("resnet18", frozen_stages=5).parameters() if p.requires_grad]
    with pytest.raises(BackboneError, match="frozen_stages = 6: this backbone has 5 stages"):
        build("resnet18", frozen_stages=6)


def test_a_copied_backbone_freezes_its_own_stages():
    twin = copy.deepcopy(build("resnet18", frozen_stages=1)).train()
    assert not twin.network.bn1.training and twin.network.layer1[0].bn1.training


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("resnet51", "backbone 'resnet51': not a torchvision classification network"),
        ("inception_v3", "has no single classifier"),
        ("vit_b_16", r"does not take 64×32 frames"),
    ],
)
def test_networks_that_cannot_be_used_are_told(name: str, told: str):
    with pytest.raises(BackboneError, match=told):
        build(name)


def test_offline_imagenet_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def offline(*_args: object, **_kwargs: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(BackboneError) as error:
        build("resnet50", "imagenet")
    told = str(error.value)
    assert "https://download.pytorch.org/models/resnet50-0676ba61.pth" in told
    assert str(tmp_path / "hub" / "checkpoints" / "resnet50-0676ba61.pth") in told
    assert "--weights FILE" in told and "--weights none" in told


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
    told = str(error.value)
    assert str(tmp_path / "w.pt") in told
    assert "keys missing: features.0.0.weight, features.0.1.bias, features.0.1.running_mean" in told
    assert "keys unexpected: bn1.bias, bn1.num_batches_tracked, bn1.running_mean" in told


def test_weights_of_another_shape_list_the_first_keys(tmp_path: Path):
    torch.save(torchvision.models.resnet50().state_dict(), tmp_path / "w.pt")
    with pytest.raises(BackboneError, match=r"keys of another shape: layer1.0.conv1.weight, layer"):
        build("resnet18", tmp_path / "w.pt")


def test_files_that_hold_no_weights_are_told(tmp_path: Path):
    with pytest.raises(BackboneError, match=r"gone\.pt: no such file"):
        build(weights=tmp_path / "gone.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(BackboneError, match=r"text\.pt: not a PyTorch state dict"):
        build(weights=tmp_path / "text.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(BackboneError, match=r"list\.pt: holds no state dict"):
        build(weights=tmp_path / "list.pt")


def test_the_head_is_linear_batch_norm_dropout():
    head = EmbeddingHead(6, 4, 0.5)
    assert [type(layer) for layer in head.layers] == [nn.Linear, nn.BatchNorm1d, nn.Dropout]
    assert head(torch.randn(3, 6)).shape == (3, 4)


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


@pytest.mark.parametrize(
    ("name", "stages"), [("resnet18", 5), ("mobilenet_v2", 19), ("shufflenet_v2_x0_5", 5)]
)
def test_stages_are_counted_as_they_are_frozen(name: str, stages: int) -> None:
    assert stage_count(name) == stages
    build_backbone(name, "none", frozen_stages=stages, height=64, width=32)
    with pytest.raises(BackboneError, match=f"has {stages} stages"):
        build_backbone(name, "none", frozen_stages=stages + 1, height=64, width=32)

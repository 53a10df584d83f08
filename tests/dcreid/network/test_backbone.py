"""Backbones: shapes, frozen stages, and the errors that users meet."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from dcreid.network.backbone import (
    Backbone,
    BackboneError,
    build_backbone,
    stage_count,
    stages_to_stride,
)

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


def build(name: str = "mobilenet_v3_small", weights: str | Path = "none", **options: Any) -> Backbone:
    torch.manual_seed(0)
    return build_backbone(name, str(weights), height=64, width=32, **options)


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


def test_frozen_batch_norm_keeps_its_statistics_while_its_weights_are_trained():
    backbone = build("resnet18", frozen_stages=1, batch_norm="frozen")
    before = copy.deepcopy(backbone.state_dict())
    optimiser = torch.optim.SGD((p for p in backbone.parameters() if p.requires_grad), lr=0.1)
    for _ in range(2):
        backbone.train()(frames(4)).square().sum().backward()
        optimiser.step()
    changed = {key for key, value in backbone.state_dict().items() if not torch.equal(value, before[key])}
    trained = {key for key, weight in backbone.named_parameters() if weight.requires_grad}
    assert changed == trained
    norms = [key for key in before if key.endswith("running_mean")]
    assert len(norms) > 10 and sum(key.replace("running_mean", "weight") in trained for key in norms) > 10


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_frozen_batch_norm_treats_each_frame_for_itself_in_training(name: str):
    adapting, frozen = build(name), build(name, batch_norm="frozen")
    with torch.no_grad():
        together = frozen.train()(frames(4))
        torch.testing.assert_close(together[:1], frozen(frames(4)[:1]))
        torch.testing.assert_close(together, adapting.eval()(frames(4)))
        assert not torch.allclose(together, adapting.train()(frames(4)), rtol=0.1)


def test_all_but_batch_norm_is_in_training_mode_where_that_is_frozen():
    modules = list(build("efficientnet_b0", batch_norm="frozen").train().modules())
    fixed = {type(module) for module in modules if not module.training}
    assert fixed == {torch.nn.BatchNorm2d}
    assert not any(module.training for module in modules if isinstance(module, torch.nn.BatchNorm2d))


def test_all_stages_can_be_frozen_and_no_more():
    assert not [p for p in build("resnet18", frozen_stages=5).parameters() if p.requires_grad]
    with pytest.raises(BackboneError, match="frozen_stages = 6: this backbone has 5 stages"):
        build("resnet18", frozen_stages=6)


def test_a_copied_backbone_freezes_its_own_stages():
    twin = copy.deepcopy(build("resnet18", frozen_stages=1)).train()
    assert not twin.network.bn1.training and twin.network.layer1[0].bn1.training


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet51", "backbone 'resnet51': not a torchvision classification network"),
        ("inception_v3", "has no single classifier"),
        ("vit_b_16", r"does not take 64×32 frames"),
    ],
)
def test_networks_that_cannot_be_used_are_refused(name: str, message: str):
    with pytest.raises(BackboneError, match=message):
        build(name)


@pytest.mark.parametrize(
    ("name", "stages"), [("resnet18", 5), ("mobilenet_v2", 19), ("shufflenet_v2_x0_5", 5)]
)
def test_stages_are_counted_as_they_are_frozen(name: str, stages: int) -> None:
    assert stage_count(name) == stages
    build_backbone(name, "none", frozen_stages=stages, height=64, width=32)
    with pytest.raises(BackboneError, match=f"has {stages} stages"):
        build_backbone(name, "none", frozen_stages=stages + 1, height=64, width=32)


@pytest.mark.parametrize(
    ("name", "stride", "stages"),
    [
        *(
            ("resnet50", stride, stages)
            for stride, stages in ((1, 0), (2, 1), (4, 2), (8, 3), (16, 4), (32, 5))
        ),
        ("resnet18", 8, 3),
        ("mobilenet_v2", 8, 7),
        ("mobilenet_v2", 32, 19),
        ("shufflenet_v2_x1_0", 8, 2),
        ("efficientnet_b0", 8, 4),
        ("densenet121", 8, 5),
        ("regnet_y_400mf", 8, 1),
        ("squeezenet1_1", 8, 5),
        ("swin_t", 8, 4),  # channels last
        ("swin_t", 32, 8),
        ("vit_b_16", 8, 0),
        ("vit_b_16", 16, 1),  # sequences of patches are no map
    ],
)
def test_stages_up_to_a_stride(name: str, stride: int, stages: int) -> None:
    assert stages_to_stride(name, stride) == stages

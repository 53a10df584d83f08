"""GeM against its formula, on the map that each network pools."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from dcreid.network.backbone import Backbone, BackboneError, build_backbone

# The map that a network pools, as its forward pass in torchvision has it.
MAPS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "resnet18": lambda net, x: net.layer4(net.layer3(net.layer2(net.layer1(stem(net, x))))),
    "mobilenet_v2": lambda net, x: net.features(x),
    "mobilenet_v3_small": lambda net, x: net.features(x),
    "mnasnet0_5": lambda net, x: net.layers(x),
    "shufflenet_v2_x0_5": lambda net, x: net.conv5(
        net.stage4(net.stage3(net.stage2(net.maxpool(net.conv1(x)))))
    ),
    "squeezenet1_1": lambda net, x: net.features(x),
    "regnet_y_400mf": lambda net, x: net.trunk_output(net.stem(x)),
    "efficientnet_b0": lambda net, x: net.features(x),
    "densenet121": lambda net, x: functional.relu(net.features(x)),
    "convnext_tiny": lambda net, x: net.features(x),
    "vgg11": lambda net, x: net.features(x),
}
HEIGHT, WIDTH = 96, 64


def stem(net: Any, x: Tensor) -> Tensor:
    maps: Tensor = net.maxpool(net.relu(net.bn1(net.conv1(x))))
    return maps


def build(name: str, **options: Any) -> Backbone:
    torch.manual_seed(0)
    return build_backbone(name, "none", height=HEIGHT, width=WIDTH, **options)


def frames() -> Tensor:
    return torch.randn(2, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))


def generalised_mean(maps: np.ndarray) -> np.ndarray:
    """One position after the other, in float64."""
    b, d, h, w = maps.shape
    total = np.zeros((b, d))
    for y in range(h):
        for x in range(w):
            total += np.maximum(maps[:, :, y, x].astype(np.float64), 1e-6) ** 3
    return np.cbrt(total / (h * w))


@torch.no_grad()
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow if n in ("vgg11", "convnext_tiny") else ()) for n in MAPS],
)
def test_gem_is_its_formula_on_the_map_that_a_network_pools(name: str) -> None:
    plain, gem = build(name).eval(), build(name, pooling="gem").eval()
    assert gem.dim == plain.dim
    maps = MAPS[name](plain.network, frames()).numpy()
    assert maps.shape[2] * maps.shape[3] > 1
    np.testing.assert_allclose(gem(frames()).numpy(), generalised_mean(maps), rtol=1e-4, atol=1e-5)
    states = plain.state_dict(), gem.state_dict()
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_stages_are_frozen_as_with_the_mean() -> None:
    for name, stages in (("mobilenet_v2", 19), ("resnet18", 5), ("shufflenet_v2_x0_5", 5)):
        fixed = build(name, pooling="gem", frozen_stages=stages)
        assert not any(weight.requires_grad for weight in fixed.parameters())
        with pytest.raises(BackboneError, match=f"this backbone has {stages} stages"):
            build(name, pooling="gem", frozen_stages=stages + 1)


def test_powers_of_bf16_maps_are_taken_and_averaged_in_float32() -> None:
    gem = build("mobilenet_v2", pooling="gem").eval()
    maps: list[Tensor] = []
    gem.network.features[18].register_forward_hook(lambda *called: maps.append(called[2]))
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        pooled = gem(frames())
    assert maps[0].dtype == torch.bfloat16 and pooled.dtype == torch.float32
    wanted = generalised_mean(maps[0].float().numpy())
    np.testing.assert_allclose(pooled.numpy(), wanted, rtol=1e-5, atol=1e-7)


def test_gradients_are_those_of_the_formula_and_finite_where_nothing_is_positive() -> None:
    gem = build("shufflenet_v2_x0_5", pooling="gem").double().train()
    x = frames().double().requires_grad_()
    gem(x).square().sum().backward()
    maps: list[Tensor] = []
    with gem.network.conv5[2].register_forward_hook(lambda *called: maps.append(called[2])):
        gem(x)
    assert x.grad is not None and bool(x.grad.isfinite().all())
    m = maps[0].detach().requires_grad_()
    ours = gem.network.fc(gem.network.conv5[3](m))
    (slope,) = torch.autograd.grad(ours.sum(), m)
    # d/dx of (mean x^3)^(1/3): x^2 / (positions · GeM^2) where x counts, else 0.
    positions = m.shape[2] * m.shape[3]
    by_hand = torch.where(m >= 1e-6, m**2 / (positions * ours[:, :, None, None] ** 2), 0.0)
    torch.testing.assert_close(slope, by_hand)
    assert 0 < int((m < 1e-6).sum()) < m.numel()


def test_networks_without_a_map_are_refused() -> None:
    with pytest.raises(
        BackboneError, match=r"pooling = gem: not possible with backbone 'swin_t', it has no map"
    ):
        build("swin_t", pooling="gem")


def test_gem_and_the_larger_map_go_together() -> None:
    both = build("resnet18", pooling="gem", last_stride=1).eval()
    assert isinstance(both.network.layer4, nn.Sequential)
    maps: list[Tensor] = []
    both.network.layer4[1].register_forward_hook(lambda *called: maps.append(called[2]))
    with torch.no_grad():
        pooled = both(frames())
    assert maps[0].shape[2:] == (6, 4)
    np.testing.assert_allclose(pooled.numpy(), generalised_mean(maps[0].numpy()), rtol=1e-4, atol=1e-5)

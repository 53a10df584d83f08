"""Stride 1 in a backbone's last reduction: which layers it is, and the map that comes of it."""

from __future__ import annotations

import copy

import pytest
import torch
import torchvision
from torch import Tensor, nn

from dcreid.network.backbone import BackboneError, build_backbone
from dcreid.network.last_stride import without_last_reduction
from dcreid.network.pooling import GlobalPool

# As torchvision names them: what reduces the map the last time.
LAYERS = {
    "resnet18": ["layer4.0.conv1", "layer4.0.downsample.0"],
    "resnet50": ["layer4.0.conv2", "layer4.0.downsample.0"],
    "resnext50_32x4d": ["layer4.0.conv2", "layer4.0.downsample.0"],
    "wide_resnet50_2": ["layer4.0.conv2", "layer4.0.downsample.0"],
    "mobilenet_v2": ["features.14.conv.1.0"],
    "mobilenet_v3_small": ["features.9.block.1.0"],
    "mobilenet_v3_large": ["features.13.block.1.0"],
    "mnasnet1_0": ["layers.12.0.layers.3"],
    "shufflenet_v2_x1_0": ["stage4.0.branch1.0", "stage4.0.branch2.3"],
    "efficientnet_b0": ["features.6.0.block.1.0"],
    "regnet_y_400mf": ["trunk_output.block4.block4-0.proj.0", "trunk_output.block4.block4-0.f.b.0"],
    "convnext_tiny": ["features.6.1"],
    "densenet121": ["features.transition3.pool"],
    "squeezenet1_1": ["features.8"],
    "vgg11_bn": ["features.28"],
    "alexnet": ["features.12"],
}
REFUSED = ("maxvit", "swin", "vit")


def headless(name: str) -> nn.Module:
    """A network in shapes alone, without its classifier, made without help of `dcreid.network.backbone`."""
    if name.startswith("regnet"):
        network = torchvision.models.get_model(name).to("meta")
    else:
        with torch.device("meta"):
            network = torchvision.models.get_model(name)
    classifier = next(part for part in ("fc", "classifier", "head", "heads") if hasattr(network, part))
    setattr(network, classifier, GlobalPool())
    return network


def strides(network: nn.Module) -> dict[str, object]:
    layers = {name: getattr(module, "stride", None) for name, module in network.named_modules()}
    return {name: stride for name, stride in layers.items() if stride is not None}


def check_layers(name: str, wanted: list[str], height: int = 224, width: int = 224) -> None:
    network = headless(name)
    before = strides(network)
    without_last_reduction(name, network, torch.zeros(1, 3, height, width, device="meta"))
    changed = {layer: stride for layer, stride in strides(network).items() if stride != before[layer]}
    assert list(changed) == wanted
    assert set(changed.values()) <= {1, (1, 1)}


@pytest.mark.parametrize("name", LAYERS)
def test_the_layers_are_those_that_torchvision_names(name: str) -> None:
    check_layers(name, LAYERS[name])


@pytest.mark.parametrize(("height", "width"), [(256, 128), (64, 32), (32, 16), (72, 40)])
def test_the_size_of_frames_does_not_matter(height: int, width: int) -> None:
    check_layers("resnet18", LAYERS["resnet18"], height, width)


@pytest.mark.slow
def test_every_network_of_torchvision_gets_the_larger_map_or_is_refused() -> None:
    for name in torchvision.models.list_models(module=torchvision.models):
        if name in ("googlenet", "inception_v3", "vit_h_14", "regnet_y_128gf"):  # no backbones, or huge
            continue
        network, frame = headless(name), torch.zeros(1, 3, 224, 224, device="meta")
        if name.startswith(REFUSED):
            with pytest.raises(BackboneError, match=f"last_stride = 1: not possible with backbone '{name}'"):
                without_last_reduction(name, network, frame)
        else:
            before = pooled_map(network, frame).shape
            without_last_reduction(name, network, frame)
            for short, long in zip(before[2:], pooled_map(network, frame).shape[2:], strict=True):
                assert short > 1 and abs(long - 2 * short) <= 1, name


def pooled_map(network: nn.Module, frame: Tensor) -> Tensor:
    """What is pooled, as torch's functions for it get it."""
    maps: list[Tensor] = []

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            pools = getattr(function, "__name__", "") in ("adaptive_avg_pool2d", "mean")
            if pools and isinstance(args[0], Tensor) and args[0].ndim == 4:
                maps.append(args[0])
            return function(*args, **(kwargs or {}))

    with Watch():
        network.eval()(frame)
    if not maps:  # SqueezeNet's map is flattened before its mean
        with network.get_submodule("features").register_forward_hook(lambda *called: maps.append(called[2])):
            network(frame)
    return maps[-1]


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_features_are_those_of_a_network_edited_by_hand_and_the_weights_the_same(name: str) -> None:
    built = {}
    for stride in (2, 1):
        torch.manual_seed(0)
        built[stride] = build_backbone(name, "none", last_stride=stride, height=64, width=32).eval()
    assert built[1].dim == built[2].dim
    states = [built[stride].state_dict() for stride in (1, 2)]
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(states[0][key], value) for key, value in states[1].items())

    frames = torch.randn(2, 3, 64, 32, generator=torch.Generator().manual_seed(0))
    by_hand = copy.deepcopy(built[2])
    for layer in LAYERS[name]:
        by_hand.network.get_submodule(layer).stride = (1, 1)
    with torch.no_grad():
        assert torch.equal(built[1](frames), by_hand(frames))
        assert not torch.equal(built[1](frames), built[2](frames))


@pytest.mark.parametrize(
    ("name", "size", "why"),
    [
        ("vit_b_16", 224, "it has no map of features before its pooling"),
        ("swin_t", 224, "it has no map of features before its pooling"),
        ("maxvit_t", 224, "it does not take a larger map"),
        ("resnet18", 16, "its map of 1×1 would become one of 1×1, not of twice the size"),
    ],
)
def test_networks_without_such_a_reduction_are_refused(name: str, size: int, why: str) -> None:
    with pytest.raises(BackboneError) as refused:
        without_last_reduction(name, headless(name), torch.zeros(1, 3, size, size, device="meta"))
    assert str(refused.value).startswith(f"last_stride = 1: not possible with backbone '{name}', {why}")
    assert str(refused.value).endswith("use last_stride = 2")


def test_a_reduction_by_more_than_two_is_no_last_stride() -> None:
    network = nn.Module()
    network.features = nn.Sequential(nn.Conv2d(3, 4, 4, stride=4))
    network.classifier = GlobalPool()
    network.forward = lambda frames: network.classifier(network.features(frames))
    with pytest.raises(BackboneError, match="its map of 4×2 would become one of 13×5, not of twice the size"):
        without_last_reduction("patches", network, torch.zeros(1, 3, 16, 8))

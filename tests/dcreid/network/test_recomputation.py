"""Checkpointed activations: the results of plain training, with less stored for the backward pass."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rank_runs
import torch
from rank_runs import on_ranks
from torch import Tensor, nn

from dcreid.algorithm import Algorithm
from dcreid.config import ConfigError
from dcreid.data import load_dataset
from dcreid.network import recomputation
from dcreid.network.backbone import Backbone, build_backbone
from dcreid.parallel import ONE_PROCESS

HEIGHT, WIDTH = 64, 32
# Batch norm in all but ConvNeXt and Swin; stochastic depth in these and in EfficientNet.
NETWORKS = ["resnet18", "mobilenet_v2", "shufflenet_v2_x0_5", "efficientnet_b0"]
LARGE = ["resnet50", "convnext_tiny", "densenet121", "vgg11_bn", "swin_t"]
ALL = [*NETWORKS, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)]


def pair(name: str, frozen_stages: int = 0, **options: Any) -> tuple[Backbone, Backbone]:
    """A plain network and the same with activations checkpointed."""
    torch.manual_seed(0)
    plain = build_backbone(name, "none", frozen_stages=frozen_stages, height=HEIGHT, width=WIDTH, **options)
    checkpointed = copy.deepcopy(plain)
    checkpointed.checkpoint_activations()
    return plain, checkpointed


def frames(b: int = 4) -> Tensor:
    return torch.randn(b, 3, HEIGHT, WIDTH)


def trained(backbone: Backbone, iterations: int = 3) -> dict[str, Tensor]:
    """The state after some iterations on frames and random numbers that every network gets alike."""
    weights = [weight for weight in backbone.parameters() if weight.requires_grad]
    optimiser = torch.optim.SGD(weights, lr=0.01, momentum=0.9)
    torch.manual_seed(1)
    for _ in range(iterations):
        optimiser.zero_grad()
        backbone(frames()).square().mean().backward()
        optimiser.step()
    return {**backbone.state_dict(), "random numbers": torch.get_rng_state()}


def check_equal(ours: dict[str, Tensor], plain: dict[str, Tensor], tolerance: float = 1e-5) -> None:
    """Same keys; counters equal, all else to a relative tolerance."""
    assert list(ours) == list(plain)
    for name, wanted in plain.items():
        if wanted.is_floating_point():
            assert (ours[name] - wanted).norm() <= tolerance * wanted.norm(), name
        else:
            assert torch.equal(ours[name], wanted), name


def kept_bytes(backbone: Backbone) -> int:
    """What a forward pass keeps for the backward pass, weights left out: each storage once."""
    weights = {tensor.untyped_storage().data_ptr() for tensor in backbone.state_dict().values()}
    kept = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        features = backbone(frames())
    assert features.requires_grad
    return sum(size for place, size in kept.items() if place not in weights)


# --- the same training


@pytest.mark.parametrize("name", ALL)
def test_weights_statistics_and_random_numbers_are_those_of_plain_training(name: str) -> None:
    plain, checkpointed = pair(name)
    check_equal(trained(checkpointed), trained(plain))


def test_batch_norm_follows_each_batch_once_with_any_momentum() -> None:
    networks = pair("resnet18")
    for network in networks:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None  # the mean over all batches
    plain, checkpointed = (trained(network) for network in networks)
    check_equal(checkpointed, plain)
    assert {int(value) for name, value in checkpointed.items() if name.endswith("tracked")} == {3}


@pytest.mark.parametrize(("name", "stages"), [("resnet18", 1), ("resnet18", 3), ("mobilenet_v2", 4)])
def test_frozen_stages_stay_frozen(name: str, stages: int) -> None:
    plain, checkpointed = pair(name, stages)
    before = copy.deepcopy(plain.state_dict())
    ours = trained(checkpointed)
    check_equal(ours, trained(plain))
    fixed = [name for name, weight in plain.named_parameters() if not weight.requires_grad]
    assert fixed and all(torch.equal(ours[name], before[name]) for name in fixed)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("options", [{"batch_norm": "frozen"}, {"last_stride": 1}], ids=str)
def test_choices_of_the_network_are_trained_alike(name: str, options: dict[str, Any]) -> None:
    plain, checkpointed = pair(name, 1, **options)
    before = copy.deepcopy(plain.state_dict())
    ours = trained(checkpointed)
    check_equal(ours, trained(plain))
    assert kept_bytes(checkpointed) < kept_bytes(plain) / 2
    statistics = [name for name in ours if "running" in name]
    moved = [name for name in statistics if not torch.equal(ours[name], before[name])]
    assert bool(moved) == ("batch_norm" not in options)


def test_gradients_under_autocast_are_those_of_plain_training() -> None:
    found = []
    for network in pair("resnet18"):
        torch.manual_seed(1)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            features = network(frames())
        features.float().square().mean().backward()
        found.append({name: weight.grad for name, weight in network.named_parameters()})
    check_equal(*reversed(found))


def test_a_copy_recomputes_its_own_blocks() -> None:
    plain, checkpointed = pair("resnet18")
    before = copy.deepcopy(checkpointed.state_dict())
    twin = copy.deepcopy(checkpointed)
    check_equal(trained(twin), trained(plain))
    check_equal(checkpointed.state_dict(), before, tolerance=0.0)


# --- less memory


@pytest.mark.parametrize("name", ALL)
def test_less_than_half_is_kept_for_the_backward_pass(name: str) -> None:
    plain, checkpointed = pair(name)
    assert kept_bytes(checkpointed) < kept_bytes(plain) / 2


def test_blocks_and_the_stem_of_a_residual_network_keep_their_inputs_only() -> None:
    _, checkpointed = pair("resnet18")
    inputs = []
    blocks = [block for i in range(1, 5) for block in checkpointed.network.get_submodule(f"layer{i}")]
    for module in (checkpointed.network.conv1, *blocks):
        module.register_forward_pre_hook(lambda _, given: inputs.append(given[0].nbytes))
    assert kept_bytes(checkpointed) == sum(inputs)


# --- nothing else changes


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
@pytest.mark.parametrize("context", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_evaluation_recomputes_nothing(
    name: str, context: Callable[[], torch.no_grad], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, checkpointed = (network.eval() for network in pair(name))
    monkeypatch.delattr(recomputation, "checkpoint")
    x = frames()
    with context():
        assert torch.equal(checkpointed(x), plain(x))
        if not torch.is_grad_enabled():
            checkpointed.train()(x)


def test_runs_with_a_head_and_dropout_are_those_of_plain_training() -> None:
    config = rank_runs.config("head with dropout").replace(**{"train.lr": 0.01, "merge.max_steps": 2})
    data = load_dataset(config.data, None)
    plain, checkpointed = (Algorithm(config, data, checkpoint_activations=x) for x in (False, True))
    for ours, wanted in zip(checkpointed, plain, strict=True):
        assert ours.mAP == wanted.mAP
        assert ours.loss == pytest.approx(wanted.loss, rel=1e-5)
    check_equal(checkpointed.state_dict()["backbone"], plain.state_dict()["backbone"])


def test_compiled_networks_are_refused() -> None:
    config = rank_runs.config("batch norm").replace(**{"train.compile": True})
    with pytest.raises(ConfigError, match=r"checkpoint_activations and train\.compile"):
        Algorithm(config, load_dataset(config.data, None), checkpoint_activations=True)


# --- several ranks


def check_ranks(found: list[dict[str, list[dict[str, Tensor]]]]) -> None:
    """Checkpointed ranks against plain ones; and against one process, where sums round otherwise."""
    for rank in found:
        for plain, checkpointed in rank.values():  # steps are small: only equality shows a difference
            check_equal(checkpointed, plain, tolerance=0.0)
    start = rank_runs.algorithm("more ranks than tracklets").network.backbone.state_dict()
    ours, alone = found[0]["resnet18"][1], rank_runs.after_a_stage(ONE_PROCESS, "resnet18")
    weights = [name for name in start if "running" not in name and "tracked" not in name]
    moved, apart = (torch.cat([(x[name] - alone[name]).flatten() for name in weights]) for x in (start, ours))
    assert apart.norm() < 1e-3 * moved.norm()
    for name in start.keys() - set(weights):
        torch.testing.assert_close(ours[name], alone[name], rtol=1e-4, atol=1e-5)


def test_two_ranks_equal_plain_ranks_and_one_process(tmp_path: Path) -> None:
    check_ranks(on_ranks(2, tmp_path / "ranks", rank_runs.plain_and_checkpointed, ["resnet18"]))


@pytest.mark.slow
def test_three_ranks_with_random_numbers_of_their_own_do_too_though_one_has_no_frames(tmp_path: Path) -> None:
    networks = ["resnet18", "efficientnet_b0"]  # the latter has stochastic depth
    check_ranks(on_ranks(3, tmp_path / "ranks", rank_runs.plain_and_checkpointed, networks))

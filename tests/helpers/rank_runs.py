"""Work on several gloo ranks for the tests of `dcreid.parallel`: what spawned processes do and return."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from unittest import mock

import jaxtyping
import torch
from torch import Tensor, multiprocessing, nn
from torchvision.ops import StochasticDepth

_TENSOR_CODE = [
    f"dcreid.{room}" for room in ("algorithm", "data", "memory", "network", "parallel", "proxies", "training")
]
with jaxtyping.install_import_hook(_TENSOR_CODE, "beartype.beartype"):  # spawned processes have no pytest
    from dcreid.algorithm import Algorithm
    from dcreid.config import Config
    from dcreid.data import load_dataset
    from dcreid.data.augmentation import augment
    from dcreid.network.batch_norm import synchronise_batch_norm
    from dcreid.parallel import ONE_PROCESS, Ranks, process_group
    from dcreid.presets import small

CPU = torch.device("cpu")

# 18 tracklets in batches of 7, 7 and 4: 3 + 4 and 2 + 2 on two ranks, 2 + 2 + 3 and 1 + 1 + 2 on three.
_TINY: dict[str, Any] = {
    "data.height": 32,
    "data.width": 16,
    "data.frames": 2,
    "data.synthetic.train_identities": 6,
    "data.synthetic.test_identities": 4,
    "data.synthetic.tracklets": 3,
    "data.synthetic.frames": 3,
    "model.backbone": "resnet18",
    "train.batch_size": 7,
    "train.first_epochs": 2,
    "train.later_epochs": 1,
    # Random weights are a steep place: larger steps would make a landslide of the last bit's rounding.
    "train.lr": 1e-5,
    "merge.merge_rate": 0.2,
    "merge.max_steps": 3,
}
_ONE_STAGE = {"train.first_epochs": 1, "merge.max_steps": 1}
_LARGER = {"data.height": 64, "data.width": 32}  # or batch norm has too few samples to be steady
VARIANTS: dict[str, dict[str, Any]] = {
    "batch norm": {},
    "head with dropout": {
        **{"model.head": "embedding", "model.embedding_dim": 32, "model.dropout": 0.5},
        **{"model.frozen_stages": 1, "merge.method": "exact", "evaluate.eval_every": 2},
    },
    "by classes": {
        **{"train.sampler": "classes", "train.tracklets_per_class": 2, "train.batch_size": 8},
        **{"train.camera_proxies": True, "train.clip_norm": 0.1},
        **{"train.memory_init": "carry", "train.drop_last": True},
        **{"train.lr": 1e-3, "train.first_epochs": 1, "merge.max_steps": 2},
        **_LARGER,
    },
    "network and frames": {
        **{"model.batch_norm": "frozen", "model.last_stride": 1},
        **{"model.head": "buc", "model.embedding_dim": 32, "model.frozen_stages": 1},
        **{"data.augment_per": "frame", "data.crop": 0.5, "data.frame_sampling": "distinct"},
        **_LARGER,
        **_ONE_STAGE,
    },
    "more ranks than tracklets": {"train.batch_size": 2, **_LARGER, **_ONE_STAGE},
    "layer norm": {"model.backbone": "convnext_tiny", **_LARGER, **_ONE_STAGE},
}


def config(variant: str) -> Config:
    return small().replace(**(_TINY | VARIANTS[variant]))


def algorithm(variant: str, ranks: Ranks = ONE_PROCESS) -> Algorithm:
    """A run about to begin, without the random numbers of the network's own."""
    made = Algorithm(config(variant), load_dataset(config(variant).data, None), ranks=ranks)
    for module in made.network.backbone.modules():
        if isinstance(module, StochasticDepth):
            module.p = 0.0
    return made


def on_ranks(size: int, folder: Path, work: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What `work(ranks, *arguments)` of this module returns on every rank; raises if one does."""
    folder.mkdir(parents=True)
    multiprocessing.spawn(_rank, (size, folder, work, arguments), nprocs=size)  # type: ignore[no-untyped-call]
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(size)]


def _rank(rank: int, size: int, folder: Path, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    with process_group(CPU, (folder / "meeting").as_uri(), rank, size) as ranks:
        torch.save(work(ranks, *arguments), folder / f"{rank}.pt")


def runs(ranks: Ranks, variants: list[str], cut: dict[str, Any] | None = None) -> dict[str, dict[str, Any]]:
    """States of whole runs; after the first stage of each, of the first variant also "cut" into it.

    cut: a state of the first variant to go on from, to its end ("continued").
    """
    states: dict[str, dict[str, Any]] = {}
    for variant in variants:
        run = algorithm(variant, ranks)
        run.untrained()
        run.step()
        if variant == variants[0]:
            run.train()
            states["cut"] = run.state_dict()
        list(run)
        states[variant] = run.state_dict()
    if cut is not None:
        run = algorithm(variants[0], ranks)
        run.load_state_dict(cut)
        list(run)
        states["continued"] = run.state_dict()
    return states


# --- two steps at the paper's rate

# Two batches of nine tracklets: 4 + 5 on two ranks.
_TWO_STEPS: dict[str, Any] = {
    "model.backbone": "shufflenet_v2_x0_5",
    "train.batch_size": 9,
    "train.first_epochs": 1,
    "train.lr": 0.1,
}


def _halved_on_one_rank(ranks: Ranks, weights: Iterable[nn.Parameter]) -> None:
    weights = list(weights)
    _scale([] if ranks.rank == 0 else weights, 0.5)
    _add_gradients(ranks, weights)


def _averaged(ranks: Ranks, weights: Iterable[nn.Parameter]) -> None:
    weights = list(weights)
    _add_gradients(ranks, weights)
    _scale(weights, 1 / ranks.size)


def _scale(weights: list[nn.Parameter], factor: float) -> None:
    for weight in weights:
        if weight.grad is not None:
            weight.grad *= factor


def _varied_as_the_first(frames: Tensor, *rest: Any, share: slice, **named: Any) -> Tensor:
    return _augment(frames, *rest, share=slice(0, share.stop - share.start), **named)


_add_gradients, _augment = Ranks.all_reduce_gradients, augment
FAULTS: dict[str, tuple[str, Callable[..., Any]]] = {  # what is replaced, and by what
    "gradients of one rank halved": ("dcreid.parallel.Ranks.all_reduce_gradients", _halved_on_one_rank),
    "gradients averaged": ("dcreid.parallel.Ranks.all_reduce_gradients", _averaged),
    "batch norm of every share alone": ("dcreid.network.tracklets.synchronise_batch_norm", lambda *_: None),
    "every share varied as the first": ("dcreid.training.augment", _varied_as_the_first),
}


def two_steps(ranks: Ranks, faults: list[str]) -> dict[str, dict[str, Tensor]]:
    """The network at the "start", after two steps at rate 0.1 ("end"), and by name with each of the faults.

    In float64: in two such steps of random weights, batch norm over few samples makes of the last bit's
    rounding a hundred thousand to ten million times as much.
    """
    made = small().replace(**(_TINY | _TWO_STEPS))
    states: dict[str, dict[str, Tensor]] = {}
    for name in ["end", *faults]:
        with mock.patch(*FAULTS[name]) if name in FAULTS else contextlib.nullcontext():
            run = Algorithm(made, load_dataset(made.data, None), ranks=ranks)
            run.network.backbone.double()
            run.network.backbone.register_forward_pre_hook(lambda _, frames: (frames[0].double(),))
            states["start"] = {key: value.clone() for key, value in run.network.backbone.state_dict().items()}
            run.train()
            states[name] = run.network.backbone.state_dict()
    return states


def drawn_by_the_network(ranks: Ranks) -> dict[str, Any]:
    """The state after two stages with stochastic depth and dropout, uncut and cut between them.

    "drawn": torch's generator behind each batch of the first.
    """
    changes = {"model.head": "embedding", "model.dropout": 0.5, "merge.max_steps": 2}
    made = config("layer norm").replace(**changes)
    uncut, cut = (Algorithm(made, load_dataset(made.data, None), ranks=ranks) for _ in range(2))
    drawn: list[Tensor] = []
    hook = uncut.network.backbone.register_forward_hook(
        lambda network, *_: drawn.append(torch.get_rng_state()) if network.training else None
    )
    uncut.step()
    hook.remove()
    cut.load_state_dict(uncut.state_dict())
    uncut.step()
    cut.step()
    return {"uncut": uncut.state_dict(), "cut": cut.state_dict(), "drawn": drawn}


# --- batch norm and messages

# (shape, momentum, affine, training steps); on three ranks, two samples leave one rank without any.
NORMS: list[tuple[tuple[int, ...], float | None, bool]] = [
    ((7, 5, 4, 3), 0.1, True),
    ((8, 3), None, True),
    ((2, 4, 2, 2), 0.3, False),
]


def norm_case(case: int) -> tuple[nn.BatchNorm1d | nn.BatchNorm2d, Tensor, Tensor]:
    """A plain batch norm in float64 with weights of its own, samples far from zero, and a gradient."""
    shape, momentum, affine = NORMS[case]
    random = torch.Generator().manual_seed(case)
    kind = nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d
    norm = kind(shape[1], momentum=momentum, affine=affine).double()
    for weight in norm.parameters():
        weight.data = torch.randn(weight.shape, generator=random, dtype=torch.float64)
    samples = torch.randn(2, *shape, generator=random, dtype=torch.float64) + 100.0
    return norm, samples, torch.randn(shape, generator=random, dtype=torch.float64)


def normalised(
    network: nn.Module, samples: Tensor, gradient: Tensor, ranks: Ranks = ONE_PROCESS
) -> dict[str, Tensor]:
    """Two training steps and an evaluation: outputs, gradients and statistics, of this rank's share."""
    share = ranks.share(len(gradient))
    network(samples[0][share])
    x = samples[1][share].clone().requires_grad_()
    y = network(x)
    y.backward(gradient[share])
    ranks.all_reduce_gradients(network.parameters())
    network.eval()
    assert x.grad is not None
    found = {"y": y.detach(), "x": x.grad, "evaluated": network(x).detach()}
    found |= {f"gradient {name}": weight.grad for name, weight in network.named_parameters()}
    return found | network.state_dict()


def batch_norms(ranks: Ranks) -> dict[int, dict[str, Tensor]]:
    """`normalised` over ranks, by case."""
    found = {}
    for case in range(len(NORMS)):
        norm, samples, gradient = norm_case(case)
        network = nn.Sequential(norm)
        if NORMS[case][2]:  # without weights nothing is trained, and the layer is not replaced
            synchronise_batch_norm(network, ranks, CPU)
            found[case] = normalised(network, samples, gradient, ranks)
    return found


def messages(ranks: Ranks) -> dict[str, Any]:
    """The results of every message that ranks send each other."""
    rows = torch.arange(10.0).view(5, 2)[ranks.share(5)].requires_grad_()
    whole = ranks.all_gather(rows, 5)
    (whole * torch.arange(5.0)[:, None]).sum().backward()
    weight = nn.Parameter(torch.zeros(2, 3).t())  # not contiguous
    weight.grad = torch.full((3, 2), float(ranks.rank + 1))
    ranks.all_reduce_gradients([weight, nn.Parameter(torch.zeros(1))])
    agreed = [torch.full((3, 2), ranks.rank).t(), None, torch.tensor(7 + ranks.rank)]
    ranks.broadcast(agreed)
    return {
        "share": ranks.share(5),
        "gathered": whole.detach(),
        "rows": rows.grad,
        "weight": weight.grad,
        "sum": ranks.all_reduce(torch.tensor([1, ranks.rank])),
        "agreed": agreed,
        "sent": ranks.on_rank_0(lambda: {"rank": ranks.rank, "labels": torch.arange(3)}),
    }


# --- activations checkpointed


def after_a_stage(ranks: Ranks, backbone: str, checkpoint_activations: bool = False) -> dict[str, Tensor]:
    """The network's state after one stage in batches of two tracklets."""
    made = config("more ranks than tracklets").replace(**{"model.backbone": backbone})
    data = load_dataset(made.data, None)
    run = Algorithm(made, data, ranks=ranks, checkpoint_activations=checkpoint_activations)
    run.train()
    state: dict[str, Tensor] = run.state_dict()["backbone"]
    return state


def plain_and_checkpointed(ranks: Ranks, backbones: list[str]) -> dict[str, list[dict[str, Tensor]]]:
    """`after_a_stage` of several networks, plain and checkpointed."""
    return {name: [after_a_stage(ranks, name, chosen) for chosen in (False, True)] for name in backbones}

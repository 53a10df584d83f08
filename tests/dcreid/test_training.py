"""The training stage: learning rates, reports, and that no iteration waits for the GPU."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from tiny_runs import dataset, tiny
from torch import Tensor, nn

import dcreid.training
from dcreid.algorithm import Algorithm
from dcreid.config import Config
from dcreid.data.loading import frame_runs, training_batches
from dcreid.data.sampling import batches_of
from dcreid.data.store import FrameStore
from dcreid.memory import FeatureMemory
from dcreid.network.backbone import build_backbone
from dcreid.network.head import EmbeddingHead
from dcreid.network.tracklets import TrackletNetwork
from dcreid.presets import settings_of
from dcreid.training import DivergedError, Trainer, make_optimiser

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_pretrained_layers_learn_slower_and_new_ones_do_not() -> None:
    backbone = build_backbone("shufflenet_v2_x0_5", "none", height=32, width=16)
    with_head = TrackletNetwork(backbone, EmbeddingHead(backbone.dim, 8, 0.5), device=CPU)
    pretrained = Config()  # weights imagenet
    assert [g["factor"] for g in make_optimiser(with_head, pretrained).param_groups] == [0.1, 1.0]
    new = pretrained.replace(**{"model.weights": "none"})
    plain = TrackletNetwork(backbone, device=CPU)
    assert [g["factor"] for g in make_optimiser(plain, new).param_groups] == [1.0]


def test_divergence_is_reported_with_stage_and_epoch() -> None:
    config = tiny(**{"train.lr": 1e30, "train.temperature": 1e-6})
    with pytest.raises(DivergedError, match="epoch 1 of stage 1"):
        Algorithm(config, dataset(config)).step()


def test_frames_are_varied_as_the_configuration_says(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = {"flip": 0.25, "shift": 0.125, "crop": 0.5, "augment_per": "frame"}
    config = tiny(**{f"data.{name}": value for name, value in chosen.items()})
    varied: list[dict[str, Any]] = []

    def note(frames: Tensor, flip: float, shift: float, rng: Any, **named: Any) -> Tensor:
        varied.append({"flip": flip, "shift": shift} | named)
        return frames

    monkeypatch.setattr(dcreid.training, "augment", note)
    Algorithm(config, dataset(config)).train()
    named = {name: value for name, value in chosen.items() if name != "augment_per"} | {"per": "frame"}
    assert len(varied) == 6
    assert all({name: batch.get(name) for name in named} == named for batch in varied)


@pytest.mark.parametrize(
    ("changes", "tracklets"),
    [
        ({"train.batch_size": 7}, 18),
        ({"train.batch_size": 7, "train.drop_last": True}, 14),
        ({"train.sampler": "classes", "train.batch_size": 8}, 18),
        ({"train.sampler": "classes", "train.batch_size": 8, "train.drop_last": True}, 16),
    ],
)
def test_frames_count_what_was_trained(changes: dict[str, Any], tracklets: int) -> None:
    config = tiny(**changes)
    algorithm = Algorithm(config, dataset(config))
    algorithm.train()
    assert algorithm.stage is not None and algorithm.stage.result.frames == 2 * tracklets * 2


def test_every_epoch_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    epochs: list[tuple[int, int, int]] = []
    config = tiny(**{"merge.max_steps": 2})
    algorithm = Algorithm(config, dataset(config), on_epoch=lambda *where: epochs.append(where))
    list(algorithm)
    assert epochs == [(1, 1, 2), (1, 2, 2), (2, 1, 1)]
    assert capsys.readouterr().out == ""


# --- on a GPU


def noise(tracklets: int, frames: int = 6) -> FrameStore:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (tracklets * frames, 32, 16, 3), dtype=torch.uint8, generator=generator)
    lengths = np.full(tracklets, frames, dtype=np.int64)
    return FrameStore(pixels, np.arange(tracklets, dtype=np.int64) * frames, lengths)


def waits(batches: int) -> int:
    """How often an epoch of so many batches waited for the GPU."""
    config = settings_of("synthetic").replace(
        **{"train.first_epochs": 1, "train.batch_size": 4, "data.height": 32, "data.width": 16}
    )
    store = noise(4 * batches)
    backbone = build_backbone("shufflenet_v2_x0_5", "none", height=32, width=16)
    trainer = Trainer(TrackletNetwork(backbone, device=CUDA), store, config)
    rows = nn.functional.normalize(torch.randn(len(store), backbone.dim), dim=1)
    memory, labels = FeatureMemory(rows, 0.1).to(CUDA), torch.arange(len(store))
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            trainer.train_stage(1, memory, labels)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return len([warning for warning in caught if "synchroniz" in str(warning.message)])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_no_iteration_waits_for_the_gpu() -> None:
    waits(2)  # what happens once per process
    assert waits(8) == waits(2)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_frames_arrive_on_the_gpu_as_they_lie_in_the_store() -> None:
    store = noise(10)
    rows = np.array([0, 1, 2, 3, 7, 8, 10, 59])
    for here, there in zip(frame_runs(store, rows, 3, CPU), frame_runs(store, rows, 3, CUDA), strict=True):
        assert there.device.type == "cuda" and torch.equal(here, there.cpu())
    drawn = [
        list(
            training_batches(
                store,
                batches_of(np.arange(10), 4),
                frames=3,
                sampling="segments",
                rng=np.random.default_rng(0),
                device=device,
            )
        )
        for device in (CPU, CUDA)
    ]
    for (here, tracklets), (there, others) in zip(*drawn, strict=True):
        assert torch.equal(here, there.cpu()) and torch.equal(tracklets, others)

"""The training stage on a GPU: nothing in an iteration waits for the device."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from dcreid.presets import preset
from dcreid.data.loading import frame_runs, training_batches
from dcreid.data.store import FrameStore
from dcreid.memory import FeatureMemory
from dcreid.network.backbone import build_backbone
from dcreid.training import train_stage

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
CUDA = torch.device("cuda")


def noise(tracklets: int, frames: int = 6) -> FrameStore:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (tracklets * frames, 32, 16, 3), dtype=torch.uint8, generator=generator)
    lengths = np.full(tracklets, frames, dtype=np.int64)
    return FrameStore(pixels, np.arange(tracklets, dtype=np.int64) * frames, lengths)


def waits(batches: int) -> int:
    """How often an epoch of so many batches waited for the GPU."""
    config = preset("synthetic").replace(
        **{"train.first_epochs": 1, "train.batch_size": 4, "data.height": 32, "data.width": 16}
    )
    store = noise(4 * batches)
    backbone = build_backbone("shufflenet_v2_x0_5", "none", height=32, width=16).to(CUDA)
    rows = nn.functional.normalize(torch.randn(len(store), backbone.dim), dim=1)
    memory, labels = FeatureMemory(rows, 0.1).to(CUDA), torch.arange(len(store))
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            train_stage(
                backbone, backbone, None, memory, labels, store, config, stage=1, alpha=0.5, device=CUDA
            )
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return len([warning for warning in told if "synchroniz" in str(warning.message)])


def test_no_iteration_waits_for_the_gpu() -> None:
    waits(2)  # what happens once per process
    assert waits(8) == waits(2)


def test_frames_arrive_on_the_gpu_as_they_lie_in_the_store() -> None:
    store = noise(10)
    rows = np.array([0, 1, 2, 3, 7, 8, 10, 59])
    for here, there in zip(
        frame_runs(store, rows, 3, torch.device("cpu")), frame_runs(store, rows, 3, CUDA), strict=True
    ):
        assert there.device.type == "cuda" and torch.equal(here, there.cpu())
    drawn = [
        list(
            training_batches(
                store,
                batch_size=4,
                frames=3,
                sampling="segments",
                rng=np.random.default_rng(0),
                device=device,
            )
        )
        for device in (torch.device("cpu"), CUDA)
    ]
    for (here, tracklets), (there, others) in zip(*drawn, strict=True):
        assert torch.equal(here, there.cpu()) and torch.equal(tracklets, others)

"""What the frame and training benchmarks share: tracklets, and the library's own training on them."""

from __future__ import annotations

import argparse
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.io import write_jpeg

from dcreid.config import Config, DataConfig, SyntheticConfig
from dcreid.data import load_dataset
from dcreid.data.loading import training_batches
from dcreid.data.sampling import batches_of
from dcreid.data.store import FrameStore
from dcreid.data.tracklets import Split
from dcreid.memory import FeatureMemory
from dcreid.network.tracklets import build_network
from dcreid.precision import set_tf32
from dcreid.presets import settings_of
from dcreid.training import Trainer

PER_PERSON = 6  # tracklets of a drawn person
FEATURE_BATCH = 512


def network_options(parser: argparse.ArgumentParser) -> None:
    """Defaults are the paper's on a GPU, and what two cores can train without one."""
    parser.add_argument("--backbone", help="torchvision network (default: resnet50; cpu: shufflenet_v2_x0_5)")
    parser.add_argument("--height", type=int, help="frame height (default: 256; cpu: 64)")
    parser.add_argument("--width", type=int, help="frame width (default: 128; cpu: 32)")
    parser.add_argument("--batch-size", type=int, help="tracklets a batch (default: 64; cpu: 16)")
    parser.add_argument("--frames", type=int, help="frames a tracklet in training (default: 8; cpu: 4)")


def config_of(args: argparse.Namespace) -> Config:
    """The paper's settings, or the embedded data's on a CPU, with what was given; weights are random."""
    base = settings_of("mars" if args.device != "cpu" else "synthetic")
    given = {
        "model.backbone": args.backbone,
        "data.height": args.height,
        "data.width": args.width,
        "data.frames": args.frames,
        "train.batch_size": args.batch_size,
    }
    given = {name: value for name, value in given.items() if value is not None}
    return base.replace(**{"model.weights": "none"} | given)


def drawn_people(folder: Path, tracklets: int, frames: int, height: int, width: int) -> Split:
    """Drawn people written as JPEGs, `train/<tracklet>/<frame>.jpg`, and read back as tracklets."""
    people = max(2, -(-tracklets // PER_PERSON))
    drawn = load_dataset(
        DataConfig(synthetic=SyntheticConfig(train_identities=people, tracklets=PER_PERSON, frames=frames)),
        None,
    ).train
    for tracklet, (start, stop) in enumerate(
        zip(drawn.offsets[:tracklets], drawn.offsets[1 : tracklets + 1], strict=True)
    ):
        own = folder / "train" / f"{tracklet:05d}"
        own.mkdir(parents=True)
        pixels, _ = drawn.frames.read(np.arange(start, stop), height, width)
        for frame, picture in enumerate(pixels):
            write_jpeg(torch.from_numpy(picture).permute(2, 0, 1), str(own / f"{frame:04d}.jpg"), quality=90)
    return load_dataset(DataConfig(dataset="folder"), folder).train


def random_store(tracklets: int, frames: int, height: int, width: int, seed: int = 0) -> FrameStore:
    """Noise in memory, for timings in which the disk and the decoder have no part."""
    generator = torch.Generator().manual_seed(seed)
    size = (tracklets * frames, height, width, 3)
    pixels = torch.randint(0, 256, size, dtype=torch.uint8, generator=generator)
    lengths = np.full(tracklets, frames, dtype=np.int64)
    return FrameStore(pixels, np.arange(tracklets, dtype=np.int64) * frames, lengths)


class NetworkBench:
    """The library's own training and features of one network, without the merges between.

    classes: rows of the memory, as many as tracklets unless given (the softmax of MARS has 8,298).
    """

    def __init__(self, config: Config, store: FrameStore, device: str, classes: int | None = None):
        self.config = config.replace(**{"train.first_epochs": 1, "model.weights": "none"})
        self.store, self.device = store, torch.device(device)
        set_tf32(config.train.precision, self.device)
        self.network = build_network(self.config, self.device)
        self.trainer = Trainer(self.network, store, self.config)
        rows = torch.randn(classes or len(store), self.network.backbone.dim)
        self.memory = FeatureMemory(nn.functional.normalize(rows, dim=1), config.train.temperature).to(device)
        self.labels = torch.arange(len(store))

    def epoch(self) -> int:
        """Trains on every tracklet once; returns how many frames that were."""
        return self.trainer.train_stage(1, self.memory, self.labels).frames

    def features(self) -> Tensor:
        """Features of every tracklet from all frames."""
        return self.network.pooled_features(self.store, batch=FEATURE_BATCH)

    def epoch_without_loader(self) -> int:
        """The same on one batch of frames that is there already, as often as an epoch has batches."""
        data, plan = self.config.data, batches_of(np.arange(len(self.store)), self.config.train.batch_size)
        loader = training_batches(
            self.store,
            plan,
            frames=data.frames,
            sampling=data.frame_sampling,
            rng=np.random.default_rng(0),
            device=self.device,
        )
        frames, tracklets = next(loader)
        loader.close()
        batches = [(frames[: len(part)], tracklets[: len(part)]) for part in plan]
        with mock.patch("dcreid.training.training_batches", lambda *_, **__: iter(batches)):
            return self.epoch()

    def features_without_loader(self) -> Tensor:
        """The same on one run of frames that is there already."""
        total = len(self.store.frames)
        run = self.store.frames[:FEATURE_BATCH].clone().to(self.device)
        runs = [run[: min(FEATURE_BATCH, total - start)] for start in range(0, total, FEATURE_BATCH)]
        with mock.patch("dcreid.network.tracklets.frame_runs", lambda *_, **__: iter(runs)):
            return self.features()

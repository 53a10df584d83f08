"""Runs of a small network on random pictures, by `Algorithm` and by `reference_training`, to be compared.

Compared are, after every epoch and every merge: what each weight and running statistic has changed by
since the start, the memory row and the class of every tracklet; and each stage's loss, rate and α.
"""

from __future__ import annotations

import functools
from typing import Any
from unittest import mock

import numpy as np
from pictures import Pictures
from reference_training import BLOCKS, ReferenceRun
from torch import Tensor, nn

from dcreid.algorithm import Algorithm
from dcreid.config import Config
from dcreid.data.tracklets import Split, TrackletDataset
from dcreid.network.backbone import Backbone

Found = dict[str, np.ndarray]

# 11 tracklets in batches of 5 and 6, the last of one having joined the one before; 4 joins a step, so
# that batches of the second stage hold classes more than once. Epoch 2 runs at half the rate of epoch 1.
_BASE: dict[str, Any] = {
    "data.height": 16,
    "data.width": 8,
    "data.frames": 3,
    "data.shift": 0.2,
    "model.weights": "imagenet",  # pre-trained layers have a rate of their own
    "train.batch_size": 5,
    "train.first_epochs": 2,
    "train.later_epochs": 1,
    "train.lr": 0.05,
    "train.backbone_lr_factor": 0.3,
    "train.lr_decay_epoch": 1,
    "train.lr_decay": 0.5,
    "train.weight_decay": 0.1,
    "train.temperature": 0.25,
    "train.alpha": 0.8,
    "merge.merge_rate": 0.4,
    "merge.max_steps": 2,
    "seed": 0,
}
_HEAD = {"model.head": "embedding", "model.embedding_dim": 7}
VARIANTS: dict[str, dict[str, Any]] = {
    "paper": {},
    "head": {**_HEAD, "model.dropout": 0.0},
    "dropout": {**_HEAD, "model.dropout": 0.3, "train.alpha_schedule": "fixed", "train.momentum": 0.0},
    "frozen": {
        **_HEAD,
        **{"model.dropout": 0.0, "model.frozen_stages": 1, "data.frame_sampling": "random"},
        **{"data.eval_frames": 2, "train.batch_size": 7, "train.later_lr": "restart"},
        "train.alpha_schedule": "cosine",
    },
    "frozen statistics": {"model.batch_norm": "frozen", "data.eval_mirror": True},
    "BUC's head": {"model.head": "buc", "model.embedding_dim": 7, "model.dropout": 0.5},
    "frames for themselves": {"data.augment_per": "frame"},
    "random weights": {"model.weights": "none", "train.temperature": 0.1},
    "clipped": {
        **{"train.clip_norm": 1.0, "train.drop_last": True, "train.batch_size": 4},
        "train.alpha_schedule": "printed",
    },
    "by classes": {
        **{"train.sampler": "classes", "train.batch_size": 6, "train.tracklets_per_class": 3},
        **{"train.memory_init": "carry", "data.frame_sampling": "random", "train.later_epochs": 2},
    },
    "old classes": {
        **{"train.sampler": "classes", "train.batch_size": 4, "train.tracklets_per_class": 1},
        **_HEAD,
        **{"model.dropout": 0.0, "train.memory_init": "old_classes"},
    },
    "zeros": {"train.memory_init": "zeros"},
    "proxies": {"train.camera_proxies": True},
    "proxies, by classes": {
        **{"train.sampler": "classes", "train.batch_size": 6, "train.tracklets_per_class": 2},
        **{**_HEAD, "train.later_epochs": 2},
        **{"model.dropout": 0.0, "train.camera_proxies": True},
    },
}
CAMERAS = [1, 1, 2, 1, 2, 5, 2, 1, 5, 1, 2]
_LENGTHS = [1, 2, 3, 5, 7, 4, 9, 3, 6, 2, 8]


def config(variant: str) -> Config:
    return Config().replace(**(_BASE | VARIANTS[variant]))


# --- data and network


def tracklets() -> list[np.ndarray]:
    """Random pictures of eight patches; the frames of a tracklet are noisy versions of one."""
    rng = np.random.default_rng(0)
    drawn = []
    for length in _LENGTHS:
        patches = rng.integers(40, 216, (1, 4, 2, 3)).repeat(4, axis=1).repeat(4, axis=2)
        drawn.append((patches + rng.integers(-40, 41, (length, 16, 8, 3))).astype(np.uint8))
    return drawn


def dataset() -> TrackletDataset:
    frames, nothing = tracklets(), np.zeros(0, dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(_LENGTHS)]).astype(np.int64)
    names = [f"tracklet {i}" for i in range(len(frames))]
    split = Split("train", Pictures(np.concatenate(frames)), offsets, np.array(CAMERAS), None, names)
    return TrackletDataset("pictures", split, None, nothing, nothing, "none")


class SmallNetwork(nn.Module):
    """Blocks of convolution, batch norm and ReLU, and the mean over positions."""

    def __init__(self) -> None:
        super().__init__()
        widths = [3, 6, 8]
        self.features = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(widths[k], widths[k + 1], 3, stride=2, padding=1, bias=False),
                    nn.BatchNorm2d(widths[k + 1]),
                    nn.ReLU(),
                )
                for k in range(BLOCKS)
            )
        )

    def forward(self, frames: Tensor) -> Tensor:
        return self.features(frames).mean(dim=(2, 3))


def small_algorithm(made: Config, **options: Any) -> Algorithm:
    """A run of `SmallNetwork` on the pictures."""

    def build(made: Config) -> Backbone:
        return Backbone(SmallNetwork(), 8, made.model.frozen_stages, made.model.batch_norm)

    with mock.patch("dcreid.network.tracklets.backbone_of", build):
        return Algorithm(made, dataset(), **options)


# --- the results of a run


def weights_of(algorithm: Algorithm) -> dict[str, np.ndarray]:
    states = [module.state_dict() for module in algorithm.network.modules]
    return {
        name: value.double().numpy().copy()
        for state in states
        for name, value in state.items()
        if "tracked" not in name
    }


def snapshot(
    point: str,
    weights: dict[str, np.ndarray],
    start: dict[str, np.ndarray],
    rows: np.ndarray,
    proxies: np.ndarray,
    labels: list[int],
) -> Found:
    """The results at one point of a run, by tracklet, proxies too: the numbers of classes do not matter."""
    classes = np.array(labels)
    found = {f"{point}, change of {name}": weights[name] - start[name] for name in weights}
    found[f"{point}, memory rows"] = rows[classes]
    found[f"{point}, camera proxies"] = proxies
    found[f"{point}, classes"] = (classes[:, None] == classes[None, :]).astype(np.float64)
    return found


def outcome(made: Config) -> Found:
    """Of `Algorithm`."""
    found: Found = {}

    def note(point: str) -> None:
        assert algorithm.memory is not None
        rows, proxies = algorithm.memory.rows.double().numpy().copy(), np.zeros(0)
        if algorithm.proxies is not None:
            proxies = algorithm.proxies.memory.rows[algorithm.proxies.row].double().numpy()
        found.update(snapshot(point, weights_of(algorithm), start, rows, proxies, algorithm.labels.tolist()))

    algorithm = small_algorithm(made, on_epoch=lambda stage, epoch, _: note(f"stage {stage}, epoch {epoch}"))
    start = weights_of(algorithm)
    for step in algorithm:
        note(f"merge {step.step}")
    for name in ("loss", "lr", "alpha"):
        found[name] = np.array([getattr(step, name) for step in algorithm.history])
    return found


@functools.cache
def expected(variant: str) -> Found:
    """Of the reference, from the same weights."""
    found: Found = {}

    def note(point: str) -> None:
        weights = {name: value.detach().numpy().copy() for name, value in run.weights.items()}
        proxies = run.proxies[run.proxy_labels()] if made.train.camera_proxies else np.zeros(0)
        found.update(snapshot(point, weights, start, run.rows, proxies, run.labels))

    made = config(variant)
    beginning = small_algorithm(made)
    start = weights_of(beginning)
    run = ReferenceRun(made, tracklets(), CAMERAS, **beginning.network.state_dict())
    for step in range(1, made.merge.max_steps + 1):
        run.step(lambda stage, epoch: note(f"stage {stage}, epoch {epoch}"))
        note(f"merge {step}")
    return found | {"loss": np.array(run.losses), "lr": np.array(run.rates), "alpha": np.array(run.alphas)}


def differences(ours: Found, theirs: Found) -> dict[str, float]:
    """‖ours − reference‖ / ‖reference‖ of every quantity, the largest first; of a zero, ‖ours‖.

    A bias of 0 in front of batch norm has a change of zero: what rounding leaves of it.
    """
    assert ours.keys() == theirs.keys()
    norms = {name: float(np.linalg.norm(value)) for name, value in theirs.items()}
    apart = {
        name: float(np.linalg.norm(ours[name] - value)) / (norms[name] if norms[name] > 1e-12 else 1.0)
        for name, value in theirs.items()
    }
    return dict(sorted(apart.items(), key=lambda item: -item[1]))

"""That `Algorithm` learns to distinguish people whom an untrained network cannot distinguish.

A drawn person is two textures, one in the upper half of the frame and one in the lower; where a pattern
starts differs from frame to frame. The light differs far more, in colour and strength, from tracklet to
tracklet and from frame to frame, and is what random weights see. Only the textures distinguish tracklets,
so a network that learns to distinguish tracklets has learnt to distinguish people. Nobody of the test
split is in the training split: the textures are known from there, their pairs are not.

Measured is mAP on the test split after the last merge, as a study is judged by it; rank-1 is content with
one lucky neighbour of four. Beside it stands the adjusted Rand index of the last partition of the training
split, which has as many classes as there are people: it falls further where people are learnt in part.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from pictures import Pictures
from torch import Tensor, nn

import dcreid.network.tracklets
from dcreid.algorithm import Algorithm
from dcreid.config import Config
from dcreid.data.tracklets import Split, TrackletDataset
from dcreid.memory import FeatureMemory
from dcreid.network.backbone import Backbone

HEIGHT, WIDTH, FRAMES = 32, 16, 6
PEOPLE, TRACKLETS = 14, 5  # in each split, of each person
CONTRAST, LIGHT, NOISE = (
    50.0,
    55.0,
    6.0,
)  # of 256 levels: the textures' amplitude; deviation of light and pixels
SEEDS = [0, 1, 2]

# Horizontal stripes, vertical ones and checks, by the pixels that their colours repeat after.
TEXTURES = [(kind, period) for kind in ("horizontal", "vertical") for period in (2, 4, 8)]
TEXTURES += [("checks", 2), ("checks", 4)]


def texture(kind: str, period: int, start: int) -> np.ndarray:
    """Half a frame of 1 and -1 in equal parts, moved by `start` pixels."""
    y, x = np.mgrid[: HEIGHT // 2, :WIDTH]
    across, down = ((place + start) % period < period // 2 for place in (x, y))
    dark = {"horizontal": down, "vertical": across, "checks": across ^ down}[kind]
    return np.where(dark, -1.0, 1.0)


def tracklet(person: tuple[tuple[str, int], ...], rng: np.random.Generator) -> np.ndarray:
    """Frames (f, h, w, 3) of one person."""
    frames = []
    for _ in range(FRAMES):
        halves = [texture(kind, period, int(rng.integers(period))) for kind, period in person]
        clothes = CONTRAST * np.concatenate(halves)[:, :, None]
        light = 128 + rng.normal(0, LIGHT, 3)
        frames.append(light + clothes + rng.normal(0, NOISE, (HEIGHT, WIDTH, 3)))
    return np.clip(np.stack(frames), 0, 255).astype(np.uint8)


def planted(seed: int) -> TrackletDataset:
    """Two splits of as many people, all different; every test tracklet is query and gallery."""
    rng = np.random.default_rng(seed)
    everybody = list(itertools.combinations(TEXTURES, 2))
    drawn = rng.permutation(len(everybody))[: 2 * PEOPLE]
    splits = []
    for name, people in (("train", drawn[:PEOPLE]), ("test", drawn[PEOPLE:])):
        identities = np.repeat(people, TRACKLETS).astype(np.int64) + 1
        frames = np.concatenate([tracklet(everybody[i - 1], rng) for i in identities])
        splits.append(
            Split(
                name,
                Pictures(frames),
                np.arange(len(identities) + 1, dtype=np.int64) * FRAMES,
                np.tile(np.arange(TRACKLETS), PEOPLE),  # cameras
                identities,
                [str(i) for i in range(len(identities))],
            )
        )
    everything = np.arange(PEOPLE * TRACKLETS)
    return TrackletDataset("planted", splits[0], splits[1], everything, everything, "official")


class SmallNetwork(nn.Module):
    """Two convolutions with batch norm, and the mean over positions."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
            *(nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()),
        )

    def forward(self, frames: Tensor) -> Tensor:
        return self.features(frames).mean(dim=(2, 3))


class Learnt(NamedTuple):
    untrained: float  # mAP on the test split before training
    mAP: float  # and after the last merge
    ari: float  # of the training split's last partition


def learnt(seed: int, monkeypatch: pytest.MonkeyPatch) -> Learnt:
    """The measures of a run."""

    def build(*_: Any, **__: Any) -> Backbone:
        return Backbone(SmallNetwork(), 32, 0)

    monkeypatch.setattr(dcreid.network.tracklets, "backbone_of", build)
    config = Config().replace(
        **{
            # One frame a tracklet: a mean over several is lit alike.
            **{"data.height": HEIGHT, "data.width": WIDTH, "data.frames": 1, "data.shift": 0.0},
            **{"model.weights": "none", "train.batch_size": 16, "train.lr": 0.05},
            **{"train.first_epochs": 40, "train.lr_decay_epoch": 30, "train.later_epochs": 2},
            **{"merge.merge_rate": 0.2, "evaluate.eval_every": 100, "seed": seed},
        }
    )
    algorithm = Algorithm(config, planted(seed))
    before = algorithm.untrained()
    *_, last = algorithm
    assert last.classes_after == PEOPLE
    assert before is not None and last.mAP is not None and last.ari is not None
    return Learnt(before.mAP, last.mAP, last.ari)


def loss_becomes(monkeypatch: pytest.MonkeyPatch, changed: Callable[..., Tensor]) -> None:
    """`changed(loss, v, labels)` in place of Eq (2), `loss` being the true one of (v, labels)."""
    true = FeatureMemory.loss

    def loss(memory: FeatureMemory, v: Tensor, labels: Tensor) -> Tensor:
        return changed(lambda *arguments: true(memory, *arguments), v, labels)

    monkeypatch.setattr(FeatureMemory, "loss", loss)


@pytest.mark.parametrize("seed", SEEDS)
def test_people_are_learnt(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found = learnt(seed, monkeypatch)
    assert found.untrained <= 0.4
    assert found.mAP >= 0.9 and found.ari >= 0.8


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_nobody_is_learnt_with_the_sign_of_the_loss_flipped(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss_becomes(monkeypatch, lambda loss, v, labels: -loss(v, labels))
    found = learnt(seed, monkeypatch)
    assert found.mAP <= 0.3 and found.ari <= 0.2


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_little_is_learnt_with_labels_of_other_samples(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something is: to distinguish textures from light helps with wrong labels too."""
    loss_becomes(monkeypatch, lambda loss, v, labels: loss(v, labels.roll(1)))
    assert learnt(seed, monkeypatch).ari <= 0.65

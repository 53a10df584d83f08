"""Small runs of `Algorithm` on drawn data, and how two of them are compared."""

from __future__ import annotations

import dataclasses
from typing import Any

from dcreid.algorithm import Algorithm, MergeStep
from dcreid.config import Config
from dcreid.data import load_dataset
from dcreid.data.tracklets import TrackletDataset
from dcreid.presets import small

CLOCKS = (
    "seconds_train",
    "seconds_features",
    "seconds_merge",
    "seconds_evaluate",
    "seconds_scores",
    "frames_per_second",
)


def tiny(**changes: Any) -> Config:
    """Six people, a network that trains in seconds."""
    return small().replace(
        **{
            "data.height": 32,
            "data.width": 16,
            "data.frames": 2,
            "data.synthetic.train_identities": 6,
            "data.synthetic.test_identities": 4,
            "data.synthetic.tracklets": 3,
            "data.synthetic.frames": 3,
            "model.backbone": "shufflenet_v2_x0_5",
            "train.batch_size": 6,
            "train.first_epochs": 2,
            "train.later_epochs": 1,
            "train.lr": 0.01,
            "merge.merge_rate": 0.2,
        }
        | changes
    )


def dataset(config: Config) -> TrackletDataset:
    """The drawn data of a configuration."""
    return load_dataset(config.data, None)


def comparable(steps: list[MergeStep]) -> list[dict[str, Any]]:
    """Steps without their clocks."""
    rows = [dataclasses.asdict(step) for step in steps]
    return [{name: value for name, value in row.items() if name not in CLOCKS} for row in rows]


def same_joins(one: Algorithm, other: Algorithm) -> None:
    """Bit for bit, NaN included."""
    assert len(one.joins) == len(other.joins) == one.steps_done
    for ours, theirs in zip(one.joins, other.joins, strict=True):
        for name, column in vars(ours).items():
            assert column.numpy().tobytes() == vars(theirs)[name].numpy().tobytes(), name


def run(config: Config, data: TrackletDataset | None = None) -> Algorithm:
    """A finished run."""
    algorithm = Algorithm(config, data or dataset(config))
    list(algorithm)
    return algorithm

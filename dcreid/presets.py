"""Named configurations: the paper's settings, and small ones for the embedded data."""

from __future__ import annotations

from dcreid.config import Config, ConfigError


def paper(dataset: str) -> Config:
    """The paper's settings for `mars` or `duke` ("Training details"; α grows to 0.5 and 0.4)."""
    if dataset not in ("mars", "duke"):
        raise ConfigError(f"paper({dataset!r}): the paper's data sets are mars and duke")
    return Config().replace(**{"data.dataset": dataset, "train.alpha": 0.5 if dataset == "mars" else 0.4})


def small() -> Config:
    """The embedded data at a size that one CPU core trains in about a minute, from random weights."""
    return Config().replace(
        **{
            "data.dataset": "synthetic",
            "data.height": 64,
            "data.width": 32,
            "data.frames": 4,
            "model.backbone": "shufflenet_v2_x0_5",
            "model.weights": "none",
            "train.batch_size": 16,
            "train.first_epochs": 8,
            "train.later_epochs": 2,
            "train.lr_decay_epoch": 6,
            "merge.merge_rate": 0.1,
        }
    )


def settings_of(dataset: str) -> Config:
    """The configuration a study of `dataset` starts from."""
    if dataset == "synthetic":
        return small()
    return paper(dataset) if dataset in ("mars", "duke") else Config().replace(**{"data.dataset": dataset})

"""Settings of the data sets, and presets: methods as differences that are laid over them.

A preset has two parts. The *method* is what makes it this method, whatever the data, the network and the
time there is for it; its *published* budget (frames, epochs, merge rate) is what its authors ran it with.
Rates, momentum and weight decay are the same in all of them (0.1, a tenth of it for the backbone, Nesterov's
0.9, 5e-4: the defaults), so no preset states them. How BUC and DBC differ from the paper, and what
cannot be the same here as in their code, stands in docs/public-code.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

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
    """The settings that a study of `dataset` starts from: those of the preset `paper`."""
    if dataset == "synthetic":
        return small()
    return paper(dataset) if dataset in ("mars", "duke") else Config().replace(**{"data.dataset": dataset})


# --- methods

_FREEZING = ("model.batch_norm", "model.frozen_stages")  # for weights that have learnt something


@dataclass(frozen=True)
class Preset:
    """A method as dotted fields that differ from the settings it is laid over, and what it is called."""

    help: str
    method: Callable[[Config], dict[str, Any]]
    published: Mapping[str, Any]

    def changes(self, base: Config) -> dict[str, Any]:
        """The method's fields over `base`; with random weights nothing is frozen."""
        wanted, idle = self.method(base), self.unfrozen(base)
        return {name: value for name, value in wanted.items() if name not in idle}

    def unfrozen(self, base: Config) -> list[str]:
        """Fields by which the method freezes layers, and `base` has random weights, which must learn."""
        wanted = self.method(base) if base.model.weights == "none" else {}
        return [name for name in _FREEZING if name in wanted]


def laid_over(
    base: Config, name: str, chosen: Mapping[str, Any] | None = None, *, published: bool = True
) -> Config:
    """A preset over the settings of a data set, with the fields that a user has chosen on top.

    published: with its own budget; else with that of `base`. Raises ConfigError where they do not fit.
    """
    preset, on_top = PRESETS[name], dict(chosen or {})
    under = base.replace(**(dict(preset.published) if published else {}) | on_top)
    return under.replace(**preset.changes(under) | on_top)


def _paper(base: Config) -> dict[str, Any]:
    return {}


# OIM's memory, which BUC took over: row ← L2((row + v) / 2), sample by sample; zeros at the start, and in BUC
# after each merge.
_MEMORY = {
    "train.temperature": 0.1,
    "train.alpha": 0.5,
    "train.alpha_schedule": "fixed",
    "train.memory_init": "zeros",
    "train.camera_proxies": False,
}


def _buc(base: Config) -> dict[str, Any]:
    """BUC's code, as mended in September 2019, with the options of its script for video."""
    from dcreid.network.backbone import stages_to_stride  # torch, which --help does without

    return {
        # All frames of a tracklet are drawn, cropped and mirrored each for itself.
        "data.frame_sampling": "distinct",
        "data.crop": 0.64,
        "data.flip": 0.5,
        "data.shift": 0.0,
        "data.augment_per": "frame",
        # Linear 2,048, batch norm, L2, dropout; conv1 to layer2 fixed, with their batch norms.
        "model.head": "buc",
        "model.embedding_dim": 2048,
        "model.dropout": 0.5,
        "model.frozen_stages": stages_to_stride(base.model.backbone, 8),
        "train.batch_size": 16,
        "train.sampler": "tracklets",
        "train.drop_last": True,
        "train.later_lr": "decayed",
        **_MEMORY,
        # the smallest squared distance between members + λ (|a| + |b|)
        "merge.distance": "squared",
        "merge.camera_normalise": False,
        "merge.linkage": "nearest",
        "merge.method": "once",
        "merge.lambda1": 0.0,
        "merge.lambda2": 0.003,
        "merge.max_steps": _trainings(base, 1 / base.merge.merge_rate - 1),
    }


def _dbc(base: Config) -> dict[str, Any]:
    """DBC's code, a descendant of BUC's: mean distances, star merges, and a λ that is never applied."""
    return {
        **_buc(base),
        "train.memory_init": "old_classes",
        "merge.linkage": "average",
        "merge.method": "star",
        "merge.intra": "pairs",
        "merge.lambda1": 0.0,
        "merge.lambda2": 0.0,
    }


DBC_LAMBDA1 = 0.1  # of its script, where it would act


def _oim(base: Config) -> dict[str, Any]:
    """The memory loss on single tracklets, as long as the other methods train in all: one stage, one row.

    τ, α and rows that start at zero are OIM's own (Xiao et al., 2017); the rest is the base's. The rate falls
    where that of the others does: at the end of their first stage, if not within it.
    """
    later = _trainings(base, 1 / base.merge.merge_rate) - 1
    return {
        "train.first_epochs": base.train.first_epochs + later * base.train.later_epochs,
        "train.lr_decay_epoch": max(1, min(base.train.lr_decay_epoch, base.train.first_epochs)),
        **_MEMORY,
        "merge.max_steps": 1,
        "merge.classes": 0,
    }


def _recommended(base: Config) -> dict[str, Any]:
    """What did best on development halves of real people (docs/accuracy.md has each choice's worth).

    Classes are made anew from single tracklets at every step, by average linkage on Jaccard distances, down
    to 12 % of the tracklets, and then as many again and again; batch norm keeps its statistics; single
    frames of four tracklets of a class meet in a batch.
    """
    return {
        "data.eval_mirror": True,
        "model.batch_norm": "frozen",
        "model.last_stride": 1,
        "train.batch_size": 64,
        "train.sampler": "classes",
        "train.tracklets_per_class": 4,
        "train.lr": 0.02,
        "train.later_lr": "restart",
        "train.clip_norm": 5.0,
        "train.temperature": 0.05,
        "train.alpha": 0.1,
        "train.alpha_schedule": "fixed",
        "train.camera_proxies": True,
        "merge.distance": "jaccard",
        "merge.k1": 10,
        "merge.k2": 3,
        "merge.camera_normalise": True,
        "merge.method": "anew",
        "merge.lambda1": 0.0,
        "merge.lambda2": 0.0,
        "merge.max_steps": max(1, round(0.88 / base.merge.merge_rate)),
        "merge.regroup_steps": 8,
    }


def _trainings(base: Config, usual: float) -> int:
    """How many stages a method trains, where the base does not stop earlier."""
    whole, most = max(1, math.floor(usual + 1e-9)), base.merge.max_steps
    return min(whole, most) if most else whole


# BUC's and DBC's scripts: rate × 0.1 at epoch 16, counted from 0, of the first stage.
_BUDGET = {
    "data.frames": 16,
    "data.eval_frames": 900,
    "train.first_epochs": 20,
    "train.later_epochs": 5,
    "train.lr_decay_epoch": 16,
    "merge.merge_rate": 0.05,
}

_RECOMMENDED_BUDGET = {
    "data.frames": 1,
    "train.first_epochs": 0,
    "train.later_epochs": 3,
    "merge.merge_rate": 0.098,
}

PRESETS = {
    "paper": Preset("this method, as the paper states it", _paper, {}),
    "recommended": Preset(
        "what learns most on real people (docs/accuracy.md)", _recommended, _RECOMMENDED_BUDGET
    ),
    "buc": Preset("bottom-up clustering (AAAI 2019), as its code", _buc, _BUDGET),
    "dbc": Preset("dispersion-based clustering, as its code: λ not applied", _dbc, _BUDGET),
    "oim": Preset("the memory loss on single tracklets, without merges", _oim, {}),
}

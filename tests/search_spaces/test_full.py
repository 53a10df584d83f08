"""The space of all choices: every draw can run, and what is known to be good, or public, lies in it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import optuna
import pytest
from optuna.trial import BaseTrial

from dcreid.config import Config, ConfigError
from dcreid.presets import settings_of
from search_spaces.space import Space
from search_spaces.spaces import SPACES

FULL = SPACES["full"]
BASES = [settings_of(dataset) for dataset in ("mars", "duke", "synthetic", "folder")]
# Classes anew on camera-normalised Jaccard distances, P×K batches, batch norm fixed, clipping.
RECIPE = {
    "model.batch_norm": "frozen",
    "train.temperature": 0.05,
    "train.alpha": 0.1,
    "train.alpha_schedule": "fixed",
    "train.sampler": "classes",
    "train.tracklets_per_class": 4,
    "train.lr": 0.02,
    "train.backbone_lr_factor": 0.1,
    "train.later_lr": "restart",
    "train.clip_norm": 5.0,
    "merge.distance": "jaccard",
    "merge.k1": 20,
    "merge.k2": 6,
    "merge.camera_normalise": True,
    "merge.method": "anew",
    "merge.lambda1": 0.0,
    "merge.lambda2": 0.0,
    "merge.merge_rate": 0.055,
}
BUC = {
    "data.frame_sampling": "distinct",
    "data.crop": 0.64,
    "data.augment_per": "frame",
    "model.head": "buc",
    "model.embedding_dim": 2048,
    "model.dropout": 0.5,
    "train.alpha": 0.5,
    "train.alpha_schedule": "fixed",
    "train.memory_init": "zeros",
    "merge.distance": "squared",
    "merge.linkage": "nearest",
    "merge.lambda1": 0.0,
    "merge.lambda2": 0.003,
}
DBC = BUC | {
    "train.memory_init": "old_classes",
    "merge.linkage": "average",
    "merge.intra": "pairs",
    "merge.method": "star",
    "merge.lambda2": 0.0,
}
KINDS = ("adapt", "frozen")  # batch norm
KNOWN = {
    "paper": {},
    "recipe": RECIPE,
    "recipe with last stride 1 and camera proxies": RECIPE
    | {"model.last_stride": 1, "train.camera_proxies": True},
    "buc": BUC,
    "dbc": DBC,
    "practice": {"merge.distance": "jaccard", "merge.k1": 30, "merge.k2": 6},
}


class Uniform:
    """A trial that draws without Optuna, which takes a millisecond for a value; at ends of ranges too."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        share = self.random.choice((0.0, 1.0, self.random.random()))
        value = low * (high / low) ** share if log else low + share * (high - low)
        return min(max(value, low), high)

    def suggest_int(self, name: str, low: int, high: int, *, log: bool) -> int:
        return self.random.choice((low, high, self.random.randint(low, high)))

    def suggest_categorical(self, name: str, choices: tuple[Any, ...]) -> Any:
        return self.random.choice(choices)


@contextmanager
def refused_nowhere() -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        pytest.fail(str(error))


def draws(space: Space, count: int) -> Iterator[dict[str, Any]]:
    return (space.draw(cast(BaseTrial, Uniform(seed))) for seed in range(count))


@pytest.mark.parametrize("space", [FULL, FULL.flattened()], ids=["tree", "flat"])
def test_every_draw_can_run(space: Space) -> None:
    seen: dict[str, set[Any]] = {}
    for number, values in enumerate(draws(space, 1000)):
        with refused_nowhere():
            config = BASES[number % len(BASES)].replace(**values)
        assert config.flat() | values == config.flat()
        for field, value in values.items():
            seen.setdefault(field, set()).add(value)
        if number % 50 == 0:  # and the way back
            assert space.draw(optuna.trial.FixedTrial(space.params_of(config))) == values
    assert seen.keys() == set(space.fields)
    for prior in space.priors:
        assert seen[prior.field] >= set(prior.choices)


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("base", BASES[:2], ids=lambda base: base.data.dataset)
def test_known_methods_lie_in_it(flat: bool, name: str, base: Config) -> None:
    space = FULL.flattened() if flat else FULL
    config = base.replace(**KNOWN[name])
    with refused_nowhere():
        params = space.params_of(config)
    # All of it is searched: drawn over the bare base, it is the same configuration.
    assert base.replace(**space.draw(optuna.trial.FixedTrial(params))) == config


def test_what_is_conditional_is_drawn_under_its_condition_only() -> None:
    heads = ("model.embedding_dim", "model.dropout")
    for values in draws(FULL, 300):
        assert [f in values for f in heads] == [values["model.head"] != "none"] * 2
        assert [f in values for f in ("merge.k1", "merge.k2")] == [values["merge.distance"] == "jaccard"] * 2
        assert ("train.tracklets_per_class" in values) == (values["train.sampler"] == "classes")
        assert values["merge.method"] != "anew" or values["train.memory_init"] in ("members", "zeros")


def test_what_costs_more_time_or_memory_is_not_in_it() -> None:
    costly = ("train.first_epochs", "train.later_epochs", "data.frames", "data.eval_frames", "data.height")
    assert not {*costly, "train.batch_size", "model.backbone", "data.width"} & set(FULL.fields)


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"train.memory_init": "carry"}, {"merge.method": ("once", "star", "exact")}),
        ({"train.memory_init": "old_classes"}, {"merge.method": ("once", "star", "exact")}),
        ({"train.batch_size": 12}, {"train.tracklets_per_class": (2, 4)}),
        ({"merge.method": "anew"}, {"train.memory_init": ("members", "zeros")}),
        ({"data.shuffle_tracklets": False}, {"train.memory_init": ("members", "zeros", "carry")}),
    ],
)
def test_options_leave_what_can_run(options: dict[str, Any], left: dict[str, tuple[Any, ...]]) -> None:
    base = settings_of("mars").replace(**options)
    space = FULL.without(options).fitted(base)
    choices = {field: [p.choices for p in space.priors if p.field == field] for field in left}
    assert all(choices[field][0] == wanted for field, wanted in left.items())
    for values in draws(space, 150):
        with refused_nowhere():
            base.replace(**values)


@pytest.mark.parametrize("options", [{"train.batch_size": 18}, {"merge.k1": 4}, {"merge.k2": 30}])
def test_options_that_leave_nothing_are_refused_by_name(options: dict[str, Any]) -> None:
    base = settings_of("mars").replace(**options)
    with pytest.raises(ConfigError, match=next(iter(options)).rpartition(".")[2]):
        FULL.without(options).fitted(base)


def test_frozen_batch_norm_is_always_clipped_and_rates_stay_near_the_papers() -> None:
    drawn = list(draws(FULL, 300))
    norms = {kind: {d["train.clip_norm"] for d in drawn if d["model.batch_norm"] == kind} for kind in KINDS}
    assert min(norms["frozen"]) >= 1.0 and min(norms["adapt"]) == 0.0 and max(norms["adapt"]) > 1.0
    paper = Config().train.lr * Config().train.backbone_lr_factor
    fastest = max(d["train.lr"] * d["train.backbone_lr_factor"] for d in drawn)
    assert paper <= fastest <= 3.001 * paper

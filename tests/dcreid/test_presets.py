"""Settings of the data sets, presets against the constants of the public code; read without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dcreid.config import Config, ConfigError
from dcreid.presets import PRESETS, Preset, laid_over, paper, settings_of, small
from dcreid.schedules import learning_rate


def test_the_defaults_are_the_paper_s_training_details():
    config = paper("mars")
    assert (config.model.backbone, config.model.weights) == ("resnet50", "imagenet")
    assert (config.data.height, config.data.width, config.data.frames) == (256, 128, 8)
    train = config.train
    assert (train.batch_size, train.first_epochs, train.later_epochs) == (64, 30, 3)
    assert (train.lr, train.lr_decay, train.lr_decay_epoch, train.temperature) == (0.1, 0.1, 15, 0.1)
    merge = config.merge
    assert (merge.merge_rate, merge.lambda1, merge.lambda2) == (0.05, 0.06, 0.003)
    assert (train.alpha, paper("duke").train.alpha, train.alpha_schedule) == (0.5, 0.4, "linear")
    assert (merge.intra, merge.distance, merge.method) == ("samples", "euclidean", "once")


@pytest.mark.parametrize("dataset", ["synthetic", "mars", "duke", "folder"])
def test_every_preset_is_valid_and_of_its_data(dataset: str):
    config = settings_of(dataset)
    assert config.data.dataset == dataset
    assert Config.from_dict(config.to_dict()) == config


def test_unknown_presets_are_refused():
    with pytest.raises(ConfigError, match="market"):
        paper("market")
    with pytest.raises(ConfigError, match=r"DataConfig.dataset = 'market': must be one of synthetic, mars"):
        settings_of("market")


def in_another_process(code: str, hash_seed: str = "0") -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_the_digest_is_the_same_in_another_process(hash_seed: str):
    code = "from dcreid.presets import small; print(small().digest())"
    assert in_another_process(code, hash_seed) == small().digest()


def test_configurations_need_no_numerical_library():
    """The command line's --help imports them."""
    code = "import dcreid.presets, sys; print({'torch', 'numpy', 'scipy'} & set(sys.modules))"
    assert in_another_process(code) == "set()"


# --- presets

# BUC's code of September 2019 with the options of its script for video, constant by constant. Those that the
# paper has too are stated as well: a preset is all of it.
BUC = {
    "merge.distance": "squared",
    "merge.linkage": "nearest",
    "merge.method": "once",
    "merge.lambda1": 0.0,
    "merge.lambda2": 0.003,
    "merge.merge_rate": 0.05,
    "merge.max_steps": 19,
    "merge.camera_normalise": False,
    "train.memory_init": "zeros",
    "train.alpha": 0.5,
    "train.alpha_schedule": "fixed",
    "train.temperature": 0.1,
    "train.camera_proxies": False,
    "train.first_epochs": 20,
    "train.later_epochs": 5,
    "train.lr": 0.1,
    "train.lr_decay": 0.1,
    "train.lr_decay_epoch": 16,
    "train.later_lr": "decayed",
    "train.backbone_lr_factor": 0.1,
    "train.momentum": 0.9,
    "train.weight_decay": 5e-4,
    "train.clip_norm": 0.0,
    "train.batch_size": 16,
    "train.sampler": "tracklets",
    "train.drop_last": True,
    "model.backbone": "resnet50",
    "model.weights": "imagenet",
    "model.head": "buc",
    "model.embedding_dim": 2048,
    "model.dropout": 0.5,
    "model.frozen_stages": 3,  # stem, layer1, layer2
    "model.batch_norm": "adapt",  # of layer3 and layer4
    "model.last_stride": 2,
    "data.frames": 16,
    "data.frame_sampling": "distinct",
    "data.eval_frames": 900,
    "data.height": 256,
    "data.width": 128,
    "data.flip": 0.5,
    "data.crop": 0.64,
    "data.shift": 0.0,
    "data.augment_per": "frame",
    "data.shuffle_tracklets": True,  # not as in the code: an order that gives identities away is not wanted
}
DBC = BUC | {
    "merge.linkage": "average",
    "merge.method": "star",
    "merge.intra": "pairs",
    "merge.lambda2": 0.0,
    "train.memory_init": "old_classes",
}
BUDGET = {
    *("data.frames", "data.eval_frames", "merge.merge_rate"),
    *("train.first_epochs", "train.later_epochs", "train.lr_decay_epoch"),
}


RECOMMENDED = {
    # 16 classes of 4 tracklets of one frame, as the paper varies them; features of mirror images, too
    **{"train.sampler": "classes", "train.tracklets_per_class": 4, "train.batch_size": 64, "data.frames": 1},
    "data.eval_mirror": True,
    # gentle with weights that have learnt something
    **{"model.batch_norm": "frozen", "model.last_stride": 1, "train.clip_norm": 5.0},
    **{"train.lr": 0.02, "train.later_lr": "restart", "train.first_epochs": 0, "train.later_epochs": 3},
    **{"train.temperature": 0.05, "train.alpha": 0.1, "train.alpha_schedule": "fixed"},
    "train.camera_proxies": True,
    # classes anew at every step: 9 steps down to 12 %, then 8 with as many
    **{"merge.method": "anew", "merge.distance": "jaccard", "merge.k1": 10, "merge.k2": 3},
    **{"merge.camera_normalise": True, "merge.lambda1": 0.0, "merge.lambda2": 0.0},
    **{"merge.merge_rate": 0.098, "merge.max_steps": 9, "merge.regroup_steps": 8},
}


@pytest.mark.parametrize("dataset", ["mars", "duke", "folder"])
def test_recommended_changes_what_was_found_and_nothing_else(dataset: str):
    settings = settings_of(dataset)
    assert laid_over(settings, "recommended") == settings.replace(**RECOMMENDED)


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.098, 0.2])
def test_recommended_keeps_an_eighth_of_the_tracklets_as_classes_at_any_merge_rate(rate: float):
    merge = laid_over(settings_of("mars"), "recommended", {"merge.merge_rate": rate}).merge
    joined = merge.joining_steps(8298) * merge.joins_per_step(8298)
    assert 1 - joined / 8298 == pytest.approx(0.12, abs=rate / 2 + 0.001)
    assert merge.merge_steps(8298) == merge.joining_steps(8298) + 8


@pytest.mark.parametrize("dataset", ["mars", "duke"])
@pytest.mark.parametrize(("name", "constants"), [("buc", BUC), ("dbc", DBC)])
def test_a_preset_is_its_public_code_constant_by_constant(name: str, constants: dict, dataset: str):
    found, settings = laid_over(settings_of(dataset), name).flat(), settings_of(dataset).flat()
    assert {field: found[field] for field in constants} == constants
    assert {f: v for f, v in found.items() if f not in constants} == {
        f: v for f, v in settings.items() if f not in constants
    } | ({"merge.intra": "samples"} if name == "buc" else {})


def test_the_budget_is_apart_from_the_method():
    base = settings_of("mars")
    for name in ("buc", "dbc"):
        own = laid_over(base, name, published=False).flat()
        assert {field: own[field] for field in BUDGET} == {field: base.flat()[field] for field in BUDGET}
        assert set(PRESETS[name].published) == BUDGET
        assert not set(PRESETS[name].method(base)) & BUDGET


def test_paper_is_no_difference_and_oim_has_no_budget_of_its_own():
    for dataset in ("mars", "synthetic", "folder"):
        assert laid_over(settings_of(dataset), "paper") == settings_of(dataset)
    assert not PRESETS["paper"].published and not PRESETS["oim"].published


@pytest.mark.parametrize(
    ("changes", "epochs"),
    [
        ({}, 30 + 19 * 3),
        ({"merge.merge_rate": 0.1}, 30 + 9 * 3),
        ({"merge.max_steps": 4}, 30 + 3 * 3),
        ({"train.first_epochs": 4, "train.later_epochs": 1}, 4 + 19),
        ({"merge.merge_rate": 0.3}, 30 + 2 * 3),
    ],
)
def test_oim_trains_as_long_as_the_others_in_one_stage(changes: dict, epochs: int):
    base = settings_of("duke").replace(**changes)
    found = laid_over(base, "oim")
    assert found.train.first_epochs == epochs and found.merge.max_steps == 1
    assert found.train.lr_decay_epoch == min(15, base.train.first_epochs)
    train = found.train
    assert (train.alpha, train.alpha_schedule, train.temperature, train.memory_init) == (
        *(0.5, "fixed", 0.1, "zeros"),
    )
    same = {"train.first_epochs", "merge.max_steps", "train.alpha", "train.alpha_schedule"}
    same |= {"train.memory_init"}
    held = base.flat()
    assert {f for f, v in found.flat().items() if v != held[f]} - {"train.lr_decay_epoch"} == same


def test_oims_rate_falls_where_the_others_does():
    """A short first stage ends at the full rate, and what comes after it has the decayed one."""
    base = settings_of("mars").replace(**{"train.first_epochs": 4, "train.later_epochs": 1})
    both = base, laid_over(base, "oim")
    merging, single = (
        [
            learning_rate(config.train, stage, epoch)
            for stage in range(1, stages + 1)
            for epoch in range(1, (config.train.later_epochs if stage > 1 else config.train.first_epochs) + 1)
        ]
        for config, stages in zip(both, (20, 1), strict=True)
    )
    assert merging == single == pytest.approx([0.1] * 4 + [0.01] * 19)


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({"merge.merge_rate": 0.1}, 9),
        ({"merge.merge_rate": 0.5}, 1),
        ({"merge.merge_rate": 0.3}, 2),
        ({"merge.max_steps": 5}, 5),
        ({"merge.max_steps": 50}, 19),
    ],
)
def test_buc_trains_one_stage_less_than_one_over_pm(changes: dict, steps: int):
    base = settings_of("mars").replace(**changes)
    assert laid_over(base, "buc", published=False).merge.max_steps == steps


def test_options_go_before_a_preset_and_it_follows_them():
    chosen = {"merge.merge_rate": 0.1, "train.first_epochs": 3, "merge.lambda2": 0.5, "seed": 4}
    found = laid_over(settings_of("mars"), "buc", chosen)
    assert {name: found.flat()[name] for name in chosen} == chosen
    assert (found.merge.max_steps, found.train.later_epochs, found.merge.linkage) == (9, 5, "nearest")
    assert laid_over(settings_of("mars"), "oim", {"merge.max_steps": 2}).merge.max_steps == 2
    with pytest.raises(ConfigError, match="old_classes"):
        laid_over(settings_of("mars"), "dbc", {"merge.method": "anew"})


def test_frozen_stages_are_those_of_the_network():
    small_net = settings_of("mars").replace(**{"model.backbone": "mobilenet_v2"})
    assert laid_over(small_net, "buc").model.frozen_stages == 7
    chosen = {"model.backbone": "mobilenet_v2"}
    assert laid_over(settings_of("mars"), "dbc", chosen).model.frozen_stages == 7


@pytest.mark.parametrize("weights", ["imagenet", "some/file.pt", "none"])
def test_nothing_of_random_weights_is_frozen(weights: str):
    base = settings_of("mars").replace(**{"model.weights": weights})
    made = Preset("", lambda base: {"model.batch_norm": "frozen", "train.lr": 0.5}, {})
    random = weights == "none"
    assert made.unfrozen(base) == (["model.batch_norm"] if random else [])
    changed = base.replace(**made.changes(base))
    assert changed.model.batch_norm == ("adapt" if random else "frozen") and changed.train.lr == 0.5
    assert PRESETS["buc"].unfrozen(base) == (["model.frozen_stages"] if random else [])
    assert laid_over(base, "buc").model.frozen_stages == (0 if random else 3)
    assert PRESETS["oim"].unfrozen(base) == []

"""The named configurations, and that they can be read without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dcreid.config import Config, ConfigError
from dcreid.presets import paper, settings_of, small


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

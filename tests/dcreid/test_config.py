"""Configurations: what is refused and how it is told, digests, round trips, presets."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcreid import config as configuration
from dcreid.checked import allowed
from dcreid.config import (
    Config,
    ConfigError,
    MergeConfig,
    TrainConfig,
    completed,
    fields,
    paper,
    preset,
    small,
)


def leaves_of_type(*kinds: type) -> list[str]:
    defaults = Config().flat()
    return [name for name in fields() if type(defaults[name]) in kinds]


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
    config = preset(dataset)
    assert config.data.dataset == dataset
    assert Config.from_dict(config.to_dict()) == config


def test_unknown_presets_are_refused():
    with pytest.raises(ConfigError, match="market"):
        paper("market")
    with pytest.raises(ConfigError, match=r"DataConfig.dataset = 'market': must be one of synthetic, mars"):
        preset("market")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("merge.merge_rate", 0.0, "MergeConfig.merge_rate = 0.0: must be > 0 and <= 0.5"),
        ("merge.merge_rate", 0.51, "MergeConfig.merge_rate = 0.51: must be > 0 and <= 0.5"),
        ("merge.lambda1", -0.1, "MergeConfig.lambda1 = -0.1: must be >= 0"),
        ("train.temperature", 0, "TrainConfig.temperature = 0: must be > 0"),
        ("train.batch_size", 1, "TrainConfig.batch_size = 1: must be >= 2"),
        ("train.batch_size", 16.0, "TrainConfig.batch_size = 16.0: must be of type int"),
        ("train.batch_size", True, "TrainConfig.batch_size = True: must be of type int"),
        ("train.lr", "0.1", "TrainConfig.lr = '0.1': must be of type float"),
        ("train.lr", True, "TrainConfig.lr = True: must be of type float"),
        ("train.compile", 1, "TrainConfig.compile = 1: must be of type bool"),
        ("merge.intra", "mean", "MergeConfig.intra = 'mean': must be one of samples, pairs"),
        ("merge.intra", None, "MergeConfig.intra = None: must be of type str"),
        ("data.synthetic.cameras", 65, "SyntheticConfig.cameras = 65: must be >= 2 and <= 64"),
        ("seed", -1, "Config.seed = -1: must be >= 0"),
    ],
)
def test_a_bad_value_is_told_with_field_value_and_range(name: str, value: object, told: str):
    with pytest.raises(ConfigError) as error:
        Config().replace(**{name: value})
    assert told in str(error.value)


@pytest.mark.parametrize("name", leaves_of_type(float))
@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -float("inf"), 10**400], ids=["nan", "inf", "-inf", "huge"]
)
def test_every_number_must_be_finite(name: str, value: float):
    with pytest.raises(ConfigError, match=name.rsplit(".", 1)[-1]):
        Config().replace(**{name: value})


@pytest.mark.parametrize("name", list(fields()))
def test_the_edges_of_every_range_are_honoured(name: str):
    field = fields()[name]
    low, high, above = (field.metadata[key] for key in ("low", "high", "above"))
    kind = type(Config().flat()[name])
    for edge, beyond in ((low, -1), (high, 1)):
        if edge is not None:
            assert Config().replace(**{name: kind(edge)}).flat()[name] == edge
            with pytest.raises(ConfigError, match=r"must be .*" + f"{edge:g}".replace("+", r"\+")):
                Config().replace(**{name: kind(edge) + beyond})
    if above is not None:
        with pytest.raises(ConfigError, match=f"must be > {above:g}"):
            Config().replace(**{name: kind(above)})


@pytest.mark.parametrize("name", list(fields()))
def test_every_field_has_a_help_text_and_a_default_in_range(name: str):
    field = fields()[name]
    assert len(field.metadata["help"]) > 5
    if choices := field.metadata["choices"]:
        assert field.default in choices and "one of" in allowed(field)
        for choice in choices:
            Config().replace(**{name: choice, "train.leak_audit": True})


def test_whole_numbers_are_taken_where_a_float_is_wanted():
    config = Config().replace(**{"train.lr": 1, "merge.lambda1": np.float64(0.5)})
    assert type(config.train.lr) is float and type(config.merge.lambda1) is float
    assert config.digest() == Config().replace(**{"train.lr": 1.0, "merge.lambda1": 0.5}).digest()


def test_zero_has_one_digest_whatever_its_sign():
    negative = Config().replace(**{"merge.lambda1": -0.0})
    assert negative.digest() == Config().replace(**{"merge.lambda1": 0.0}).digest()


def test_rows_by_index_need_the_leak_audit():
    with pytest.raises(ConfigError, match=r"previous_rows.*leak_audit = true"):
        TrainConfig(memory_init="previous_rows")
    assert TrainConfig(memory_init="previous_rows", leak_audit=True).leak_audit


def test_unknown_fields_are_named_and_a_near_one_is_offered():
    with pytest.raises(ConfigError, match=r"Config.merge: unknown field 'lamda1'"):
        Config.from_dict({"merge": {"lamda1": 0.1}})
    with pytest.raises(ConfigError, match=r"unknown field 'merge.lamda1': did you mean merge.lambda"):
        Config().replace(**{"merge.lamda1": 0.1})
    for name in ("merge", "seed.more", "nothing", ""):
        with pytest.raises(ConfigError, match="unknown field"):
            Config().replace(**{name: 1})


@pytest.mark.parametrize("values", [{"merge": 3}, {"merge": None}, {"merge": "lambda1"}])
def test_a_group_that_is_no_mapping_is_told(values: dict[str, object]):
    with pytest.raises(ConfigError, match="must be a mapping"):
        Config.from_dict(values)


def test_a_partial_dictionary_takes_the_defaults():
    assert Config.from_dict({"merge": {"lambda1": 0.5}}) == Config(merge=MergeConfig(lambda1=0.5))
    assert Config.from_dict({}) == Config()


names_to_values = st.fixed_dictionaries(
    {},
    optional={
        "merge.lambda1": st.floats(0, 10),
        "merge.lambda2": st.floats(0, 1e300),
        "train.temperature": st.floats(1e-6, 10),
        "train.alpha_schedule": st.sampled_from(["linear", "fixed", "cosine"]),
        "data.flip": st.floats(0, 1),
        "data.synthetic.seed": st.integers(0, 2**40),
        "model.weights": st.text(),
        "seed": st.integers(0, 2**31 - 1),
    },
)


@given(names_to_values)
def test_dictionaries_and_json_give_the_configuration_back(changes: dict[str, object]):
    config = Config().replace(**changes)
    again = Config.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config and again.digest() == config.digest() and hash(again) == hash(config)
    assert config.flat() == Config().flat() | changes


@given(names_to_values, names_to_values)
def test_equal_digests_mean_equal_configurations(one: dict[str, object], other: dict[str, object]):
    a, b = Config().replace(**one), Config().replace(**other)
    assert (a == b) == (a.digest() == b.digest())


def test_a_configuration_is_told_by_its_difference_from_the_defaults():
    assert Config().difference() == {}
    changes = {"merge.lambda1": 0.2, "data.synthetic.cameras": 7, "seed": 3, "train.compile": True}
    assert Config().replace(**changes).difference() == changes
    assert Config().replace(**changes, **{"train.lr": 0.1}).difference() == changes  # its default


@given(names_to_values, st.sets(st.sampled_from(list(fields()))))
def test_what_an_older_version_did_not_have_yet_is_completed(values: dict[str, object], later: set[str]):
    """Without any fields that are at their default the stored configuration is the same one."""
    config = Config().replace(**values)
    stored = config.to_dict()
    for name in later - config.difference().keys():
        *groups, leaf = name.split(".")
        target = stored
        for group in groups:
            target = target[group]
        del target[leaf]
    assert completed(stored) == config.to_dict()
    assert Config.from_dict(stored).digest() == config.digest()


def test_completing_keeps_what_it_does_not_know_for_the_check_that_names_it():
    stored = completed({"merge": {"gone": 3}})
    assert stored["train"] == Config().to_dict()["train"]
    with pytest.raises(ConfigError, match=r"Config\.merge: unknown field 'gone' \(its value is 3\)"):
        Config.from_dict(stored)


def test_every_field_is_part_of_the_digest():
    base = Config().replace(**{"train.leak_audit": True})
    for name, field in fields().items():
        value = base.flat()[name]
        for other in (*(field.metadata["choices"] or ()), not value, "x", 2, 3, 16, 17, 0.25, 0.3):
            if other == value or type(other) is not type(value):
                continue
            try:
                changed = base.replace(**{name: other})
            except ConfigError:
                continue
            assert changed.digest() != base.digest(), name
            break
        else:
            raise AssertionError(f"no other value tried for {name}")


def test_the_digest_is_the_same_in_another_process():
    code = "from dcreid.config import small; print(small().digest())"
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == small().digest()


def test_configurations_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().seed = 3
    assert all(cls.__dataclass_params__.frozen for cls in vars(configuration).values() if is_group(cls))


def is_group(cls: object) -> bool:
    return isinstance(cls, type) and dataclasses.is_dataclass(cls)

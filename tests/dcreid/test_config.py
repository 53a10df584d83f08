"""Configurations: what is refused and with which message, digests, round trips, counts of merge steps."""

from __future__ import annotations

import dataclasses
import json

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
)


def leaves_of_type(*kinds: type) -> list[str]:
    defaults = Config().flat()
    return [name for name in fields() if type(defaults[name]) in kinds]


@pytest.mark.parametrize(
    ("name", "value", "message"),
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
def test_the_message_of_a_bad_value_names_field_value_and_range(name: str, value: object, message: str):
    with pytest.raises(ConfigError) as error:
        Config().replace(**{name: value})
    assert message in str(error.value)


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
            told = f"{edge:g}" if kind is float else str(edge)
            with pytest.raises(ConfigError, match=rf"must be .*{told}"):
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
def test_a_group_must_be_a_mapping(values: dict[str, object]):
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


def test_the_difference_from_the_defaults():
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


def test_configurations_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().seed = 3
    assert all(cls.__dataclass_params__.frozen for cls in vars(configuration).values() if is_group(cls))


def is_group(cls: object) -> bool:
    return isinstance(cls, type) and dataclasses.is_dataclass(cls)


@pytest.mark.parametrize(("n", "steps"), [(8298, 20), (2196, 20)])
def test_twenty_trainings_on_the_papers_data_sets(n: int, steps: int) -> None:

    assert Config().merge.merge_steps(n) == steps


@pytest.mark.parametrize(
    ("n", "classes", "steps", "last"), [(8298, 625, 19, 221), (2196, 702, 14, 77), (10, 9, 1, 1)]
)
def test_steps_to_a_number_of_classes(n: int, classes: int, steps: int, last: int) -> None:
    merge = MergeConfig(classes=classes, max_steps=3)
    joins = [merge.joins(n, step) for step in range(1, steps + 3)]
    m = merge.joins_per_step(n)
    assert merge.merge_steps(n) == steps and joins == [m] * (steps - 1) + [last, 0, 0]
    assert n - sum(joins) == classes
    assert dataclasses.replace(merge, regroup_steps=4).merge_steps(n) == steps + 4


def test_without_a_number_of_classes_every_step_joins_m() -> None:
    merge = MergeConfig(max_steps=2, regroup_steps=1)
    assert [merge.joins(100, step) for step in (1, 2, 3, 4)] == [5, 5, 0, 0]


def test_one_class_for_all_is_none() -> None:
    with pytest.raises(ConfigError, match="classes = 1: must be 0, or at least 2"):
        MergeConfig(classes=1)


def test_m_is_the_floor_even_where_floats_fall_short() -> None:
    assert MergeConfig(merge_rate=0.29).joins_per_step(100) == 29
    assert MergeConfig(merge_rate=0.05).joins_per_step(8298) == 414
    assert MergeConfig(merge_rate=0.05).joins_per_step(3) == 1

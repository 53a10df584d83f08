"""One field's prior: what it refuses, what it draws, and the way back."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dcreid.config import ConfigError
from search_spaces.prior import Prior
from search_spaces.spaces import SPACES

WEIGHT = Prior("merge.lambda1", "float", 0.003, 1.0, log=True, zero=True)
ALL = {
    prior.field: dataclasses.replace(prior, when=None) for space in SPACES.values() for prior in space.priors
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"field": "merge.lamda1"}, ("merge.lamda1", "did you mean merge.lambda1")),
        ({"field": "lambda1"}, ("'lambda1'", "did you mean merge.lambda1")),
        ({"field": "seed"}, ("seed", "not searched")),
        ({"field": "train.first_epochs"}, ("first_epochs", "'float'", "must be int")),
        ({"field": "model.head"}, ("model.head", "must be categorical")),
        ({"low": -0.5, "log": False, "zero": False}, ("merge.lambda1", "-0.5", ">= 0")),
        ({"low": None}, ("low = None", "both must be numbers")),
        ({"low": 2.0}, ("low = 2.0", "high = 1.0", "below")),
        ({"low": 0.0}, ("low = 0.0", "> 0 where log")),
        ({"log": False}, ("zero", "log = true")),
        ({"high": float("nan")}, ("nan", ">= 0")),
        ({"kind": "real"}, ("'real'", "float, int, categorical")),
        ({"grid": (0.06, 2.0)}, ("grid value 2.0", "0 or 0.003 to 1 (log)")),
        ({"choices": (1.0, 2.0)}, ("choices", "low and high")),
        ({"field": "merge.merge_rate"}, ("merge.merge_rate", "1.0", "<= 0.5")),
    ],
)
def test_refuses_with_field_value_and_range(changes: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        dataclasses.replace(WEIGHT, **changes)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("field", "choices", "words"),
    [
        ("merge.intra", ("samples", "mean"), "must be one of samples, pairs"),
        ("merge.intra", ("samples",), "two or more"),
        ("merge.intra", ("samples", "samples"), "two or more"),
        ("train.memory_init", ("members", "previous_rows"), "leak_audit"),
        ("model.embedding_dim", (512, [64]), "must be of type int"),
        ("data.dataset", ("mars", "duke"), "one data set"),
        ("data.split", ("first_half", "second_half"), "one split"),
        ("data.gallery", ("official", "no_junk"), "one gallery"),
    ],
)
def test_refuses_choices(field: str, choices: tuple[Any, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Prior(field, "categorical", choices=choices)


def test_weight_is_a_switch_and_a_value_or_one_value_with_a_strip_for_zero() -> None:
    assert list(WEIGHT.distributions(False)) == ["merge.lambda1.used", "merge.lambda1"]
    assert WEIGHT.suggest(optuna.trial.FixedTrial({"merge.lambda1.used": False}), False) == 0.0
    (name, strip), *rest = WEIGHT.distributions(True).items()
    assert name == "merge.lambda1.or_zero" and not rest
    assert WEIGHT.suggest(optuna.trial.FixedTrial({name: strip.low}), True) == 0.0
    assert WEIGHT.suggest(optuna.trial.FixedTrial({name: 0.003}), True) == 0.003


@pytest.mark.parametrize(("flat", "zeros"), [(False, 1 / 2), (True, 1 / 2)])
def test_a_weight_is_log_uniform_above_zero_and_zero_half_the_time(flat: bool, zeros: float) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = np.array([WEIGHT.suggest(study.ask(), flat) for _ in range(1500)])
    assert np.mean(drawn == 0.0) == pytest.approx(zeros, abs=4 * math.sqrt(zeros * (1 - zeros) / 1500))
    span = math.log(1.0 / 0.003)
    logs = np.log(drawn[drawn > 0] / 0.003) / span
    assert logs.min() >= 0.0 and stats.kstest(logs, "uniform").pvalue > 0.01


@pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("flat", [False, True])
@given(data=st.data())
def test_params_is_the_inverse_of_suggest(flat: bool, data: st.DataObject) -> None:
    prior = ALL[data.draw(st.sampled_from(sorted(ALL)))]
    if prior.kind == "categorical":
        value = data.draw(st.sampled_from(prior.choices))
    elif prior.kind == "int":
        value = data.draw(st.integers(int(prior.low), int(prior.high)))
    else:
        value = data.draw(st.floats(prior.low, prior.high) | st.just(0.0 if prior.zero else prior.high))
    params = prior.params(value, flat)
    assert params.keys() <= prior.distributions(flat).keys()
    for name, param in params.items():
        distribution = prior.distributions(flat)[name]
        assert distribution._contains(distribution.to_internal_repr(param))
    assert prior.contains(value)
    assert prior.suggest(optuna.trial.FixedTrial(params), flat) == value


def test_grid_points_are_evenly_spaced_in_the_scale_of_the_prior() -> None:
    steps = np.diff(np.log(np.array(WEIGHT.points()[1:])))
    np.testing.assert_allclose(steps, math.log(1.0 / 0.003) / 4)
    even = Prior("train.momentum", "float", 0.1, 0.9).points()
    np.testing.assert_allclose(even, [0.1, 0.3, 0.5, 0.7, 0.9])


def test_grid_points_default_to_five_and_zero() -> None:
    points = WEIGHT.points()
    assert points[:2] == (0.0, 0.003) and points[-1] == 1.0 and len(points) == 6
    assert all(WEIGHT.contains(point) for point in points)
    assert Prior("train.later_epochs", "int", 1, 3).points() == (1, 2, 3)
    for prior in ALL.values():
        assert all(prior.contains(point) for point in prior.points())

"""Spaces: drawing, the way back from a configuration, conditions, fixing fields."""

from __future__ import annotations

import json

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcreid.config import Config, ConfigError
from dcreid.presets import settings_of
from search_spaces.prior import Prior
from search_spaces.space import Space
from search_spaces.spaces import SPACES

BASES = [settings_of("mars"), settings_of("duke"), settings_of("synthetic"), settings_of("folder")]
HEAD = Prior("model.head", "categorical", choices=("none", "embedding"))
DROPOUT = Prior("model.dropout", "float", 0.0, 0.8, when=("model.head", "embedding"))


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("name", SPACES)
@given(seed=st.integers(0, 2**31), base=st.sampled_from(BASES))
def test_every_draw_is_a_config_and_can_be_read_back(flat: bool, name: str, seed: int, base: Config) -> None:
    space = SPACES[name].flattened() if flat else SPACES[name]
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    trial = study.ask()
    values = space.draw(trial)
    config = base.replace(**values)
    assert space.draw(optuna.trial.FixedTrial(space.params_of(config))) == values
    if flat:
        assert trial.params.keys() == space.distributions().keys()
    else:
        assert space.params_of(config) == trial.params


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("base", BASES, ids=lambda base: base.data.dataset)
def test_presets_lie_inside_every_space(flat: bool, name: str, base: Config) -> None:
    space = SPACES[name].flattened() if flat else SPACES[name]
    params = space.params_of(base)
    assert base.replace(**space.draw(optuna.trial.FixedTrial(params))) == base
    distributions = {key: space.distributions()[key] for key in params}
    optuna.trial.create_trial(params=params, distributions=distributions, value=0.4)


def test_an_enqueued_configuration_comes_back_from_ask() -> None:
    space = SPACES["training"]
    config = settings_of("mars").replace(**{"model.head": "embedding", "model.dropout": 0.25})
    study = optuna.create_study()
    study.enqueue_trial(space.params_of(config))
    assert settings_of("mars").replace(**space.draw(study.ask())) == config


def test_a_config_outside_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"train.temperature = 0.5 .*'default'.* 0.03 to 0.3"):
        SPACES["default"].params_of(Config().replace(**{"train.temperature": 0.5}))


def test_condition_not_met_leaves_the_field_out() -> None:
    space = Space("own", (HEAD, DROPOUT))
    assert space.draw(optuna.trial.FixedTrial({"model.head": "none"})) == {"model.head": "none"}
    assert "model.dropout" not in space.params_of(Config())
    assert set(space.flattened().params_of(Config())) == {"model.head", "model.dropout"}


@pytest.mark.parametrize(
    ("priors", "words"),
    [
        ((HEAD, HEAD), "model.head occurs twice"),
        ((DROPOUT, HEAD), "must have a prior above model.dropout"),
        ((HEAD, Prior("model.dropout", "float", 0.0, 0.8, when=("model.head", "linear"))), "never holds"),
    ],
)
def test_impossible_spaces_are_refused(priors: tuple[Prior, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Space("own", priors)


def test_without_decides_conditions_on_fixed_fields() -> None:
    space = SPACES["training"]
    plain = space.without({"model.head": "none"})
    assert not {"model.head", "model.dropout", "model.embedding_dim"} & set(plain.fields)
    headed = space.without({"model.head": "embedding", "train.lr": 0.1})
    assert {"model.dropout", "model.embedding_dim"} <= set(headed.fields)
    assert all(prior.when is None for prior in headed.priors)
    assert "train.lr" not in headed.fields
    assert space.without({}) == space
    assert SPACES["lambdas"].without({"merge.lambda1": 0.0, "merge.lambda2": 0.0}).priors == ()
    with pytest.raises(ConfigError, match=r"did you mean merge\.lambda1"):
        space.without({"lambda1": 0.1})


def test_fixing_a_field_that_is_itself_conditional_drops_what_hangs_on_it() -> None:
    rate = Prior("train.later_lr", "categorical", choices=("decayed", "restart"), when=("model.dropout", 0.0))
    space = Space("own", (HEAD, DROPOUT, rate))
    assert space.without({"model.head": "none"}).fields == ()
    assert space.without({"model.dropout": 0.5}).fields == ("model.head",)


@pytest.mark.parametrize("space", SPACES.values(), ids=lambda space: space.name)
def test_dictionaries_survive_json(space: Space) -> None:
    for one in (space, space.flattened()):
        assert Space.from_dict(json.loads(json.dumps(one.to_dict()))) == one


def test_describe_has_a_row_per_field() -> None:
    rows = SPACES["training"].describe()
    assert [row["field"] for row in rows] == list(SPACES["training"].fields)
    dropout = rows[-1]
    assert dropout["condition"] == "model.head = embedding"
    assert dropout["range"] == "0 to 0.8" and dropout["grid"] == "0, 0.5" and dropout["help"]

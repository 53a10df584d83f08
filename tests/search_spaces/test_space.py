"""Spaces: drawing, the way back from a configuration, conditions, fixing fields."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from typing import Any

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
METHOD = Prior("merge.method", "categorical", choices=("once", "exact", "anew"))
ROWS = ("members", "zeros")


def headed(*heads: Any) -> Prior:
    """Dropout with any of these heads."""
    return Prior("model.dropout", "float", 0.0, 0.8, when=("model.head", heads))


def rows(*methods: str, suffix: str = "", choices: tuple[str, ...] = ROWS) -> Prior:
    """Memory rows where classes merge by one of these."""
    return Prior(
        "train.memory_init", "categorical", choices=choices, when=("merge.method", methods), suffix=suffix
    )


# A list of values in a condition, and two priors of one field.
LISTED = Space("own", (METHOD, rows("once", "exact", choices=(*ROWS, "carry")), rows("anew", suffix="anew")))


SAMPLER = (
    Prior("train.sampler", "categorical", choices=("tracklets", "classes")),
    Prior("train.tracklets_per_class", "categorical", choices=(2, 4, 8), when=("train.sampler", "classes")),
)
DISTANCE = Prior("merge.distance", "categorical", choices=("euclidean", "jaccard"))
K1, K2 = (Prior(f"merge.{k}", "int", low, high, when=("merge.distance", "jaccard")) for k, low, high in
          (("k1", 8, 40), ("k2", 1, 10)))  # fmt: skip
UNFIT = {"sampler": SAMPLER, "jaccard": (DISTANCE, K2), "both": (DISTANCE, K1, K2)}


def drawn(space: Space, seed: int) -> dict[str, Any]:
    return space.draw(optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)).ask())


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
        (
            (HEAD, headed("linear", "embedding")),
            "'linear': never holds, model.head is one of none, embedding",
        ),
        ((HEAD, headed()), "needs one value or more"),
        ((HEAD, headed("none", "none")), "must be different values"),
        ((HEAD, headed(["none"])), "never holds"),
        ((METHOD, rows("exact"), rows("exact", suffix="other")), "train.memory_init occurs twice"),
        ((METHOD, rows("exact"), rows("once")), "train.memory_init occurs twice"),
        (
            (METHOD, Prior("train.memory_init", "categorical", choices=ROWS), rows("once", suffix="other")),
            "twice",
        ),
    ],
)
def test_impossible_spaces_are_refused(priors: tuple[Prior, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Space("own", priors)


@pytest.mark.parametrize("space", [LISTED, LISTED.flattened()], ids=["tree", "flat"])
def test_of_several_priors_of_a_field_the_one_whose_condition_holds_is_drawn(space: Space) -> None:
    found = Counter(tuple(drawn(space, seed).values()) for seed in range(300))
    merged = {(method, row) for method in ("once", "exact") for row in (*ROWS, "carry")}
    assert found.keys() == merged | {("anew", row) for row in ROWS}
    assert min(found.values()) > 15  # of 300 / 9 and 300 / 6
    assert space.fields == ("merge.method", "train.memory_init")
    parameters = ["merge.method", "train.memory_init", "train.memory_init.anew"]
    assert list(space.distributions()) == parameters
    anew = Config().replace(**{"merge.method": "anew", "train.memory_init": "zeros"})
    params = space.params_of(anew)
    assert params["train.memory_init.anew"] == "zeros" and space.flat == ("train.memory_init" in params)
    assert space.draw(optuna.trial.FixedTrial(params)) == {
        "merge.method": "anew",
        "train.memory_init": "zeros",
    }


def test_lists_of_values_go_through_json_and_older_spaces_are_written_as_they_were() -> None:
    old = {
        "name": "own",
        "priors": [
            {
                **{"field": "model.head", "kind": "categorical", "low": None, "high": None, "log": False},
                **{"zero": False, "choices": ["none", "embedding"], "when": None, "grid": []},
            },
            {
                **{"field": "model.dropout", "kind": "float", "low": 0.0, "high": 0.8, "log": False},
                **{"zero": False, "choices": [], "when": ["model.head", "embedding"], "grid": []},
            },
        ],
        "flat": False,
    }
    assert (
        Space.from_dict(old) == Space("own", (HEAD, DROPOUT))
        and Space("own", (HEAD, DROPOUT)).to_dict() == old
    )
    stored = LISTED.to_dict()
    assert stored["priors"][1]["when"] == ["merge.method", ["once", "exact"]]
    assert Space.from_dict(json.loads(json.dumps(stored))) == LISTED


def test_without_decides_lists_of_values_and_keeps_the_prior_that_is_left() -> None:
    for method, left in (("exact", LISTED.priors[1]), ("anew", LISTED.priors[2])):
        assert LISTED.without({"merge.method": method}).priors == (dataclasses.replace(left, when=None),)
    assert LISTED.without({"merge.method": "star"}).priors == ()
    assert LISTED.without({"train.memory_init": "zeros"}).priors == (METHOD,)


def test_conditions_are_described() -> None:
    assert [row["condition"] for row in LISTED.describe()] == [
        "",
        "merge.method = once or exact",
        "merge.method = anew",
    ]


@pytest.mark.parametrize("suffix", ["used", "or_zero", "a.b", "a b", "ä\n"])
def test_suffixes_that_would_be_other_parameters_are_refused(suffix: str) -> None:
    with pytest.raises(ConfigError, match="must be a word other than used and or_zero"):
        rows("once", suffix=suffix)


class TestFitted:
    def test_choices_that_cannot_be_had_with_the_base_are_left_out(self) -> None:
        kept = Config().replace(**{"train.memory_init": "carry"})
        try:
            method = LISTED.without({"train.memory_init": "carry"}).fitted(kept)
        except ConfigError as error:
            pytest.fail(str(error))
        assert method.priors == (dataclasses.replace(METHOD, choices=("once", "exact")),)
        batches = Space("own", SAMPLER).fitted(Config().replace(**{"train.batch_size": 20}))
        assert batches.priors[1].choices == (2, 4) and batches.priors[0] == SAMPLER[0]

    @pytest.mark.parametrize("space", [LISTED, *SPACES.values()], ids=lambda space: space.name)
    def test_a_space_that_fits_stays_as_it_is(self, space: Space) -> None:
        for base in BASES:
            assert space.fitted(base) == space

    @pytest.mark.parametrize(
        ("priors", "changes", "said"),
        [
            (
                "sampler",
                {"train.batch_size": 18},
                "of train.tracklets_per_class, one of 2, 4, 8, only 2 can be drawn (TrainConfig.batch_size",
            ),
            (
                "sampler",
                {"train.batch_size": 33},
                "of train.sampler, one of tracklets, classes, only tracklets",
            ),
            (
                "jaccard",
                {"merge.k1": 5},
                "would draw what cannot run (MergeConfig.k2 = 10: must be at most k1",
            ),
            ("both", {}, "would draw what cannot run (MergeConfig.k2 = 10: must be at most k1 = 8)"),
        ],
    )
    def test_what_leaves_no_choice_or_lies_in_a_range_is_refused(
        self, priors: str, changes: dict[str, Any], said: str
    ) -> None:
        with pytest.raises(ConfigError) as error:
            Space("own", UNFIT[priors]).fitted(Config().replace(**changes))
        assert said in str(error.value) and "'own'" in str(error.value)


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

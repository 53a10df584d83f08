"""A search rebuilt as a study of Optuna's, and what is computed from it."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from made_scores import rising
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import TrialState

from analysis.data.results import load
from analysis.stats import searched as found
from analysis.stats.searched import optuna_study, telling
from search_spaces.spaces import load_space


def test_every_trial_has_every_parameter_under_the_papers_symbol(searched):
    rebuilt = optuna_study(load([searched.folder]).studies[0])
    assert len(rebuilt.trials) == 13  # the paper's setting on its first seed only
    assert all(set(trial.params) == {"λ1", "λ2", "τ", "α", "α schedule"} for trial in rebuilt.trials)
    assert rebuilt.trials[0].params["λ1"] == 0.06
    states = [trial.state for trial in rebuilt.trials]
    assert states.count(TrialState.PRUNED) == 3
    pruned = next(trial for trial in rebuilt.trials if trial.state == TrialState.PRUNED)
    assert list(pruned.intermediate_values) == [1]


def test_given_settings_are_part_of_the_search_and_diverged_trials_have_the_worst_value(searched):
    given = searched.base.replace(**{"train.temperature": 0.05})
    searched.trial(given, rising, origin="given", labels=("table3/0.05",))
    hot = searched.base.replace(**{"train.temperature": 0.3})
    searched.trial(hot, rising, origin="search", state="diverged", steps=1)
    *_, one, other = optuna_study(load([searched.folder]).studies[0]).trials
    assert one.params["τ"] == 0.05 and one.value == pytest.approx(rising(given, 3))
    assert (other.state, other.value) == (TrialState.COMPLETE, 0.0)
    assert other.user_attrs["state"] == "diverged" and other.intermediate_values[2] == 0.0


@pytest.mark.parametrize(("count", "shown"), [(8, 8), (30, 10)])
def test_of_many_parameters_those_that_tell_are_shown(count: int, shown: int):
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(60):
        trial = study.ask()
        values = [trial.suggest_float(f"p{i}", 0.0, 1.0) for i in range(count)]
        study.tell(trial, values[7] - 0.01 * values[0])
    assert len(telling(study)) == shown and "p7" in telling(study)
    assert count == 8 or telling(study)[0] == "p7"


def study_of(values: dict[str, list[float]], objective, pruned=()) -> optuna.Study:
    """A study of Optuna's; trials in `pruned` have ended early with their value."""
    made = optuna.create_study(direction="maximize")
    made.set_user_attr("axis", "objective")
    count = len(next(iter(values.values())))
    of = {name: optuna.distributions.FloatDistribution(0.0, 1.0) for name in values}
    for i in range(count):
        params = {name: held[i] for name, held in values.items()}
        state = TrialState.PRUNED if i in pruned else TrialState.COMPLETE
        value = objective(**params)
        made.add_trial(
            optuna.create_trial(
                state=state, value=value, params=params, distributions=of, intermediate_values={1: value},
                user_attrs={"trial": i, "state": "x", "base": ""},
            )
        )  # fmt: skip
    return made


def test_pruned_trials_count_with_the_value_at_which_they_ended(searched):
    rebuilt = optuna_study(load([searched.folder]).studies[0])
    pruned = {t.number: t for t in rebuilt.trials if t.state == TrialState.PRUNED}
    counted = found.counting_pruned(rebuilt)
    assert len(pruned) == 3 and all(t.state == TrialState.COMPLETE for t in counted.trials)
    for number, trial in pruned.items():
        assert counted.trials[number].value == trial.intermediate_values[1]
        assert counted.trials[number].params == trial.params
    assert [t.number for t in found.valued(rebuilt)] == [t.number for t in rebuilt.trials]
    assert sum(t.state == TrialState.PRUNED for t in rebuilt.trials) == 3  # left as it was


def test_failed_trials_do_not_count(make, lambdas_space):
    study = make("duke", space=lambdas_space)
    study.trial(study.base, origin="paper")
    study.trial(study.base.replace(**{"merge.lambda1": 0.2}), origin="search", state="failed")
    rebuilt = optuna_study(load([study.folder]).studies[0])
    assert len(rebuilt.trials) == 2 and len(found.valued(rebuilt)) == 1
    states = [trial.state for trial in found.counting_pruned(rebuilt).trials]
    assert states == [TrialState.COMPLETE, TrialState.FAIL]


def test_what_pruned_trials_say_of_a_parameter_is_heard():
    """Only among pruned trials does `b` differ: all that Optuna takes as complete has the same."""
    draws = np.random.default_rng(0).random(60)
    values = {"a": list(draws), "b": [0.9] * 20 + list(np.linspace(0, 0.5, 40))}
    study = study_of(values, lambda a, b: 10 * b + 0.01 * a, pruned=range(20, 60))
    alone = optuna.importance.get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    assert alone["a"] > 0.7  # what complete trials alone say is the noise
    heard = found.importances(study, PedAnovaImportanceEvaluator())
    assert list(heard) == ["b", "a"] and heard["b"] > 0.6 and sum(heard.values()) == pytest.approx(1)


def test_fanova_knows_the_shares_of_the_variance():
    pytest.importorskip("sklearn", reason="needs scikit-learn (pip install -e '.[analysis]')")
    rng = np.random.default_rng(1)
    values = {"a": list(rng.random(80)), "b": list(rng.random(80))}
    evaluator = found.fanova()
    assert evaluator is not None
    heard = found.importances(study_of(values, lambda a, b: 3 * a + b, pruned=range(40)), evaluator)
    assert heard["a"] == pytest.approx(0.9, abs=0.06)  # 9 : 1


def test_without_scikit_learn_there_is_no_fanova(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sklearn", None)
    assert found.fanova() is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([], "4 complete trials are needed, 0 are there"),
        ([0.1], "4 complete trials are needed, 1 is there"),
        ([0.1, 0.2], "4 complete trials are needed, 2 are there"),
        ([0.1] * 4, "all complete trials have the same value"),
        ([0.1] * 3 + [0.2], ""),
    ],
)
def test_what_is_missing_is_said(values: list[float], said: str):
    study = optuna.create_study(direction="maximize")
    for value in values:
        study.add_trial(optuna.create_trial(value=value))
    study.add_trial(optuna.create_trial(state=TrialState.PRUNED, value=0.3))  # does not make up for it
    assert found.why_nothing_said(study) == said


def test_positions_on_an_axis_and_what_a_strip_below_the_range_means(make):
    study = make("duke", space=load_space("default").to_dict())
    study.trial(study.base)
    known = found.parameters(load([study.folder]).studies[0])
    assert list(known) == ["λ1", "λ2", "τ", "α schedule", "α"]
    weight, schedule = known["λ1"], known["α schedule"]
    of = weight.distribution
    assert weight.zero_below is not None and of.low < weight.zero_below < 0.06
    middle = (weight.zero_below * of.high) ** 0.5
    assert weight.position(of.low) == 0 and weight.text(of.low) == "0" and weight.text(0.06) == "0.06"
    ends = [weight.position(value) for value in (weight.zero_below, middle, of.high)]
    assert ends == pytest.approx([0.15, 0.575, 1])  # apart from 0
    assert [text for _, text in weight.ticks()][:2] == ["0", f"{weight.zero_below:g}"]
    assert all(weight.position(float(text)) == pytest.approx(at) for at, text in weight.ticks()[1:])
    assert [schedule.position(choice) for choice in schedule.choices][:: len(schedule.choices) - 1] == [0, 1]
    assert known["τ"].text(0.1) == "0.1" and known["τ"].zero_below is None


def test_ticks_of_whole_numbers_are_whole_numbers():
    known = found.Parameter("k2", optuna.distributions.IntDistribution(1, 10))
    assert known.ticks() == [(0, "1"), (pytest.approx(2 / 9), "3"), *known.ticks()[2:4], (1, "10")]
    assert all(known.position(int(text)) == at for at, text in known.ticks())


def test_the_surface_passes_through_a_plane_and_says_nothing_outside_of_what_was_tried():
    rng = np.random.default_rng(2)
    places = np.vstack([[[0.2, 0.2], [0.2, 0.8], [0.8, 0.2], [0.8, 0.8]], 0.2 + 0.6 * rng.random((30, 2))])
    plane = 1 + 2 * places[:, 0] - 3 * places[:, 1]
    made = found.surface(places, plane, 10)
    ticks = (np.arange(10) + 0.5) / 10
    expected = 1 + 2 * ticks[:, None] - 3 * ticks[None, :]
    inside = (ticks > 0.2) & (ticks < 0.8)
    np.testing.assert_allclose(made[np.ix_(inside, inside)], expected[np.ix_(inside, inside)])
    assert np.isnan(made[~inside]).all() and np.isnan(made[:, ~inside]).all()


def test_trials_at_one_place_count_by_their_mean_and_those_on_a_line_make_no_surface():
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [0, 0]], dtype=float)
    made = found.surface(corners, np.array([1.0, 2, 2, 2, 3]), 4)
    np.testing.assert_allclose(made, 2.0)
    assert np.isnan(found.surface(corners[:2], np.array([1.0, 2]), 3)).all()
    assert np.isnan(found.surface(np.array([[0, 0], [0.5, 0.5], [1, 1]]), np.arange(3.0), 3)).all()

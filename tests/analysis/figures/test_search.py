"""A search rebuilt for Optuna's plots."""

from __future__ import annotations

import matplotlib.pyplot as plt
import optuna
import pytest
from matplotlib.figure import Figure
from optuna.trial import TrialState

from analysis.data.results import load
from analysis.figures.search import curves, history, optuna_study, search_figures, telling
from search_spaces.spaces import load_space


@pytest.fixture(autouse=True)
def _no_figure_stays_open():
    yield
    plt.close("all")


def rising(config, step):
    return 0.3 + 0.1 * config.merge.lambda1 + 0.01 * step + config.train.alpha / 50


@pytest.fixture
def searched(make):
    """The paper's setting and twelve drawn trials, every fourth pruned after one step."""
    space = load_space("default")
    study = make("duke", space=space.to_dict())
    study.trial(study.base, origin="paper", labels=("paper",))
    study.trial(study.base.replace(seed=1), origin="paper", labels=("paper",))
    drawn = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    for number in range(12):
        config = study.base.replace(**space.draw(drawn.ask()))
        pruned = number % 4 == 3
        state, steps = ("pruned", 1) if pruned else ("complete", 3)
        study.trial(config, rising, origin="search", state=state, steps=steps)
    return study


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


def test_the_best_trial_is_the_one_of_highest_value_and_the_history_rises_to_it(searched):
    rebuilt = optuna_study(load([searched.folder]).studies[0])
    values = [trial.value for trial in rebuilt.trials if trial.state == TrialState.COMPLETE]
    assert rebuilt.best_value == max(values) > values[0]
    (ax,) = history(rebuilt).axes
    (line,) = (line for line in ax.lines if line.get_label() == "best complete so far")
    assert list(line.get_ydata()) == pytest.approx([100 * max(values[: i + 1]) for i in range(len(values))])


def test_the_study_folder_is_left_as_it_is(searched):
    before = {path: path.stat().st_mtime_ns for path in searched.folder.rglob("*")}
    list(search_figures(load([searched.folder]).groups[0]))
    assert {path: path.stat().st_mtime_ns for path in searched.folder.rglob("*")} == before


def test_figures(searched):
    made = {name: figure for name, _, figure in search_figures(load([searched.folder]).groups[0])}
    drawn = {name for name, figure in made.items() if isinstance(figure, Figure)}
    expected = {"history", "curves", "importance-pedanova", "slices", "contour", "parallel"}
    assert {f"search-{name}" for name in expected} <= drawn
    fanova = made["search-importance-fanova"]
    assert isinstance(fanova, Figure) or "scikit-learn" in fanova


def test_too_few_trials_are_said(make, lambdas_space):
    study = make("duke", space=lambdas_space)
    study.trial(study.base, origin="paper")
    made = {name: figure for name, _, figure in search_figures(load([study.folder]).groups[0])}
    assert made["search-contour"] == "1 complete trials say nothing: it takes 4"


def test_plans_have_no_search_figures(make):
    study = make("duke", experiments="table1")
    study.run_plan(1)
    assert list(search_figures(load([study.folder]).groups[0])) == []


@pytest.mark.parametrize(("count", "shown"), [(8, 8), (30, 10)])
def test_of_many_parameters_those_that_tell_are_shown(count: int, shown: int):
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(60):
        trial = study.ask()
        values = [trial.suggest_float(f"p{i}", 0.0, 1.0) for i in range(count)]
        study.tell(trial, values[7] - 0.01 * values[0])
    assert len(telling(study)) == shown and "p7" in telling(study)
    assert count == 8 or telling(study)[0] == "p7"


@pytest.mark.parametrize(("objective", "axis"), [("last", "mAP"), ("unlabelled", "score without labels")])
def test_the_axis_is_what_the_search_maximised(make, lambdas_space, objective: str, axis: str):
    study = make("duke", space=lambdas_space, objective=objective)
    study.trial(study.base, rising, origin="paper", scores=lambda config, step: {"unlabelled": 0.8})
    rebuilt = optuna_study(load([study.folder]).studies[0])
    assert rebuilt.trials[0].value == pytest.approx(
        0.8 if objective == "unlabelled" else rising(study.base, 3)
    )
    for draw in (history, curves):
        assert draw(rebuilt).axes[0].get_ylabel() == f"objective: {axis} (%)"

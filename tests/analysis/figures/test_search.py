"""A search rebuilt for Optuna's plots."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pytest
from made_scores import rising
from matplotlib.figure import Figure
from optuna.trial import TrialState

from analysis.data.results import load
from analysis.figures.search import curves, history, search_figures
from analysis.stats.searched import optuna_study


@pytest.fixture(autouse=True)
def _no_figure_stays_open():
    yield
    plt.close("all")


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
    assert made["search-contour"] == "4 complete trials are needed, 1 is there"


def test_plans_have_no_search_figures(make):
    study = make("duke", experiments="table1")
    study.run_plan(1)
    assert list(search_figures(load([study.folder]).groups[0])) == []


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

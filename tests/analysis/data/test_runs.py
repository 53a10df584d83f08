"""Which runs count for which experiment, and at which step."""

from __future__ import annotations

import math

import pytest
from ledgers import rewrite

from analysis.data.results import load
from analysis.data.runs import count, of_experiment, runs, steps_told, why_missing
from analysis.stats.series import over_steps


def test_best_and_last_step(make):
    study = make("duke")
    study.trial(study.base, lambda config, step: {0: 0.9, 1: 0.3, 2: 0.5, 3: 0.4}[step])
    (run,) = runs(load([study.folder]).groups[0])
    assert (run.best_step, run.last_step) == (2, 3)  # the untrained network is no step
    assert [run.value("mAP", at) for at in ("untrained", "best", "last")] == [90.0, 50.0, 40.0]


def test_of_equal_steps_the_first_is_the_best(make):
    study = make("duke")
    study.trial(study.base, lambda config, step: {0: 0.9, 1: 0.3, 2: 0.5, 3: 0.5}[step])
    (run,) = runs(load([study.folder]).groups[0])
    assert (run.best_step, run.last_step) == (2, 3)


def test_what_was_computed_counts_rather_than_what_was_taken_over(make):
    taking, computing = make("duke", "taking"), make("duke", "computing")
    taking.trial(taking.base, lambda config, step: 0.3)
    reused = '"origin": "plan", "reused": "study computing, trial 0"'
    rewrite(taking.folder / "ledger.jsonl", lambda text: text.replace('"origin": "plan"', reused))
    computing.trial(computing.base, lambda config, step: 0.4)
    for order in ((taking, computing), (computing, taking)):
        (run,) = runs(load([study.folder for study in order]).groups[0])
        assert (run.study.name, run.value("mAP", "last")) == ("computing", 40.0)


def test_a_run_of_the_papers_setting_serves_every_table(make, lambdas_space):
    search = make("duke", space=lambdas_space)
    search.trial(search.base, labels=("paper",), origin="paper")
    found = runs(load([search.folder]).groups[0])
    for name in (
        "table1/lambda1_lambda2",
        "table2/linear",
        "table3/0.1",
        "fig3/final",
        "fig4/0.06",
        "fig5/0.003",
    ):
        assert list(of_experiment(found, name, "mAP", "last").index) == [0]
    assert of_experiment(found, "table1/baseline", "mAP", "last").empty


def test_joined_studies_count_each_configuration_and_seed_once(make):
    one, two = make("duke", "one", experiments="table1"), make("duke", "two", experiments="table2")
    one.run_plan(seeds=2), two.run_plan(seeds=3)
    found = runs(load([one.folder, two.folder]).groups[0])
    assert len(found) == 3 * 2 + 2 * 3 - 2
    assert list(of_experiment(found, "table1/lambda1_lambda2", "mAP", "last").index) == [0, 1, 2]


def test_what_was_computed_again_counts_instead(make):
    study, other = make("duke", "one"), make("duke", "two")
    study.trial(study.base, lambda config, step: 0.3)
    newest = study.trial(study.base, lambda config, step: 0.4)
    other.trial(other.base, lambda config, step: 0.5)
    (run,) = runs(load([study.folder, other.folder]).groups[0])
    assert (run.study.name, run.trial.number, run.value("mAP", "last")) == ("one", newest, 40.0)


def test_unfinished_pruned_and_failed_trials_do_not_count(make):
    study = make("duke", experiments="table2")
    study.trial(study.base, labels=("table2/linear",))
    fixed = study.base.replace(**{"train.alpha_schedule": "fixed"})
    for state in ("running", "failed", "pruned"):
        study.trial(fixed, state=state, steps=2)
    group = load([study.folder]).groups[0]
    assert len(runs(group)) == 1
    assert why_missing(group, "table2/fixed") == "1 not finished, 1 failed, 1 pruned"
    assert why_missing(group, "table3/0.3") == "not run"


def test_a_run_that_diverged_is_a_result_of_no_worth_from_there_on(make):
    study = make("duke")
    hot = study.base.replace(**{"train.temperature": 0.3})
    study.trial(hot, lambda config, step: {0: 0.2, 1: 0.4}[step], state="diverged", steps=1)
    study.trial(hot.replace(seed=1), lambda config, step: 0.3, state="diverged", steps=0)
    found = runs(load([study.folder]).groups[0])
    assert [run.trial.number for run in found] == [0, 1]
    late, first = found
    assert late.curve("mAP") == {0: 0.2, 1: 0.4, 2: 0.0, 3: 0.0}
    assert [late.value("mAP", at) for at in ("untrained", "best", "last")] == [20.0, 40.0, 0.0]
    assert [late.value("rank1", at) for at in ("best", "last")] == [pytest.approx(60.0), 0.0]
    assert first.curve("mAP") == {0: 0.3, 1: 0.0, 2: 0.0, 3: 0.0}
    assert [first.value("mAP", at) for at in ("best", "last")] == [0.0, 0.0]
    assert count([late, first], "table3/0.3") == "2, 2 diverged" and count([late], "table3/0.1") == "0"
    assert late.curve("classes_after") == {0: 100.0, 1: 80.0}  # nothing was merged any more


def test_curves_over_steps_fall_to_nothing_where_a_run_diverges(make):
    study = make("duke")
    study.trial(study.base, lambda config, step: 0.4)
    study.trial(study.base.replace(seed=1), lambda config, step: 0.4, state="diverged", steps=1)
    series = over_steps(runs(load([study.folder]).groups[0]), "mAP", scale=100)
    assert series.x == [1, 2, 3] and series.mean == [40.0, 20.0, 20.0]


def test_without_labels_a_run_that_diverged_counts_for_nothing(make):
    study = make("duke")
    study.trial(study.base, lambda config, step: math.nan, state="diverged", steps=1)
    assert runs(load([study.folder]).groups[0]) == []


def test_a_label_that_no_plan_has_any_more_still_counts(make):
    study = make("duke")
    study.trial(study.base.replace(**{"merge.lambda1": 0.123}), labels=("fig4/0.123",))
    assert len(of_experiment(runs(load([study.folder]).groups[0]), "fig4/0.123", "mAP", "best")) == 1


def falling(config, step):
    """Scores that choose the first merge step, whatever the untrained network has."""
    return {"unlabelled": 0.9 - 0.1 * step}


def test_the_selected_step_is_that_of_the_highest_score(make):
    study = make("duke")
    study.trial(study.base, lambda config, step: {0: 0.9, 1: 0.3, 2: 0.5, 3: 0.4}[step], scores=falling)
    study.trial(study.base.replace(seed=1), state="diverged", steps=2, scores=falling)
    chosen, diverged = runs(load([study.folder]).groups[0])
    assert (chosen.selected_step, chosen.best_step, chosen.last_step) == (1, 2, 3)
    assert chosen.value("mAP", "selected") == 30.0 and chosen.value("rank1", "selected") == 50.0
    assert diverged.value("mAP", "selected") == 0.0  # there is no network left
    assert steps_told([chosen, diverged]) == ("best", "last", "selected")


def test_runs_without_scores_have_no_selected_step(make):
    study = make("duke")
    study.trial(study.base)
    study.trial(study.base.replace(seed=1), state="diverged", steps=1)
    found = runs(load([study.folder]).groups[0])
    assert steps_told(found) == ("best", "last") and math.isnan(found[0].value("mAP", "selected"))

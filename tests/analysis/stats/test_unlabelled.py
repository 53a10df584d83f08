"""Tables of runs on data without labels, and how far classes follow cameras."""

from __future__ import annotations

import pytest

from analysis.data.results import load
from analysis.data.runs import by_score, unlabelled
from analysis.stats.unlabelled import classes_table, scores_table


def group_of(study):
    return load([study.folder]).groups[0]


def test_runs_come_by_their_score_and_last_those_that_are_not_chosen_from(nobody_labelled):
    found = by_score(group_of(nobody_labelled))
    assert [run.trial.number for run in found] == [2, 4, 0, 1, 5, 3]


def test_one_measured_trial_makes_a_study_a_labelled_one(nobody_labelled):
    assert unlabelled(group_of(nobody_labelled))
    nobody_labelled.trial(nobody_labelled.base.replace(seed=1))
    assert not unlabelled(group_of(nobody_labelled))


def test_older_studies_without_labels_or_scores_are_none_of_these(make):
    study = make("folder")
    study.trial(study.base, None)
    assert not unlabelled(group_of(study))


def test_scores_stand_at_the_selected_step_below_the_untrained_networks(nobody_labelled):
    group = group_of(nobody_labelled)
    table = scores_table(by_score(group), group)
    assert table.columns[3:] == (
        "step",
        "classes",
        "largest class",
        "score",
        "self-retrieval",
        "camera excess",
    )
    untrained, chosen = table.rows[:2]
    # Of trial 2: 0.6 at step 2, and 0.4 before training.
    assert untrained == ("untrained network", "–", "–", "0", "100", "–", "40.0", "45.0", "26.0")
    assert chosen == ("λ1 0.26, seed 0", "2", "complete", "2", "60", "10", "60.0", "65.0", "24.0")
    assert table.rows[-1][1:] == ("3", "diverged", *["–"] * 6)
    assert table.numbers["unlabelled"].iloc[1] == pytest.approx(0.6)


def test_classes_of_a_run_by_step(nobody_labelled):
    group = group_of(nobody_labelled)
    run = by_score(group)[0]
    table = classes_table(run, group)
    assert [row[0] for row in table.rows] == ["1", "2 (selected)", "3"]
    assert table.rows[1][1:] == ("60", "10", "2", "26.0", "60.0")
    assert table.numbers["same_camera"].tolist() == pytest.approx([0.25, 0.26, 0.25])
    assert "trial 2" in table.title

"""Tables of runs on data without labels, and how far classes follow cameras."""

from __future__ import annotations

import numpy as np
import pytest
from made_joins import joins_of_step

from analysis.data.results import load
from analysis.data.runs import by_score, unlabelled
from analysis.stats.unlabelled import classes_table, same_camera_share, scores_table
from study.record.storage import Storage
from study.record.trial_tables import save_joins


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
    save_joins(Storage(str(nobody_labelled.folder / "trials" / "0002")), [joins_of_step()], {})
    group = group_of(nobody_labelled)
    run = by_score(group)[0]
    table = classes_table(run, group)
    assert [row[0] for row in table.rows] == ["1", "2 (selected)", "3"]
    assert table.rows[1][1:4] == ("60", "10", "2") and table.rows[1][5] == "60.0"
    within = 100 * float(joins_of_step().one_camera.double().mean())
    assert 0 < within < 100 and table.rows[0][4] == f"{within:.1f}" and table.rows[1][4] == "–"
    assert "trial 2" in table.title


def test_the_share_of_pairs_that_one_camera_saw_is_that_of_a_loop():
    rng = np.random.default_rng(3)
    labels, cameras = rng.integers(0, 6, 40), rng.integers(0, 3, 40)
    pairs = [(i, j) for i in range(40) for j in range(i) if labels[i] == labels[j]]
    same = sum(cameras[i] == cameras[j] for i, j in pairs)
    assert same_camera_share(labels, cameras) == pytest.approx(same / len(pairs))
    assert same_camera_share(cameras, cameras) == 1.0  # classes that are cameras
    assert np.isnan(same_camera_share(np.arange(40), cameras))

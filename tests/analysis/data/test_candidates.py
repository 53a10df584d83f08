"""Which networks there are to choose from, with which scores, and their mAP in resamples."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from analysis.data.candidates import COMBINED, SCORES, candidates
from analysis.data.folder import ResultsError
from analysis.data.results import load
from dcreid.evaluation.unlabelled import combined

WHO = np.array([7, 7, 7, 9, 12, 12])  # identities of the queries


def scores(config, step):
    return {
        "self_retrieval": 0.5 + 0.1 * step, "camera_excess": 0.3 - 0.1 * step, "exclusivity": None,
        "stability": None if step == 1 else 0.9, "join_reliability": 0.4, "size_balance": 0.8,
        "silhouette": 0.1, "unlabelled": 0.123,
    }  # fmt: skip


def group_of(study):
    return load([study.folder]).groups[0]


def found_of(study, resamples=0):
    return candidates(group_of(study), np.random.default_rng(0), resamples)


def test_every_measured_step_of_every_ended_run_is_a_candidate(make):
    study = make("duke")
    for seed, (state, steps) in enumerate([("complete", 3), ("pruned", 2), ("failed", 2), ("running", 1)]):
        study.trial(study.base.replace(seed=seed), state=state, steps=steps, scores=scores)
    found = found_of(study)
    assert [run.trial.state for run in found.runs] == ["complete", "pruned"]
    assert found.run.tolist() == [0, 0, 0, 1, 1] and found.step.tolist() == [1, 2, 3, 1, 2]
    assert found.mAP[:, 0] == pytest.approx([31, 32, 33, 31.23, 32.23]) and found.mAP.shape == (5, 1)
    assert found.name(4) == "trial 1, step 2"


def test_more_is_better_and_what_is_missing_is_no_number(make):
    study = make("duke")
    study.trial(study.base, scores=scores)
    found = found_of(study)
    assert set(found.scores) == set(SCORES)
    assert found.scores["self_retrieval"] == pytest.approx([0.6, 0.7, 0.8])
    assert found.scores["camera_excess"] == pytest.approx([-0.2, -0.1, 0.0])
    assert np.isnan(found.scores["exclusivity"]).all()
    assert found.scores["stability"] == pytest.approx([np.nan, 0.9, 0.9], nan_ok=True)


def test_the_combination_is_todays_whatever_was_recorded(make):
    study = make("duke")
    study.trial(study.base, scores=scores)
    rows = study.ledger.trials[0].steps
    expected = [np.nan if (value := combined(rows[step])) is None else value for step in (1, 2, 3)]
    assert found_of(study).scores[COMBINED] == pytest.approx(expected, nan_ok=True)
    assert 0.123 not in expected and not np.isnan(expected[-1])


def test_a_training_that_diverged_ends_below_all_others(make):
    study = make("duke")
    study.trial(study.base, scores=scores)
    study.trial(study.base.replace(seed=1), state="diverged", steps=1, scores=scores)
    found = found_of(study)
    assert found.step.tolist() == [1, 2, 3, 2] and found.mAP[-1, 0] == 0.0
    assert found.scores[COMBINED][-1] == 0.0
    assert np.isneginf(found.scores["self_retrieval"][-1]) and np.isneginf(found.scores["camera_excess"][-1])
    assert np.isnan(found.scores["exclusivity"]).all()  # nobody has it


def test_runs_with_identities_as_classes_are_no_candidates(make):
    study = make("duke")
    study.trial(study.base, scores=scores)
    bound = {"merge.method": "identities", "train.leak_audit": True}
    study.trial(study.base.replace(**bound), scores=scores)
    assert len(found_of(study).runs) == 1


def test_without_labels_or_scores_there_is_nothing_to_judge(make):
    study = make("duke", "old")
    study.trial(study.base)
    with pytest.raises(ResultsError, match=r"old: no scores without labels, being of an older version"):
        found_of(study)
    unlabelled = make("duke", "unlabelled")
    unlabelled.trial(study.base, lambda config, step: float("nan"), scores=scores)
    with pytest.raises(ResultsError, match=r"unlabelled: no mAP to judge scores by"):
        found_of(unlabelled)


def test_resamples_draw_identities_with_all_their_queries(make):
    study = make("duke")
    rng = np.random.default_rng(5)
    precisions = {step: rng.random(len(WHO)) for step in (0, 1, 2, 3)}
    study.trial(study.base, lambda config, step: float(precisions[step].mean()), scores=scores)
    diverged = study.trial(study.base.replace(seed=1), state="diverged", steps=0, scores=scores)
    study.keep_queries(0, WHO, precisions)
    found = found_of(study, resamples=200)
    assert found.mAP.shape == (4, 201) and (found.mAP[diverged + 2] == 0).all()
    # Three identities with three, one and two queries: every resample is one of these 27 draws.
    drawn = list(itertools.product((7, 9, 12), repeat=3))
    possible = np.array([
        [100 * np.concatenate([precisions[step][who == WHO] for who in each]).mean() for each in drawn]
        for step in (1, 2, 3)
    ])  # fmt: skip
    which = [np.abs(possible - column[:3, None]).sum(axis=0).argmin() for column in found.mAP[:, 1:].T]
    assert found.mAP[:3, 1:] == pytest.approx(possible[:, which], abs=1e-4)
    # Every identity counts once on average, and three times in one of nine draws.
    single = [len(set(drawn[index])) == 1 for index in which]
    assert np.mean(single) == pytest.approx(1 / 9, abs=0.08) and len(set(which)) > 8


def test_without_all_queries_there_are_no_resamples(make):
    study = make("duke")
    precisions = {step: np.full(len(WHO), 0.5) for step in (0, 1, 2, 3)}
    for seed in (0, 1):
        study.trial(study.base.replace(seed=seed), scores=scores)
    study.keep_queries(0, WHO, precisions)
    assert found_of(study, resamples=20).mAP.shape == (6, 1)
    study.keep_queries(1, WHO, {step: precisions[step] for step in (0, 1)})
    assert found_of(study, resamples=20).mAP.shape == (6, 1)
    study.keep_queries(1, WHO, precisions)
    assert found_of(study, resamples=20).mAP.shape == (6, 21)

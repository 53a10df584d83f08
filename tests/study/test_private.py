"""What is used of Ray and Optuna beyond what they promise (study/private.py) is there and means the same."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from ray._common.constants import HEAD_NODE_RESOURCE_NAME
from ray.exceptions import ActorDiedError
from ray.tune.experiment import Trial
from ray.tune.result import AUTO_RESULT_KEYS

from study.private import HEAD_RESOURCE, TUNE_KEYS, StudyView, error_of, storage_id, worker_of


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    """A trial of Tune's own making that writes into this folder."""
    trial = Trial("trainable", stub=True)
    trial.storage = SimpleNamespace(trial_driver_staging_path=str(tmp_path))
    return trial


def test_a_trial_that_has_not_started_has_no_worker_and_no_error(trial: Trial):
    assert worker_of(trial) is None and error_of(trial) is None


def test_the_worker_is_the_one_that_tune_sets(trial: Trial):
    worker: Any = SimpleNamespace(get_auto_filled_metrics=SimpleNamespace(remote=lambda **_: None))
    trial.set_ray_actor(worker)
    assert worker_of(trial) is worker


def test_the_error_is_the_one_that_tune_writes(trial: Trial):
    trial.handle_error(ActorDiedError())
    assert isinstance(error_of(trial), ActorDiedError)


def test_the_heads_resource_and_the_keys_of_reports_go_by_tunes_names():
    assert HEAD_RESOURCE == HEAD_NODE_RESOURCE_NAME
    made_by_runs_of_steps = {"episodes_total", "timesteps_total", "timesteps_since_restore"}
    assert set(AUTO_RESULT_KEYS) - made_by_runs_of_steps <= TUNE_KEYS


def test_a_trials_number_in_its_storage():
    study = optuna.create_study()
    study.ask()
    (trial,) = study.trials
    assert study._storage.get_trial(storage_id(trial)).number == trial.number == 0


def test_a_view_shows_other_trials_and_leaves_the_study_alone():
    study = optuna.create_study(direction="maximize")
    for value in (0.1, 0.2):
        study.tell(study.ask(), value)
    view = StudyView(study, lambda trials: trials[:1])
    assert view.direction == study.direction
    assert [t.value for t in view._get_trials(states=(TrialState.COMPLETE,))] == [0.1]
    assert [t.value for t in study.trials] == [0.1, 0.2]


@pytest.mark.parametrize("sampler", [optuna.samplers.GPSampler, optuna.samplers.CmaEsSampler])
def test_samplers_that_get_a_view_ask_it_for_trials(sampler: type):
    assert "study._get_trials(" in inspect.getsource(sys.modules[sampler.__module__])

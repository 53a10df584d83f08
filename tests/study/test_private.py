"""What is used of Ray and Optuna beyond what they promise (study/private.py) is there and means the same."""

from __future__ import annotations

import inspect
import os
import subprocess
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

from study.private import (
    FEW_CONNECTIONS,
    HEAD_RESOURCE,
    TUNE_KEYS,
    StoredTrials,
    StudyForSamplers,
    cluster_address,
    error_of,
    worker_of,
)


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


def test_the_address_is_the_one_that_ray_connects_to(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAY_ADDRESS", "192.0.2.7:6379")
    assert cluster_address("auto") == "192.0.2.7:6379" and cluster_address("head:1") == "head:1"


def test_ray_reads_how_often_it_is_to_connect():
    code = "import ray._private.ray_constants as c; print(c.NUM_REDIS_GET_RETRIES)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | FEW_CONNECTIONS,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "1\n"


@pytest.fixture(params=["memory", "sqlite"])
def study(request: pytest.FixtureRequest, tmp_path: Path) -> optuna.Study:
    url = f"sqlite:///{tmp_path / 'optuna.db'}" if request.param == "sqlite" else None
    optuna.create_study(study_name="another", storage=url).ask()  # so that ids and numbers differ
    return optuna.create_study(study_name="study", storage=url, direction="maximize")


def test_stored_trials_are_what_the_study_has(study: optuna.Study):
    stored = StoredTrials(study._storage, "study")
    study.ask()
    trial_id = stored.id_of(0)
    stored.set_value(trial_id, 1, 0.5)
    stored.set_value(trial_id, 1, 0.9)  # the first value stays
    stored.set_attribute(trial_id, "trial", 7)
    (trial,) = study.trials
    assert trial.intermediate_values == {1: 0.5} and trial.user_attrs == {"trial": 7}
    assert stored.get(trial_id).number == 0 and list(stored.all()) == [trial_id]


def test_what_is_stored_of_a_trial_is_brought_up_to_it(study: optuna.Study):
    stored, ended = StoredTrials(study._storage, "study"), optuna.create_study(direction="maximize")
    trial = ended.ask()
    trial_id = stored.create(ended.trials[0])
    trial.report(0.25, 1)
    trial.set_user_attr("reason", "none")
    ended.tell(trial, 0.75)
    stored.bring_up(trial_id, ended.trials[0])
    (found,) = study.trials
    assert (found.state, found.value, found.intermediate_values) == (TrialState.COMPLETE, 0.75, {1: 0.25})
    assert found.user_attrs == {"reason": "none"}


def test_a_view_shows_other_trials_and_leaves_the_study_alone():
    study = optuna.create_study(direction="maximize")
    for value in (0.1, 0.2):
        study.tell(study.ask(), value)
    view = StudyForSamplers(study, lambda trials: trials[:1])
    assert view.direction == study.direction
    assert [t.value for t in view._get_trials(states=(TrialState.COMPLETE,))] == [0.1]
    assert [t.value for t in study.trials] == [0.1, 0.2]


@pytest.mark.parametrize("sampler", [optuna.samplers.GPSampler, optuna.samplers.CmaEsSampler])
def test_samplers_that_get_a_view_ask_it_for_trials(sampler: type):
    assert "study._get_trials(" in inspect.getsource(sys.modules[sampler.__module__])

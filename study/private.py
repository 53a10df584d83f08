"""All that is used of Ray and Optuna beyond what they promise; `tests/study/test_private.py` watches it."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial, TrialState
    from ray.tune.experiment import Trial

# Ray gives this resource to a cluster's head alone.
HEAD_RESOURCE = "node:__internal_head__"

# Keys that Tune adds to every report.
TUNE_KEYS = {
    "done", "trial_id", "date", "timestamp", "time_this_iter_s", "time_total_s", "pid", "hostname", "node_ip",
    "time_since_restore", "iterations_since_restore", "experiment_tag", "should_checkpoint",
    "checkpoint_dir_name", "config", "training_iteration",
}  # fmt: skip

# Ray waits for half a minute this often for a cluster to answer.
FEW_CONNECTIONS = {"RAY_NUM_REDIS_GET_RETRIES": "1"}


def cluster_address(address: str) -> str:
    """HOST:PORT of the cluster that Ray means by `auto`; any other address as it is.

    Raises ConnectionError where this machine knows of no cluster.
    """
    if address != "auto":
        return address
    from ray._private.services import canonicalize_bootstrap_address

    return str(canonicalize_bootstrap_address(address))


def worker_of(trial: Trial) -> Any:
    """The actor in which a trial of Tune's runs; None where it has none."""
    return trial.temporary_state.ray_actor


def error_of(trial: Trial) -> BaseException | None:
    """What a trial of Tune's crashed with; None where it is missing, cut, or of a class that is not here."""
    from ray import cloudpickle

    try:
        with open(trial.pickled_error_file, "rb") as file:
            error: BaseException = cloudpickle.load(file)
    except Exception:
        return None
    return error


class StoredTrials:
    """The trials of one study in a storage, whose methods Optuna keeps to itself. Ids are the storage's."""

    def __init__(self, storage: BaseStorage, study: str) -> None:
        self._storage, self._study = storage, study

    def id_of(self, number: int) -> int:
        """The id of the study's trial of this number."""
        return self._storage.get_trial_id_from_study_id_trial_number(self._study_id(), number)

    def get(self, trial_id: int) -> FrozenTrial:
        """A trial as it is stored."""
        return self._storage.get_trial(trial_id)

    def all(self) -> dict[int, FrozenTrial]:
        """All trials by their ids."""
        return {trial._trial_id: trial for trial in self._storage.get_all_trials(self._study_id())}

    def create(self, trial: FrozenTrial) -> int:
        """Stores a trial under the next number; returns its id."""
        return self._storage.create_new_trial(self._study_id(), template_trial=trial)

    def set_value(self, trial_id: int, step: int, value: float) -> None:
        """Stores the value of a step, unless there is one."""
        if step not in self.get(trial_id).intermediate_values:
            self._storage.set_trial_intermediate_value(trial_id, step, value)

    def set_attribute(self, trial_id: int, name: str, value: Any) -> None:
        """Stores a user attribute."""
        self._storage.set_trial_user_attr(trial_id, name, value)

    def bring_up(self, trial_id: int, trial: FrozenTrial) -> None:
        """Stores what a trial has beyond what is stored of it: steps, attributes, and its end."""
        stored = self.get(trial_id)
        for step, value in trial.intermediate_values.items():
            if step not in stored.intermediate_values:
                self._storage.set_trial_intermediate_value(trial_id, step, value)
        for name, content in trial.system_attrs.items():
            if stored.system_attrs.get(name) != content:
                self._storage.set_trial_system_attr(trial_id, name, content)
        for name, content in trial.user_attrs.items():
            if stored.user_attrs.get(name) != content:
                self._storage.set_trial_user_attr(trial_id, name, content)
        if trial.state.is_finished():
            self._storage.set_trial_state_values(trial_id, trial.state, trial.values)

    def _study_id(self) -> int:
        return self._storage.get_study_id_from_name(self._study)


class StudyForSamplers:
    """A study as it is shown to samplers: its trials are those that `change` makes of the study's own."""

    def __init__(self, study: Study, change: Callable[[list[FrozenTrial]], list[FrozenTrial]]) -> None:
        self._study, self._change = study, change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        trials = self._change(self._study._get_trials(deepcopy=deepcopy, use_cache=use_cache))
        return [trial for trial in trials if states is None or trial.state in states]

"""All that is used of Ray and Optuna beyond what they promise; `tests/study/test_private.py` watches it."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna import Study
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


def storage_id(trial: FrozenTrial) -> int:
    """The number under which a storage of Optuna's keeps a trial."""
    return trial._trial_id


class StudyView:
    """A study as samplers see it, whose trials are those that `change` makes of the study's own."""

    def __init__(self, study: Study, change: Callable[[list[FrozenTrial]], list[FrozenTrial]]) -> None:
        self._study, self._change = study, change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        trials = self._change(self._study._get_trials(deepcopy=deepcopy, use_cache=use_cache))
        return [trial for trial in trials if states is None or trial.state in states]

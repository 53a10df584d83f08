"""What Tune calls: a searcher, a scheduler and a callback that pass everything to the session.

Tune's OptunaSearch tells trials that a scheduler stopped as COMPLETE, drops the report at which
they were stopped, leaves NaN trials RUNNING, and one exception in it ends the experiment; and
Tune's schedulers forget their rungs. So Optuna is asked and told here through its own interface
(`study/search/optuna_study.py`), and prunes; Tune places, starts, watches and restarts the trials.

Tune pickles these objects into its own snapshots; they leave the session out, because a resumed
study is rebuilt from the ledger and never from those.
"""

from __future__ import annotations

from typing import Any

from ray import cloudpickle
from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError
from ray.tune import Callback, Stopper
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from study.decide.session import Session
from study.show.wording import first_line

# Keys that Tune adds to every report.
_TUNES_OWN = {
    "done", "trial_id", "date", "timestamp", "time_this_iter_s", "time_total_s", "pid", "hostname", "node_ip",
    "time_since_restore", "iterations_since_restore", "experiment_tag", "should_checkpoint",
    "checkpoint_dir_name", "config", "training_iteration",
}  # fmt: skip

_LONGEST = 500  # characters of a reason


class _Hook:
    session: Session

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "session"}

    def _safely(self, call: Any, *arguments: Any) -> Any:
        """An exception would end Tune's loop without a word to the user; the session carries it out."""
        try:
            return call(*arguments)
        except Exception as error:
            self.session.error = error
            self.session.stop(f"{type(error).__name__}: {error}")
            return None


class SessionSearcher(_Hook, Searcher):
    """Configurations from the session."""

    def __init__(self, session: Session):
        super().__init__(metric="mAP", mode="max")
        self.session = session

    def suggest(self, trial_id: str) -> Any:
        """A configuration, None (ask again later) or Searcher.FINISHED."""
        suggestion = self._safely(self.session.suggest, trial_id)
        return Searcher.FINISHED if suggestion == "FINISHED" else suggestion

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing: the scheduler hears of every result, the last one included."""

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        if not error:
            self.session.left(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the state."""


class SessionScheduler(_Hook, FIFOScheduler):
    """Results to the session, which says whether the trial goes on."""

    def __init__(self, session: Session):
        super().__init__()  # type: ignore[no-untyped-call]
        self.session = session

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Records the report; STOP when the trial has ended or the session is stopping."""
        row = {name: value for name, value in result.items() if name not in _TUNES_OWN and "/" not in name}
        if not row.keys() & {"step", "failed", "diverged"}:
            return str(TrialScheduler.CONTINUE)  # Tune's own closing report
        goes_on = self._safely(self.session.result, trial.trial_id, row)
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)


class SessionStopper(_Hook, Stopper):
    """Ends Tune's loop when a stopping session has nothing under way: trials that wait stay unstarted."""

    def __init__(self, session: Session):
        self.session = session

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Never: the scheduler ends trials."""
        return False

    def stop_all(self) -> bool:
        """Whether Tune should leave."""
        return self.session.idle


class SessionCallback(_Hook, Callback):
    """Starts and failures to the session."""

    def __init__(self, session: Session):
        self.session = session

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._safely(self.session.started, trial.trial_id)

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._safely(self.session.retried, trial.trial_id, failure_reason(trial))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._safely(self.session.failed, trial.trial_id, failure_reason(trial))


def failure_reason(trial: Trial) -> str:
    """Why a trial of Tune's crashed, in one line without Ray's wrapping."""
    path = trial.pickled_error_file
    try:
        with open(path, "rb") as file:
            error = cloudpickle.load(file)
    except Exception:  # missing, cut, or of a class that only the worker has
        return "unknown"
    return reason_of(error)


def reason_of(error: BaseException) -> str:
    """An exception of Ray's in one line: what happened to the worker, or what it raised."""
    if isinstance(error, RayTaskError):
        cause = error.cause
        if isinstance(cause, RayActorError | OutOfMemoryError):
            return reason_of(cause)
        # `run_trial` raises RuntimeErrors that begin with the name of the error they stand for.
        name = "" if type(cause) is RuntimeError else f"{type(cause).__name__}: "
        return (name + first_line(cause, "no message"))[:_LONGEST]
    text = str(error)
    if isinstance(error, OutOfMemoryError) or "memory monitor" in text or "running low on memory" in text:
        return "its node ran out of memory and Ray killed the worker"
    if isinstance(error, RayActorError):
        if "node" in text and ("died" in text or "dead" in text) and "its node" in text:
            return "its node died"
        return "its worker process died (killed, or crashed in native code)"
    return f"{type(error).__name__}: {first_line(text, 'no message')}"[:_LONGEST]

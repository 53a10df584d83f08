"""What Tune's loop calls: searcher, scheduler, stopper and callback, which pass everything to the session.

Tune's own OptunaSearch tells Optuna that trials which a scheduler stopped are COMPLETE, drops the report
at which they were stopped, leaves NaN trials RUNNING, and one exception in it ends the experiment; and
Tune's schedulers forget their rungs. So Optuna is asked through its own interface
(`study/search/optuna_study.py`), and prunes; Tune places, starts, watches and restarts the trials.

Tune pickles these objects into its own snapshots; they leave the session out, because a resumed
study is rebuilt from the ledger and never from those.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError
from ray.tune import Callback, Stopper
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from study.decide.session import NO_MORE, Session
from study.errors import first_line
from study.failures import Failure
from study.private import TUNE_KEYS, error_of

_LONGEST = 500  # characters of a reason
_UNPICKLED = ("session", "each_turn", "on_crash", "_ended")  # what leads to the study


class _Hook:
    """Passes calls to the session. An exception would end Tune's loop without a word to the user."""

    session: Session

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in _UNPICKLED}

    def _safely(self, call: Any, *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except Exception as error:
            self.session.error = error
            self.session.stop(f"{type(error).__name__}: {error}")
            return None


class SessionSearcher(_Hook, Searcher):
    """Asks for jobs."""

    def __init__(self, session: Session):
        super().__init__(metric="mAP", mode="max")
        self.session = session

    def suggest(self, trial_id: str) -> Any:
        """A job as a dictionary, None (ask again later) or Searcher.FINISHED."""
        job = self._safely(self.session.ask, trial_id)
        if job == NO_MORE:
            return Searcher.FINISHED
        return None if job is None else dataclasses.asdict(job)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing: the scheduler passes on every result, the last one included."""

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        if not error:
            self.session.left(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the state."""


class SessionScheduler(_Hook, FIFOScheduler):
    """Passes on results and crashes, and ends the trials that do not go on.

    Tune itself would try any trial again, for ever. on_crash: called when a trial has crashed.
    """

    def __init__(self, session: Session, on_crash: Callable[[Failure], None] = lambda failure: None):
        super().__init__()  # type: ignore[no-untyped-call]
        self.session, self.on_crash = session, on_crash
        self._ended: set[str] = set()  # ids of trials that have crashed and are not tried again

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Records the report; STOP when the trial has ended or the session is stopping."""
        row = {name: value for name, value in result.items() if name not in TUNE_KEYS and "/" not in name}
        if "waiting" in row:
            goes_on = self._safely(self.session.waits, trial.trial_id, row["waiting"])
        elif row.keys() & {"step", "failed", "diverged", "superseded"}:
            goes_on = self._safely(self.session.hear, trial.trial_id, row)
        else:
            goes_on = True  # Tune's own closing report
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """A trial has crashed: its next attempt has the job of then."""
        failure = failure_of_trial(trial)
        job = self._safely(self.session.crashed, trial.trial_id, failure)
        if job is None:
            self._ended.add(trial.trial_id)
        else:
            trial.set_config(dataclasses.asdict(job))  # type: ignore[no-untyped-call]
        self._safely(self.on_crash, failure)

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Takes trials that are not tried again out of Tune's queue, where every crash puts them."""
        if trial.trial_id in self._ended:
            tune_controller.stop_trial(trial)


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
    """Passes on starts, and does what else there is to do at each turn of the loop.

    each_turn: called with Tune's trials after every event, and a few times a second.
    """

    def __init__(self, session: Session, each_turn: Callable[[list[Trial]], None] = lambda trials: None):
        self.session, self.each_turn = session, each_turn

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        self._safely(self.each_turn, trials)

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._safely(self.session.started, trial.trial_id)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Only where Tune itself gives a trial up."""
        self._safely(self.session.failed, trial.trial_id, failure_of_trial(trial).reason)


def failure_of_trial(trial: Trial) -> Failure:
    """Why a trial of Tune's crashed, without Ray's wrapping."""
    error = error_of(trial)
    return Failure("trial", "unknown") if error is None else failure_in(error)


def failure_in(error: BaseException) -> Failure:
    """What an exception of Ray's tells: what happened to the worker, or what it raised.

    A worker whose node ran out of memory counts as its own fault: most of it was its own, as a rule.
    """
    if isinstance(error, RayTaskError):
        cause = error.cause
        if isinstance(cause, RayActorError | OutOfMemoryError):
            return failure_in(cause)
        told = first_line(cause, "no message")
        return Failure.heard(told) or Failure("trial", f"{type(cause).__name__}: {told}"[:_LONGEST])
    text = str(error)
    if isinstance(error, OutOfMemoryError) or "memory monitor" in text or "running low on memory" in text:
        return Failure("trial", "its node ran out of memory and Ray killed the worker")
    if isinstance(error, RayActorError):
        if "node" in text and ("died" in text or "dead" in text) and "its node" in text:
            return Failure("node", "its node died")
        return Failure("trial", "its worker process died (killed, or crashed in native code)")
    return Failure("trial", f"{type(error).__name__}: {first_line(text, 'no message')}"[:_LONGEST])

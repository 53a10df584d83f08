"""Optuna's study as a projection of the ledger.

The ledger is written first; whatever a crash kept from Optuna's storage is filled in here, so that
its history, the samplers that read it and optuna-dashboard see every trial in its true state:
complete, pruned or failed, with the whole curve. A trial whose work is interrupted stays RUNNING
until the study is resumed.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import distribution_to_json, json_to_distribution
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from study.ledger import TrialRecord

_STATES = {
    "running": TrialState.RUNNING,
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
_log = logging.getLogger("dcreid.study")


def journal(folder: Path) -> BaseStorage:
    """The file journal in a study folder. The open-file lock works on NFS and dies with its holder's link."""
    path = str(folder / "optuna.journal")
    return JournalStorage(JournalFileBackend(path, lock_obj=JournalFileOpenLock(path)))


def objective_curve(trial: TrialRecord, objective: str) -> dict[int, float]:
    """What Optuna maximises, by merge step: mAP, or for `best` the best mAP so far."""
    curve, best = trial.curve(), -1.0
    if objective == "last":
        return curve
    running = {}
    for step, value in curve.items():
        best = max(best, value)
        running[step] = best
    return running


class Projection:
    """The Optuna study of one ledger, and the handles of its running trials."""

    def __init__(
        self,
        name: str,
        storage: BaseStorage,
        sampler: optuna.samplers.BaseSampler,
        pruner: optuna.pruners.BasePruner,
        objective: str,
    ):
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.study = optuna.create_study(
            study_name=name,
            storage=storage,
            sampler=sampler,
            pruner=pruner,
            direction="maximize",
            load_if_exists=True,
        )
        self.objective = objective
        self._handles: dict[int, optuna.trial.Trial] = {}
        self._reported: dict[int, set[int]] = {}

    def sync(self, trials: list[TrialRecord]) -> None:
        """Brings the storage up to the ledger; trials that only Optuna knows are told as failed."""
        known = {int(t.user_attrs["trial"]): t for t in self.study.trials if "trial" in t.user_attrs}
        for trial in trials:
            frozen = known.get(trial.number)
            if frozen is None:
                self.study.add_trial(self._frozen(trial))
            elif not frozen.state.is_finished():
                self._attach(trial.number, frozen)
                self._fill_in(trial, frozen)
        numbers = {trial.number for trial in trials}
        for frozen in self.study.trials:
            number = frozen.user_attrs.get("trial")
            if number in numbers and number not in self._handles and not frozen.state.is_finished():
                self._attach(int(number), frozen)
            elif number not in numbers and not frozen.state.is_finished():
                self.study.tell(frozen.number, state=TrialState.FAIL)

    def ask(self, params: dict[str, Any] | None = None) -> optuna.trial.Trial:
        """A new trial; `params` fixes what it will suggest."""
        if params:
            self.study.enqueue_trial(params)
        return self.study.ask()

    def adopt(self, number: int, trial: optuna.trial.Trial) -> None:
        """Names the ledger's trial that an asked trial is."""
        trial.set_user_attr("trial", number)
        self._handles[number], self._reported[number] = trial, set()

    def discard(self, trial: optuna.trial.Trial) -> None:
        """Ends an asked trial that is not going to run."""
        self.study.tell(trial, state=TrialState.FAIL)

    def report(self, trial: TrialRecord, step: int) -> bool:
        """Passes a step on; returns whether the pruner would stop the trial here."""
        handle = self._handles.get(trial.number)
        curve = objective_curve(trial, self.objective)
        if handle is None or step not in curve:
            return False
        if step not in self._reported[trial.number]:
            self._reported[trial.number].add(step)
            handle.report(curve[step], step)
        return handle.should_prune()

    def tell(self, trial: TrialRecord) -> None:
        """Passes the end of a trial on."""
        handle = self._handles.pop(trial.number, None)
        if handle is None:
            return
        if trial.reason:
            handle.set_user_attr("reason", trial.reason)
        if trial.state == "failed":
            self.study.tell(handle, state=TrialState.FAIL)
        else:
            # A pruned trial's value is its last report, which Optuna takes itself.
            value = trial.value if trial.state == "complete" else None
            self.study.tell(handle, value, state=_STATES[trial.state])

    def _attach(self, number: int, frozen: FrozenTrial) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._handles[number] = optuna.trial.Trial(self.study, frozen._trial_id)
        self._reported[number] = set(frozen.intermediate_values)

    def _fill_in(self, trial: TrialRecord, frozen: FrozenTrial) -> None:
        handle = self._handles[trial.number]
        for step, value in objective_curve(trial, self.objective).items():
            if step not in frozen.intermediate_values:
                self._reported[trial.number].add(step)
                handle.report(value, step)
        if trial.state != "running":
            self.tell(trial)

    def _frozen(self, trial: TrialRecord) -> FrozenTrial:
        curve = objective_curve(trial, self.objective)
        value = trial.value
        if trial.state == "pruned" and curve:
            value = curve[max(curve)]
        return optuna.create_trial(
            state=_STATES[trial.state],
            value=value if trial.state in ("complete", "pruned") else None,
            params=trial.params,
            distributions={name: json_to_distribution(text) for name, text in trial.distributions.items()},
            user_attrs={"trial": trial.number} | ({"reason": trial.reason} if trial.reason else {}),
            intermediate_values=curve,
        )


def distributions_of(trial: optuna.trial.Trial) -> dict[str, str]:
    """The distributions of what a trial has drawn, as Optuna's JSON."""
    return {name: distribution_to_json(d) for name, d in trial.distributions.items()}


def make_pruner(name: str, grace: int) -> optuna.pruners.BasePruner:
    """asha (successive halving, thirds, from `grace` merge steps on), median, or none.

    Optuna's pruners read their rungs from the storage, so a resumed study prunes as if never stopped.
    """
    if name == "asha":
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=max(1, grace), reduction_factor=3)
    if name == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=grace)
    return optuna.pruners.NopPruner()

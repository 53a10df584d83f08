"""Optuna's study, made from the ledger and kept up to it.

Whatever a crash kept from Optuna's storage is filled in here, so that its history, the samplers that
read it and optuna-dashboard see every trial in its true state: complete, pruned or failed, with the
whole curve. A training that diverged is complete, with the worst value: samplers are to learn from it,
and they pass over what Optuna calls failed. Its attribute `state` says diverged. Where the two cannot be
reconciled the study is written again. A trial whose work is interrupted stays RUNNING until the study is
resumed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from study.plan import OBJECTIVES
from study.private import StoredTrials
from study.record.ledger import TrialRecord

_STATES = {
    "running": TrialState.RUNNING,
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "diverged": TrialState.COMPLETE,  # with the value of a network that has learned nothing
    "failed": TrialState.FAIL,
}
_log = logging.getLogger("dcreid.study")


def journal(folder: Path) -> BaseStorage:
    """The file journal in a study folder, for its one writer; a journal cut by a crash is set aside."""
    path = folder / "optuna.journal"
    lock = JournalFileOpenLock(str(path))
    for left in folder.glob("optuna.journal.lock*"):  # the study's own lock is held: nobody else writes
        left.unlink(missing_ok=True)
    _drop_cut_line(path)
    try:
        return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
    except Exception as error:  # whatever the storage stumbles over, the ledger has all of it
        path.replace(path.with_suffix(".damaged"))
        _log.warning("%s was damaged (%s) and is made again from the ledger", path, error)
        return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))


def _drop_cut_line(path: Path) -> None:
    """Optuna would write on behind half a line, and could read neither."""
    if path.is_file():
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)


class OptunaStudy:
    """The Optuna study of one ledger.

    make_sampler gives the sampler of one draw, by its number: a draw depends on that and on the
    history alone, not on how often the study was stopped before it.
    distributions: of the space's parameters. Older trials have these too, whatever they were drawn from:
    samplers that model one vector pass over a parameter whose range has changed (as that of
    `<field>.or_zero` has, whose values mean what they meant).
    """

    def __init__(
        self,
        name: str,
        storage: BaseStorage,
        make_sampler: Callable[[int], BaseSampler],
        pruner: optuna.pruners.BasePruner,
        objective: str,
        distributions: Mapping[str, BaseDistribution],
    ):
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.name, self.storage, self.make_sampler = name, storage, make_sampler
        self.pruner, self.objective, self.distributions = pruner, objective, distributions
        self._numbers: dict[int, int] = {}  # of running trials: the ledger's to Optuna's
        self._stored = StoredTrials(storage, name)
        self._open()

    def _open(self) -> None:
        self.study = optuna.create_study(
            study_name=self.name,
            storage=self.storage,
            sampler=self.make_sampler(0),
            pruner=self.pruner,
            direction="maximize",
            load_if_exists=True,
        )

    # --- the ledger's trials

    def sync(self, trials: list[TrialRecord]) -> None:
        """Brings the storage up to the ledger; trials that only Optuna knows become failed ones."""
        if not self._can_be_mended(trials):
            _log.warning("Optuna's storage does not fit the ledger and is made again from it")
            optuna.delete_study(study_name=self.name, storage=self.storage)
            self._open()
        self._numbers = {}
        known = {t.user_attrs["trial"]: t for t in self.study.trials if "trial" in t.user_attrs}
        for trial in trials:
            frozen = known.get(trial.number)
            if frozen is None:
                self.add(trial)
            elif not frozen.state.is_finished():
                self._numbers[trial.number] = frozen.number
                self._fill_in(trial, frozen.number)
        for frozen in self.study.trials:
            if not frozen.state.is_finished() and frozen.number not in self._numbers.values():
                self.study.tell(frozen.number, state=TrialState.FAIL)

    def add(self, trial: TrialRecord) -> None:
        """A trial of the ledger that Optuna does not know yet."""
        number = len(self.study.get_trials(deepcopy=False))
        self.study.add_trial(self._frozen(trial))
        if trial.state == "running":
            self._numbers[trial.number] = number

    def report(self, trial: TrialRecord, step: int, value: float) -> bool:
        """Passes on a step's value of the objective's metric; whether the pruner would stop the trial."""
        number = self._numbers.get(trial.number)
        if number is None:
            return False
        if self.objective != "last":
            value = max([value, *trial.curve(OBJECTIVES[self.objective]).values()])
        trial_id = self._stored.id_of(number)
        self._stored.set_value(trial_id, step, value)
        return self.pruner.prune(self.study, self._stored.get(trial_id))

    def tell(self, trial: TrialRecord) -> None:
        """Passes the end of a trial on."""
        number = self._numbers.pop(trial.number, None)
        if number is None:
            return
        for name, text in self._attributes(trial).items():
            self._stored.set_attribute(self._stored.id_of(number), name, text)
        state, value = self._ended(trial)
        if trial.state == "diverged":  # the step that it did not reach, for pruners
            self._fill_in_curve(trial, number)
        # A pruned trial's value is its last report, which Optuna takes itself.
        self.study.tell(number, value if state == TrialState.COMPLETE else None, state=state)

    # --- draws

    def ask(self, draw: int, at_random: bool = False) -> optuna.trial.Trial:
        """A new trial, to be followed by `adopt` or `discard`; at_random: whatever the sampler would draw."""
        self.study.sampler = RandomSampler(seed=draw) if at_random else self.make_sampler(draw)
        return self.study.ask()

    def adopt(self, number: int, trial: optuna.trial.Trial) -> None:
        """Names the ledger's trial that an asked trial is."""
        trial.set_user_attr("trial", number)
        self._numbers[number] = trial.number

    def catch_up(self, trial: TrialRecord) -> None:
        """Passes on the curve and the end of a trial whose results are known beforehand."""
        self._fill_in(trial, self._numbers[trial.number])

    def discard(self, trial: optuna.trial.Trial) -> None:
        """Ends an asked trial that is not going to run."""
        self.study.tell(trial, state=TrialState.FAIL)

    # --- the two compared

    def _can_be_mended(self, trials: list[TrialRecord]) -> bool:
        """Whether nothing that Optuna holds as finished says something else than the ledger."""
        ledger = {trial.number: trial for trial in trials}
        seen = set()
        for frozen in self.study.trials:
            number = frozen.user_attrs.get("trial")
            if number is None:
                continue
            if number not in ledger or number in seen:
                return False
            seen.add(number)
            trial, curve = ledger[number], ledger[number].objective_curve(self.objective)
            if frozen.params != trial.params or self._drawn_from_others(frozen):
                return False
            if frozen.state.is_finished():
                if self._ended(trial)[0] != frozen.state or frozen.intermediate_values != curve:
                    return False
            elif any(curve.get(step, value) != value for step, value in frozen.intermediate_values.items()):
                return False
        return True

    def _fill_in_curve(self, trial: TrialRecord, number: int) -> None:
        trial_id = self._stored.id_of(number)
        for step, value in trial.objective_curve(self.objective).items():
            self._stored.set_value(trial_id, step, value)

    def _fill_in(self, trial: TrialRecord, number: int) -> None:
        self._fill_in_curve(trial, number)
        if trial.state != "running":
            self.tell(trial)

    def _ended(self, trial: TrialRecord) -> tuple[TrialState, float | None]:
        """Optuna's state of a trial, and its value where that state has one."""
        state, value = _STATES[trial.state], trial.objective_value(self.objective)
        if state == TrialState.COMPLETE and value is None:  # nothing was measured
            return TrialState.FAIL, None
        return state, value if state in (TrialState.COMPLETE, TrialState.PRUNED) else None

    def _attributes(self, trial: TrialRecord) -> dict[str, str]:
        attributes = {"reason": trial.reason} if trial.reason else {}
        return attributes | ({"state": "diverged"} if trial.state == "diverged" else {})

    def _drawn_from_others(self, frozen: FrozenTrial) -> bool:
        known = self.distributions
        return any(known.get(name, stored) != stored for name, stored in frozen.distributions.items())

    def _frozen(self, trial: TrialRecord) -> FrozenTrial:
        state, value = self._ended(trial)
        return optuna.create_trial(
            state=state,
            value=value,
            params=trial.params,
            distributions={
                name: self.distributions.get(name) or json_to_distribution(text)
                for name, text in trial.distributions.items()
            },
            user_attrs={"trial": trial.number} | self._attributes(trial),
            intermediate_values=trial.objective_curve(self.objective),
        )


def distributions_of(trial: Any) -> dict[str, str]:
    """The distributions of what a trial has drawn, as Optuna's JSON."""
    return {name: distribution_to_json(d) for name, d in trial.distributions.items()}

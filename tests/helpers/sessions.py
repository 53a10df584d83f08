"""What tests of sessions share: what was recorded, whether Optuna has it, and trials that crash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from study.decide.session import Session
from study.record.ledger import Ledger

STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


def recorded(session: Session) -> dict[int, tuple[Any, ...]]:
    """What the ledger has of each trial, times left out."""
    trials = Ledger(session.ledger.path, read_only=True).trials.values()
    return {t.number: (t.config, t.origin, t.state, t.reason, t.value, t.steps) for t in trials}


def in_optuna(session: Session) -> dict[int, optuna.trial.FrozenTrial]:
    """Optuna's trials by the ledger's number."""
    assert session.optuna is not None
    return {t.user_attrs["trial"]: t for t in session.optuna.study.trials if "trial" in t.user_attrs}


def check_optuna(session: Session) -> None:
    """Optuna holds every searched trial in its true state, with its whole curve, and nothing RUNNING."""
    found = in_optuna(session)
    assert session.optuna is not None
    assert all(t.state.is_finished() for t in session.optuna.study.trials)
    searched = [t for t in session.ledger.trials.values() if session.queue.is_searched(t)]
    assert sorted(found) == [t.number for t in searched]
    for trial in searched:
        frozen = found[trial.number]
        assert STATES[frozen.state] == trial.state and frozen.params == trial.params
        assert frozen.intermediate_values == pytest.approx(trial.curve())
        if trial.state in ("complete", "pruned"):
            assert frozen.value == pytest.approx(trial.curve()[trial.last_step])


def crashing(fake_tune: Any, when: Callable[[dict[str, Any]], bool], crash: type[Exception]) -> Any:
    class Crashing(fake_tune):
        def rows(self, job):
            for row in super().rows(job):
                if row["step"] == 2 and when(job):
                    raise crash("its worker process died")
                yield row

    return Crashing


def crash_of(fake_tune: Any) -> type[Exception]:
    import sys

    found: type[Exception] = sys.modules[fake_tune.__module__].Crash
    return found

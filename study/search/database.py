"""Optuna's study in a database, where other machines can look at it (`--optuna-storage`).

The search itself is made in memory, from what the database held when the session began and what the
ledger recorded since. The database is only written: one that is slow, down or lost in the middle costs
the study nothing, and is filled in when it is back, or by the next session.
"""

from __future__ import annotations

import logging
import os
import re
import time
from typing import Any
from urllib.parse import quote

import optuna
import sqlalchemy
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.trial import FrozenTrial, Trial
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from study.errors import StorageError, first_line
from study.private import StoredTrials
from study.record.ledger import TrialRecord
from study.search.optuna_study import OptunaStudy

_OPTION = "--optuna-storage"
_SERVERS = ("postgresql", "mysql", "mariadb")
_CONNECT = 10  # seconds to wait for a server
_PAUSE = 60.0  # seconds before a database that failed is tried again
_OWNER = "dcreid.ledger"
_log = logging.getLogger("dcreid.study")


def check_database(url: str) -> None:
    """Connects once and leaves no trace. Raises StorageError: no such database, driver, server, user, …"""
    engine = _engine(url)
    try:
        engine.connect().close()
    except SQLAlchemyError as error:
        raise StorageError(f"{_OPTION} {url}: {_first_line(error)}") from None
    finally:
        engine.dispose()


def open_database(url: str) -> RDBStorage:
    """Optuna's storage there, its tables made where they are missing. Raises StorageError."""
    full = _expanded(url)
    try:
        return RDBStorage(full, engine_kwargs=_engine_options(full))
    except (SQLAlchemyError, RuntimeError, ImportError) as error:
        raise StorageError(f"{_OPTION} {url}: {_first_line(error)}") from None


def _engine(url: str) -> sqlalchemy.Engine:
    full = _expanded(url)
    try:
        return sqlalchemy.create_engine(full, **_engine_options(full))
    except NoSuchModuleError as error:
        raise StorageError(
            f"{_OPTION} {url}: no such kind of database ({error}); postgresql://…, mysql+pymysql://…"
        ) from None
    except ArgumentError:
        raise StorageError(
            f"{_OPTION} {url}: not the URL of a database, such as postgresql://user@host/database"
        ) from None
    except ModuleNotFoundError as error:
        extra = " (or this package with its extra: '.[postgres]')" if error.name == "psycopg" else ""
        raise StorageError(
            f"{_OPTION} {url}: needs the Python package {error.name}: python -m pip install "
            f"{error.name}{'[binary]' if extra else ''}{extra}"
        ) from None


def _engine_options(url: str) -> dict[str, Any]:
    """A connection that was lost is made again, and no connection is waited for long."""
    server = url.startswith(_SERVERS)
    return {"pool_pre_ping": True} | ({"connect_args": {"connect_timeout": _CONNECT}} if server else {})


def _expanded(url: str) -> str:
    """The URL with `$NAME` taken from the environment, so that passwords stand in no file of the study."""
    if re.match(r"[^/]*://[^/@]*:[^/@$]+@", url):
        raise StorageError(
            f"{_OPTION}: the password would stand in study.json; write $NAME for it (taken from the "
            "environment when connecting), or leave it out and use PGPASSWORD or ~/.pgpass"
        )

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if found is None:
            raise StorageError(f"{_OPTION} {url}: ${match[1]} is not set in the environment")
        return quote(found, safe="")

    return re.sub(r"\$(\w+)", value, url)


def _first_line(error: BaseException) -> str:
    """What the driver says, without SQLAlchemy's advice."""
    cause: BaseException | None = error
    while cause is not None and not hasattr(cause, "orig"):
        cause = cause.__cause__
    cause = getattr(cause, "orig", None) or error
    return first_line(cause, type(cause).__name__)


class OptunaStudyInDatabase(OptunaStudy):
    """An Optuna study in memory that passes everything on to a database, as far as it can.

    owner: names the ledger; a study of the same name that another ledger has written is refused.
    Raises StorageError.
    """

    def __init__(self, database: RDBStorage, owner: str, name: str, *rest: Any):
        super().__init__(name, InMemoryStorage(), *rest)
        self.kept = _Copy(database, name, owner)
        self._again: float | None = None  # when a database that failed is tried next
        for trial in self.kept.stored.all().values():  # samplers such as CMA-ES keep their state in them
            self.study.add_trial(trial)

    def sync(self, trials: list[TrialRecord]) -> None:
        """Brings memory and database up to the ledger."""
        before = self.study
        super().sync(trials)
        if self.study is not before:  # what the database holds does not fit the ledger
            self.kept.open(anew=True)
        self.kept.bring_up(self.study.get_trials(deepcopy=False))

    def add(self, trial: TrialRecord) -> None:
        super().add(trial)
        self._pass_on(len(self.study.get_trials(deepcopy=False)) - 1)

    def report(self, trial: TrialRecord, step: int, value: float) -> bool:
        prune = super().report(trial, step, value)
        self._pass_on(self._numbers.get(trial.number))
        return prune

    def tell(self, trial: TrialRecord) -> None:
        number = self._numbers.get(trial.number)
        super().tell(trial)
        self._pass_on(number)

    def adopt(self, number: int, trial: Trial) -> None:
        super().adopt(number, trial)
        self._pass_on(trial.number)

    def _pass_on(self, number: int | None) -> None:
        """The trial that has this number in memory; all of them after the database was away."""
        if number is None or (self._again is not None and time.monotonic() < self._again):
            return
        try:
            if self._again is None:
                self.kept.bring_up([self.study.get_trials(deepcopy=False)[number]])
            else:
                self.kept.open()
                self.kept.bring_up(self.study.get_trials(deepcopy=False))
        except Exception as error:  # drivers have exceptions of their own
            if self._again is None:
                _log.warning(
                    "Optuna's database: %s; the study goes on, and fills it in when it is back",
                    _first_line(error),
                )
            self._again = time.monotonic() + _PAUSE
            return
        if self._again is not None:
            _log.warning("Optuna's database is back and has been filled in")
        self._again = None


class _Copy:
    """The study in the database, by the ledger's numbers of its trials."""

    def __init__(self, storage: RDBStorage, name: str, owner: str):
        self.storage, self.name, self.owner = storage, name, owner
        self.stored = StoredTrials(storage, name)
        self.open()

    def open(self, anew: bool = False) -> None:
        """Reads what is there; `anew` empties it first. Raises StorageError where it is another's."""
        if anew:
            optuna.delete_study(study_name=self.name, storage=self.storage)
        study = optuna.create_study(
            study_name=self.name,
            storage=self.storage,
            direction="maximize",
            sampler=optuna.samplers.RandomSampler(),
            load_if_exists=True,
        )
        found, trials = study.user_attrs.get(_OWNER), self.stored.all()
        if found is None and not trials:
            study.set_user_attr(_OWNER, self.owner)
        elif found != self.owner:
            raise StorageError(
                f"{_OPTION}: that database holds a study {self.name} of another study folder; "
                "use another --name, or another database"
            )
        self._ids = {t.user_attrs["trial"]: key for key, t in trials.items() if "trial" in t.user_attrs}
        numbered = {number: trials[key] for number, key in self._ids.items()}
        self._written = {n: len(trial.intermediate_values) for n, trial in numbered.items()}
        self._finished = {n for n, trial in numbered.items() if trial.state.is_finished()}

    def bring_up(self, trials: list[FrozenTrial]) -> None:
        """Writes what is missing of these trials. Raises whatever the database's driver raises."""
        for trial in trials:
            number = trial.user_attrs.get("trial")  # None: a draw that was not used
            if number is None or number in self._finished:
                continue
            if number not in self._ids:
                self._ids[number] = self.stored.create(trial)
                self._written[number] = len(trial.intermediate_values)
            elif trial.state.is_finished() or self._written[number] < len(trial.intermediate_values):
                self.stored.bring_up(self._ids[number], trial)
                self._written[number] = len(trial.intermediate_values)
            if trial.state.is_finished():
                self._finished.add(number)

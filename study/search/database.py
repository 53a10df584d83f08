"""Optuna's study in a database, where other machines can look at it (`--optuna-storage`).

The search itself is made in memory, from what the database held when the session began and what the
ledger recorded since. The database is only written: one that is slow, lost in the middle, or down when a
session begins costs the study nothing, and is filled in when it is back, or by the next session. The
one thing that the ledger does not have is the state of CMA-ES, which Optuna keeps in its trials: a session
that begins without the database begins that anew.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import time
from typing import Any
from urllib.parse import quote

import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.trial import FrozenTrial, Trial
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError, SQLAlchemyError

from study.errors import StorageError, first_line
from study.private import StoredTrials
from study.record.ledger import TrialRecord
from study.search.optuna_study import OptunaStudy

_OPTION = "--optuna-storage"
_SERVERS = ("postgresql", "mysql", "mariadb")
_PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}
# What a server says that has just been started, is being stopped, or has too much to do.
_PASSING = re.compile("starting up|shutting down|not yet accepting|too many|connection slots|time(d )?out")
_CONNECT = 10  # seconds to wait for a server
_PAUSE = 60.0  # seconds before a database that failed is tried again
_LOST = (SQLAlchemyError, StorageInternalError)  # while a study is being read or written
_OWNER = "dcreid.ledger"
_log = logging.getLogger("dcreid.study")


class DatabaseAwayError(Exception):
    """No answer from a database, for now; the message says why."""


def check_database(url: str) -> None:
    """Connects once and leaves no trace.

    Raises StorageError (no such database, driver, user, …), DatabaseAwayError.
    """
    engine = _engine(url)
    try:
        engine.connect().close()
    except SQLAlchemyError as error:
        raise _judged(error, url) from None
    finally:
        engine.dispose()


def open_database(url: str) -> RDBStorage:
    """Optuna's storage there, its tables made where they are missing.

    Raises StorageError, DatabaseAwayError.
    """
    full = _expanded(url)
    try:
        return RDBStorage(full, engine_kwargs=_engine_options(full))
    except (SQLAlchemyError, RuntimeError, ImportError) as error:
        raise _judged(error, url) from None


def _judged(error: Exception, url: str) -> StorageError | DatabaseAwayError:
    """What an error of a connection means: that nobody answers there now, or that nobody ever will."""
    said = f"{_OPTION} {url}: {_first_line(error)}"
    return DatabaseAwayError(said) if _nobody_answers(error, url) else StorageError(said)


def _nobody_answers(error: Exception, url: str) -> bool:
    place = make_url(_expanded(url))
    if not isinstance(error, OperationalError) or place.host is None:
        return False
    if _PASSING.search(str(error)):
        return True
    try:
        socket.create_connection((place.host, place.port or _PORTS[place.get_backend_name()]), 3.0).close()
    except OSError:
        return True
    return False


def _engine(url: str) -> sqlalchemy.Engine:
    full = _expanded(url)
    try:
        if (sqlalchemy.make_url(full).port or 0) > 65535:
            raise ValueError("no such port")
        return sqlalchemy.create_engine(full, **_engine_options(full))
    except NoSuchModuleError as error:
        raise StorageError(
            f"{_OPTION} {url}: no such kind of database ({error}); postgresql://…, mysql+pymysql://…"
        ) from None
    except (ArgumentError, ValueError):  # ValueError: a port that is no number
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

    def __init__(self, url: str, owner: str, name: str, *rest: Any):
        super().__init__(name, InMemoryStorage(), *rest)
        self._url, self._owner = url, owner
        self._copy: _Copy | None = None  # None until the database has answered
        self._again: float | None = None  # when a database that failed is tried next
        try:
            self._copy = self._open_copy()
            stored = self._copy.stored.all()
        except (DatabaseAwayError, *_LOST) as error:
            self._put_off(error)
            return
        for trial in stored.values():  # samplers such as CMA-ES keep their state in them
            self.study.add_trial(trial)

    def _open_copy(self) -> _Copy:
        return _Copy(open_database(self._url), self.name, self._owner)

    def sync(self, trials: list[TrialRecord]) -> None:
        """Brings memory and database up to the ledger."""
        before = self.study
        super().sync(trials)
        if self._again is not None or self._copy is None:
            return
        try:
            if self.study is not before:  # what the database holds does not fit the ledger
                self._copy.open(anew=True)
            self._copy.bring_up(self.study.get_trials(deepcopy=False))
        except _LOST as error:
            self._put_off(error)

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
            if self._copy is not None and self._again is None:
                self._copy.bring_up([self.study.get_trials(deepcopy=False)[number]])
            else:
                if self._copy is None:
                    self._copy = self._open_copy()
                else:
                    self._copy.open()
                self._copy.bring_up(self.study.get_trials(deepcopy=False))
        except Exception as error:  # drivers have exceptions of their own
            self._put_off(error)
            return
        if self._again is not None:
            _log.warning("Optuna's database is back and has been filled in")
        self._again = None

    def _put_off(self, error: Exception) -> None:
        if self._again is None:
            said = _first_line(error)
            _log.warning("Optuna's database: %s; the study goes on, and fills it in when it is back", said)
        self._again = time.monotonic() + _PAUSE


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

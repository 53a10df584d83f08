"""`python -m study dashboard`: optuna-dashboard on a study, beside its driver or after it.

optuna-dashboard writes to the storage that it is given (notes, deletions), and a second writer can
lock or spoil a running study's. It gets one in memory, projected from the ledger and brought up to it
every few seconds: nothing that is clicked reaches the study, whatever storage the study itself uses,
and a plan of given runs, which has no Optuna study, is shown as well.
"""

from __future__ import annotations

import dataclasses
import logging
import sys
import threading
import warnings
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from optuna.exceptions import ExperimentalWarning
from optuna.storages import InMemoryStorage

from dcreid.commandline import say
from dcreid.config import Config
from study.errors import StudyError
from study.plan import OBJECTIVES, StudyPlan
from study.record.folder import read_plan
from study.record.ledger import Ledger, TrialRecord
from study.search.optuna_study import OptunaStudy

_REFRESH = 5.0  # seconds
_log = logging.getLogger("dcreid.study")


class Mirror:
    """An Optuna study in memory that follows the ledger of a study folder. Writes nothing there."""

    def __init__(self, name: str, studies: str):
        self.plan = read_plan(name, studies, "STUDY")
        self.ledger = Ledger(self.plan.folder / "ledger.jsonl", read_only=True)
        self.storage = InMemoryStorage()
        self.refresh()

    def refresh(self) -> None:
        """Brings the study up to the ledger."""
        self.plan = read_plan(str(self.plan.folder), self.plan.studies, "STUDY")
        self.ledger.refresh()
        trials = list(self.ledger.trials.values())
        # On other seeds beside a search nothing was drawn.
        drawn = [trial for trial in trials if trial.origin == "search" or trial.params]
        shown = drawn if self.plan.space is not None else _with_parameters(self.plan, trials)
        # Made anew every time: somebody may have deleted it in the browser.
        sampler, pruner = optuna.samplers.RandomSampler(seed=0), optuna.pruners.NopPruner()
        study = OptunaStudy(self.plan.name, self.storage, lambda _: sampler, pruner, self.plan.objective, {})
        study.sync(shown)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.study.set_metric_names([OBJECTIVES[self.plan.objective]])

    def follow(self, stop: threading.Event) -> None:
        """Refreshes until `stop`."""
        while not stop.wait(_REFRESH):
            try:
                self.refresh()
            except Exception as error:  # a browser that writes between two of our reads; next time, then
                _log.warning("%s: %s", type(error).__name__, error)


def _with_parameters(plan: StudyPlan, trials: list[TrialRecord]) -> list[TrialRecord]:
    """Runs of a plan as if they had been drawn: the fields in which they differ are the parameters."""
    flat = {trial.number: Config.from_dict(trial.config).flat() for trial in trials}
    runs = [item.config.flat() for _, item in plan.fixed_items()] + list(flat.values())
    values = {name: list({repr(run[name]): run[name] for run in runs}.values()) for name in runs[0]}
    varied = {name: _distribution(of) for name, of in values.items() if len(of) > 1}
    distributions = {name: distribution_to_json(of) for name, of in varied.items()}
    return [
        dataclasses.replace(
            trial, params={name: flat[trial.number][name] for name in varied}, distributions=distributions
        )
        for trial in trials
    ]


def _distribution(values: list[Any]) -> BaseDistribution:
    """What a field may be, as wide as the values it has."""
    if all(type(value) is float for value in values):
        return FloatDistribution(min(values), max(values))
    if all(type(value) is int for value in values):
        return IntDistribution(min(values), max(values))
    return CategoricalDistribution(values)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: a line per request would only be noise."""


def serve(name: str, studies: str, host: str, port: int) -> None:
    """Serves until Ctrl-C. Raises StudyError: no such study, no optuna-dashboard, or the port is taken."""
    try:
        import optuna_dashboard
    except ImportError:
        raise StudyError(
            "optuna-dashboard is not installed: python -m pip install 'optuna-dashboard>=0.21' "
            "(or this package with its extra: pip install -e '.[dashboard]')"
        ) from None
    mirror = Mirror(name, studies)
    try:
        server = make_server(host, port, optuna_dashboard.wsgi(mirror.storage), _Server, _Handler)
    except OSError as error:
        raise StudyError(f"--host {host} --port {port}: {error.strerror}; choose another") from None
    stop = threading.Event()
    thread = threading.Thread(target=mirror.follow, args=(stop,), daemon=True)
    thread.start()
    address = f"http://{host}:{server.server_port}/dashboard/"
    say(f"{address} shows {mirror.plan.folder}; Ctrl-C ends it")
    sys.stdout.flush()
    try:
        server.serve_forever()
    finally:
        stop.set()
        server.server_close()

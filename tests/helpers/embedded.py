"""The embedded study in small, without Ray: real trials, Tune's hooks, and everything made from the ledger.

A search whose trials share stages and are halved, cut off in the middle and gone on with, and confirmed on
a fresh seed; Table 1 on two seeds, by `exact` merges of squared distances behind a head; summaries, results
and tables of both; and the merge without a matrix. About three seconds.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher
from rich.console import Console

from analysis.tables import main as tables
from dcreid.clustering.blocked import blocked_joins
from dcreid.data import load_dataset
from study.command.parser import parser
from study.command.resolve import resolve
from study.decide.session import Session
from study.job import Job
from study.on_ray.hooks import SessionCallback, SessionScheduler, SessionSearcher, SessionStopper
from study.record.folder import describe, write_description
from study.record.ledger import Ledger
from study.record.results import write_results
from study.search.build import open_optuna_study
from study.show.summary import summary
from study.worker.rows import trial_rows

_SMALL = (
    *("--synthetic-train-identities", "4", "--synthetic-test-identities", "3", "--synthetic-frames", "3"),
    *("--synthetic-cameras", "2"),
    *("--height", "32", "--width", "16", "--frames", "2", "--batch-size", "6", "--merge-rate", "0.25"),
    *("--backbone", "shufflenet_v2_x0_5", "--first-epochs", "1", "--later-epochs", "1"),
)


def study(folder: Path) -> None:
    """Runs all of it below `folder`. Raises whatever breaks."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True)
    search = ("--samples", "3", "--temperature", "0.1", "--alpha", "0.5", "--alpha-schedule", "linear")
    _session(folder, "search", *search, "--grace", "1", reports=6)
    _session(folder, "search", *search, "--grace", "1", "--confirm", "1", "--seeds", "2")
    exact = ("--merge-method", "exact", "--distance", "squared", "--head", "embedding", "--max-steps", "1")
    _session(folder, "table1", "--plan", "table1", "--seeds", "2", *exact)
    for name in ("search", "table1"):
        if tables([str(folder / name)]) != 0:
            raise RuntimeError(f"no tables of {name}")
    for squared in (False, True):
        blocked_joins(torch.rand(30, 4), torch.arange(30) // 2, 3, 0.06, 0.003, "samples", squared=squared)


def _session(folder: Path, name: str, *options: str, reports: int | None = None) -> None:
    """A session of the driver, one trial at a time; `reports`: after so many it stops as by a signal."""
    given = [*_SMALL, "--studies", str(folder), "--name", name, "--cache", str(folder / "cache"), *options]
    plan = resolve(parser().parse_args(given))
    data = load_dataset(plan.config.data, None)
    plan.folder.mkdir(exist_ok=True)
    write_description(plan.folder, describe(plan, data, "python study/run.py"))
    ledger = Ledger(plan.folder / "ledger.jsonl")
    ledger.append("session", command="python study/run.py", pid=1, forced=False)
    session = Session(plan, data, ledger, open_optuna_study(plan, len(data.train), ledger))
    session.queue.take_over()
    _play(session, reports)
    ledger.append("session_end", why=session.stopping, complete=session.queue.complete)
    write_results(plan.folder, ledger, plan.objective)
    ledger.close()
    summary(session, Console(quiet=True))


def _play(session: Session, reports: int | None) -> None:
    """What Tune does with its hooks."""
    searcher, scheduler = SessionSearcher(session), SessionScheduler(session)
    callback, stopper = SessionCallback(session), SessionStopper(session)
    number = output = 0
    while not stopper.stop_all():
        number += 1
        trial: Any = SimpleNamespace(trial_id=f"tune{number}")
        job = searcher.suggest(trial.trial_id)
        if job is None or job == Searcher.FINISHED:
            break
        callback.on_trial_start(0, [], trial)
        for row in trial_rows(Job(**job)):
            output += 1
            if output == reports:
                session.stop("signal SIGINT")
            if scheduler.on_trial_result(None, trial, row) == TrialScheduler.STOP:
                break
        searcher.on_trial_complete(trial.trial_id)
    if session.error is not None:
        raise session.error
    for record in session.ledger.trials.values():
        if record.state == "failed":
            raise RuntimeError(f"trial {record.number}: {record.reason}")

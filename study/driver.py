"""One session from start to end: checks all that can be checked, starts Ray, and hands Tune the hooks."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from rich.console import Console

from dcreid.algorithm import joins_per_step, merge_steps
from dcreid.backbone import build_backbone
from dcreid.data import load_dataset
from dcreid.data.tracklets import DataError, TrackletDataset
from search_spaces.samplers import adapt_space, make_sampler
from study.console import Board, summary
from study.estimate import print_plan
from study.folder import (
    StudyError,
    check_same,
    describe,
    locked,
    read_plan,
    write_description,
    write_results,
)
from study.ledger import Ledger
from study.options import command_line, overrides, resolve
from study.plan import StudyPlan
from study.projection import Projection, journal, make_pruner
from study.searcher import SessionCallback, SessionScheduler, SessionSearcher
from study.session import Session
from study.storage import Storage
from study.trainable import run_trial

# Before Ray starts: its own console output, usage reports and colourful advice are not for our user.
_QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_PLACEMENT_GROUP_PREFIX": "dcreid",
}
_log = logging.getLogger("dcreid.study")


@dataclass(frozen=True)
class Prepared:
    """Options resolved and data read: nothing of it has touched the study folder."""

    plan: StudyPlan
    data: TrackletDataset
    command: str


@dataclass(frozen=True)
class Outcome:
    """How a session ended."""

    complete: bool
    interrupted: bool


def prepare(given: argparse.Namespace, argv: Sequence[str]) -> Prepared:
    """Resolves the options and checks data, network and storage before anything is started."""
    if given.resume is not None:
        plan = overrides(read_plan(given.resume, given.studies), given, argv)
    else:
        plan = resolve(given)
    config = plan.config
    data = load_dataset(config.data, None if plan.root is None else Path(plan.root))
    if len(data.train) <= joins_per_step(len(data.train), config.merge.merge_rate):
        raise DataError(f"{plan.root}: {len(data.train)} training tracklets; there is nothing to cluster")
    build_backbone(
        config.model.backbone,
        config.model.weights,
        frozen_stages=config.model.frozen_stages,
        height=config.data.height,
        width=config.data.width,
    )
    plan.fixed_items()  # refuses plans that do not fit the base
    if plan.storage is not None:
        Storage(plan.storage)
    return Prepared(plan, data, command_line(argv))


def dry_run(prepared: Prepared, console: Console) -> None:
    """Prints what would run and what it would cost; starts no Ray and writes nothing."""
    print_plan(prepared.plan, prepared.data, console)


def drive(prepared: Prepared, console: Console) -> Outcome:
    """Runs the session. Raises StudyError where the folder holds another study or another driver."""
    plan, data = prepared.plan, prepared.data
    with locked(plan.folder):
        for note in check_same(plan.folder, plan, data):
            console.print(note, style="yellow")
        write_description(plan.folder, describe(plan, data, prepared.command))
        ledger = Ledger(plan.folder / "ledger.jsonl")
        ledger.append("session", command=prepared.command, pid=os.getpid())
        session = Session(plan, data, ledger, _projection(plan, data, ledger))
        _print_start(session, prepared, console)
        try:
            if session.outlook_open():
                _run(session, console)
        finally:
            ledger.append("session_end", why=session.stopping)
            write_results(plan.folder, ledger, plan.objective)
            ledger.close()
        summary(session, console, prepared.command, plan.folder)
        if session.error is not None:
            raise StudyError(f"the session was stopped by {type(session.error).__name__}: {session.error}")
    return Outcome(session.complete, session.stopping is not None and session.stopping.startswith("signal"))


def _projection(plan: StudyPlan, data: TrackletDataset, ledger: Ledger) -> Projection | None:
    space = plan.search_space
    if space is None:
        return None
    adapted = adapt_space(space, plan.sampler)
    drawn = sum(1 for trial in ledger.trials.values() if trial.origin == "search")
    # Grid points are given, not drawn.
    sampler = make_sampler(
        "random" if plan.sampler == "grid" else plan.sampler, adapted, plan.config.seed, drawn
    )
    grace = plan.grace or max(1, merge_steps(len(data.train), plan.config.merge) // 3)
    pruner = make_pruner(plan.pruner, grace)
    return Projection(plan.name, journal(plan.folder), sampler, pruner, plan.objective)


def _print_start(session: Session, prepared: Prepared, console: Console) -> None:
    data = prepared.data
    test = "no labelled test split" if data.test is None else f"{len(data.query):,} queries, {data.protocol}"
    console.print(f"study {prepared.plan.name} in {prepared.plan.folder}", soft_wrap=True)
    console.print(f"data: {data.name}, {len(data.train):,} training tracklets, {test}", soft_wrap=True)
    for problem in data.problems:
        console.print(f"data: {problem}", style="yellow", soft_wrap=True)
    console.print(session.outlook())


def _run(session: Session, console: Console) -> None:
    plan = session.plan
    started_here = not ray.is_initialized()
    os.environ.update({name: value for name, value in _QUIET.items() if name not in os.environ})
    for name in ("ray", "ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        _connect(plan)
        gpus = _gpus_per_trial(plan)
        session.gpus_per_trial = gpus
        with _signals(session), Board(session, console) as board:
            _tuner(session, board, gpus).fit()
    finally:
        if started_here:
            ray.shutdown()


def _connect(plan: StudyPlan) -> None:
    if ray.is_initialized():
        return
    if plan.address is not None and plan.address.startswith("ray://"):
        raise StudyError(
            f"--address {plan.address}: the driver must run inside the cluster; submit this command with "
            "`ray job submit`, or run it on the head node with --address auto"
        )
    root = Path(__file__).resolve().parent.parent
    modules = [str(root / package) for package in ("dcreid", "search_spaces", "study")]
    remote: dict[str, Any] = {} if plan.address is None else {"runtime_env": {"py_modules": modules}}
    try:
        ray.init(
            address=plan.address or "local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            configure_logging=True,
            **remote,
        )
    except ConnectionError as error:
        raise StudyError(f"--address {plan.address}: no Ray cluster there ({error})") from None


def _gpus_per_trial(plan: StudyPlan) -> float:
    """The resolved share of GPUs; refuses what the cluster can never give, instead of waiting for ever."""
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    gpus = plan.gpus_per_trial
    if gpus is None:
        gpus = 1.0 if resources.get("GPU", 0) else 0.0
    for kind, wanted in (("GPU", gpus), ("CPU", plan.cpus_per_trial)):
        if wanted > resources.get(kind, 0):
            raise StudyError(
                f"--{kind.lower()}s-per-trial {wanted:g}: the cluster has {resources.get(kind, 0):g} {kind}s"
            )
    return gpus


def _tuner(session: Session, board: Board, gpus: float) -> tune.Tuner:
    plan = session.plan
    resources = {"cpu": plan.cpus_per_trial} | ({"gpu": gpus} if gpus else {})
    number = len(session.ledger.sessions)
    return tune.Tuner(
        tune.with_resources(run_trial, resources),
        tune_config=tune.TuneConfig(
            search_alg=SessionSearcher(session),
            scheduler=SessionScheduler(session),
            num_samples=-1,  # the searcher says when it is enough
            trial_dirname_creator=lambda trial: f"{trial.config['trial']:04d}-{trial.trial_id}",
            trial_name_creator=lambda trial: f"trial-{trial.config['trial']:04d}",
        ),
        run_config=tune.RunConfig(
            name=f"session-{number:03d}",
            storage_path=str(plan.folder / "ray"),
            verbose=0,
            callbacks=[SessionCallback(session), Ticker(session, board)],
            failure_config=tune.FailureConfig(max_failures=plan.max_failures),
        ),
    )


class Ticker(tune.Callback):
    """Redraws the console, and rewrites the results table whenever a trial has ended."""

    def __init__(self, session: Session, board: Board):
        self.session, self.board, self._ended = session, board, -1

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self.board.poll()
        ended = sum(1 for trial in self.session.ledger.trials.values() if trial.ended)
        if ended != self._ended:
            self._ended = ended
            write_results(self.session.plan.folder, self.session.ledger, self.session.plan.objective)


@contextmanager
def _signals(session: Session) -> Iterator[None]:
    """Ctrl-C and SIGTERM (Slurm, Kubernetes) end the session at once; trials go on from their checkpoints.

    Tune leaves its loop at SIGUSR1, which is how it is told.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: Any) -> None:
        session.stop(f"signal {signal.Signals(number).name}")
        os.kill(os.getpid(), signal.SIGUSR1)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

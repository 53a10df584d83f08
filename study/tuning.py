"""Runs a session on Ray Tune: connects, hands Tune the hooks, and leaves its loop when a signal says so."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray import tune

from study.console import Board
from study.folder import StudyError, write_results
from study.plan import StudyPlan
from study.searcher import SessionCallback, SessionScheduler, SessionSearcher, SessionStopper
from study.session import Session
from study.trainable import run_trial

_ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = ("dcreid", "search_spaces", "study")

# Before Ray starts: its own console output, usage reports and colourful advice are not for our user.
_QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
}


def run_session(session: Session, board: Board) -> None:
    """Runs trials until the session has nothing left or is stopped. Raises StudyError (no such cluster)."""
    folder = session.plan.folder
    started_here = not ray.is_initialized()
    os.environ.update({name: value for name, value in _QUIET.items() if name not in os.environ})
    for name in ("ray", "ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with _signals(session) as watch, board, _ray_output(folder / "ray" / "driver.log"):
        try:
            _connect(session.plan)
            watch()  # Ray has put its own handler of SIGTERM in place
            session.gpus_per_trial = _gpus_per_trial(session.plan)
            if session.stopping is None:
                _tuner(session, board).fit()
        except (ray.exceptions.RayError, tune.TuneError) as error:
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            log = folder / "ray" / "driver.log"
            raise StudyError(f"Ray gave up: {first} (see {log}); the same command goes on") from None
        finally:
            if started_here:
                ray.shutdown()


@contextmanager
def _ray_output(path: Path) -> Iterator[None]:
    """What Ray prints goes to a file; the board writes to the console that it was given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        yield


def _connect(plan: StudyPlan) -> None:
    if ray.is_initialized():
        return
    if plan.address is not None and plan.address.startswith("ray://"):
        raise StudyError(
            f"--address {plan.address}: the driver must run inside the cluster; submit this command with "
            "`ray job submit`, or run it on the head node with --address auto"
        )
    remote: dict[str, Any] = {}
    if plan.address is None:  # workers inherit it: the code need not be installed, nor lie where we are
        paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    else:
        remote = {"runtime_env": {"py_modules": [str(_ROOT / package) for package in _PACKAGES]}}
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


def _tuner(session: Session, board: Board) -> tune.Tuner:
    plan, gpus = session.plan, session.gpus_per_trial
    resources = {"cpu": plan.cpus_per_trial} | ({"gpu": gpus} if gpus else {})
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
            name=f"session-{len(session.ledger.sessions):03d}",
            storage_path=str(plan.folder / "ray"),
            verbose=0,
            stop=SessionStopper(session),
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
        """Tune calls this after every event, and a few times a second."""
        self.board.poll()
        ended = sum(1 for trial in self.session.ledger.trials.values() if trial.ended)
        if ended != self._ended:
            self._ended = ended
            write_results(self.session.plan.folder, self.session.ledger, self.session.plan.objective)


@contextmanager
def _signals(session: Session) -> Iterator[Callable[[], None]]:
    """Ctrl-C and SIGTERM (Slurm, Kubernetes) end the session at once; trials go on from their checkpoints.

    Tune leaves its loop at SIGUSR1, which is how it is told. A second Ctrl-C does not wait for Ray.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return

    def handle(number: int, frame: Any) -> None:
        if session.interrupted:
            raise KeyboardInterrupt
        session.interrupted = True
        session.stop(f"signal {signal.Signals(number).name}")
        if callable(signal.getsignal(signal.SIGUSR1)):  # Tune is in its loop
            os.kill(os.getpid(), signal.SIGUSR1)

    def watch() -> None:
        signal.signal(signal.SIGINT, handle)
        signal.signal(signal.SIGTERM, handle)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    watch()
    try:
        yield watch
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""Runs a session on Ray Tune: connects, hands Tune the hooks, and leaves its loop when a signal says so."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import ray
from ray import tune
from ray.tune.experiment import Trial

from study.aside import DRIVER_LOG
from study.decide.session import Session
from study.errors import StudyError, first_line
from study.on_ray.gpus import Probe
from study.on_ray.hangs import Watchdog
from study.on_ray.head import head_watched
from study.on_ray.hooks import SessionCallback, SessionScheduler, SessionSearcher, SessionStopper
from study.on_ray.nodes import wait_for_resources
from study.on_ray.places import Places
from study.plan import StudyPlan
from study.record.results import write_results
from study.show.console import Display
from study.source import PACKAGES, REPOSITORY, code_version
from study.stdin import stopping_signals
from study.worker.cuda import problems_of
from study.worker.trainable import run_trial

_TABLE_SHARE = 0.05  # of the driver's time that may go into the results table

# Bytes of shared memory that Ray may use here: rows and jobs are small. By default it would map a third of
# the machine's memory in /dev/shm, and die there where something else fills that.
_OBJECT_STORE = 128 << 20

Trainable: TypeAlias = Callable[[dict[str, Any]], None]

_LOGGERS = ("ray", "ray.tune", "ray.train")
# Before Ray starts: its own console output, usage reports and colourful advice are not for our user.
_QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
}


def run_session(
    session: Session,
    display: Display,
    trainable: Trainable = run_trial,
    probe: Probe = problems_of,
    *,
    keep_models: Callable[[], object] = lambda: None,
    own_process: bool = True,
) -> None:
    """Runs trials until the session has nothing left or is stopped. Raises StudyError (no such cluster).

    trainable: what a worker runs of a `Job`, given as a dictionary, reporting rows as `run_trial` does.
    probe: looks at GPUs of the machine that it runs on. keep_models: called at every turn of Tune's loop.
    own_process: whether the process is the session's alone, which then works in the study's folder, while
    what Ray prints goes to a file. Another's working directory and streams are left to it.
    """
    started_here = not ray.is_initialized()
    around = _alone(session.plan.folder) if own_process else contextlib.nullcontext()
    with _as_it_was(), _signals(session) as watch_signals, display, around:
        _quiet_ray()
        try:
            _connect(session.plan)
            watch_signals()  # Ray has put its own handler of SIGTERM in place
            with head_watched(None if session.plan.address is None else _head()):
                places = _check_cluster(session, probe)
                if session.stopping is None:
                    _tuner(session, trainable, _callback(session, display, places, keep_models), places).fit()
        except (ray.exceptions.RayError, tune.TuneError) as error:
            first = first_line(error, type(error).__name__)
            raise StudyError(
                f"Ray gave up: {first} (see {session.plan.folder / DRIVER_LOG}); the same command goes on"
            ) from None
        finally:
            if started_here:
                ray.shutdown()


def _head() -> str:
    """HOST:PORT of the cluster's head."""
    return str(ray.get_runtime_context().gcs_address)


@contextmanager
def _as_it_was() -> Iterator[None]:
    """What Ray needs of the process, and changes in it, does not outlast the session.

    Of a Ray that was running before nothing is changed but how much it says.
    """
    environment, loggers = dict(os.environ), [logging.getLogger(name) for name in _LOGGERS]
    before = [(log.level, list(log.handlers), log.propagate) for log in loggers]
    faults = faulthandler.is_enabled()
    try:
        yield
    finally:
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)
        for log, (level, handlers, propagate) in zip(loggers, before, strict=True):
            log.setLevel(level)
            log.handlers, log.propagate = handlers, propagate
        if not faults:
            faulthandler.disable()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with _inside(folder), _ray_output(folder / DRIVER_LOG):
        yield


def _quiet_ray() -> None:
    os.environ.update({name: value for name, value in _QUIET.items() if name not in os.environ})
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Works in the study's folder: of the one that the driver was started in Ray makes two uses.

    Workers look for modules there first, also where it is an old checkout; and `ray job stop` deletes it
    while the job that it is stopping still works there.
    """
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.chdir(before)


@contextmanager
def _ray_output(path: Path) -> Iterator[None]:
    """What Ray prints goes to a file; the display writes to the console that it was given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        yield


def _connect(plan: StudyPlan) -> None:
    if ray.is_initialized():
        _check_workers()
        return
    options: dict[str, Any] = {}
    if plan.address is None:
        _check_folder(Path.cwd())
        options = {"object_store_memory": _OBJECT_STORE}
        # Workers inherit it: the code need not be installed, nor lie where we are.
        paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
        os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    else:
        options = {"runtime_env": {"py_modules": [str(REPOSITORY / package) for package in PACKAGES]}}
        if plan.concurrency is not None:  # what an autoscaler is to provide for; Tune would show it one
            os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", str(plan.concurrency))
    try:
        with _without_hangup():
            ray.init(
                address=plan.address or "local",
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                configure_logging=True,
                **options,
            )
    except ConnectionError as error:
        raise StudyError(f"--address {plan.address}: no Ray cluster there ({error})") from None
    except ray.exceptions.AuthenticationError:
        raise StudyError(
            f"--address {plan.address}: the cluster wants its token: RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN "
            "or ~/.ray/auth_token as on its head"
        ) from None


def _check_workers() -> None:
    """Raises StudyError where workers of a Ray that was running before have other code of ours, or none."""
    try:
        theirs = ray.get(ray.remote(lambda: code_version()).options(num_cpus=0).remote())
    except ray.exceptions.RayError as error:
        theirs = first_line(error, type(error).__name__)
    if theirs != code_version():
        raise StudyError(
            f"workers of the Ray that is running cannot use the code in {REPOSITORY} (they have {theirs}): "
            f"ray.shutdown() first, or ray.init(runtime_env={{'env_vars': {{'PYTHONPATH': '{REPOSITORY}'}}}})"
        )


def _check_folder(here: Path) -> None:
    """Raises StudyError where workers would import another copy of this code: they look here first."""
    for package in PACKAGES:
        if here != REPOSITORY and (here / package / "__init__.py").is_file():
            raise StudyError(
                f"the working directory {here} holds another {package} than {REPOSITORY}, and Ray's workers "
                "would import that; change to another directory"
            )


@contextmanager
def _without_hangup() -> Iterator[None]:
    """Processes that Ray starts here do not hear of a lost terminal: its SIGHUP is the driver's to answer."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _check_cluster(session: Session, probe: Probe) -> Places:
    """Settles what a trial gets, and checks the nodes and GPUs, which are then to be watched."""
    plan = session.plan

    def stopping() -> bool:
        return session.stopping is not None

    session.gpus_per_trial = wait_for_resources(plan, stopping)
    session.processes_per_trial = plan.processes(session.gpus_per_trial)
    plan.check_gpu_hours(session.gpus_per_trial)
    places = Places(session, probe)
    places.check(stopping)
    return places


def _callback(
    session: Session, display: Display, places: Places, keep_models: Callable[[], object]
) -> SessionCallback:
    """Passes on starts, and at each turn sees to the display, the table, models, hangs and places.

    None of these can end the study.
    """
    results, watchdog, aside = ResultsWriter(session), Watchdog(session), session.aside

    def each_turn(trials: list[Trial]) -> None:
        aside("the display", display.poll)
        aside("the results table", results.poll)
        aside("the models", keep_models)
        aside("the search for workers that hang", watchdog.poll, trials)
        aside("the look at nodes and GPUs", places.poll)

    return SessionCallback(session, each_turn)


def _scheduler(session: Session, places: Places) -> SessionScheduler:
    """Passes on reports and crashes; places that may be to blame for these are looked at."""
    aside = session.aside
    return SessionScheduler(session, lambda crash: aside("the look at nodes and GPUs", places.suspect, crash))


def _tuner(session: Session, trainable: Trainable, callback: SessionCallback, places: Places) -> tune.Tuner:
    plan, gpus = session.plan, session.gpus_per_trial
    resources = {"cpu": plan.cpus_per_trial} | ({"gpu": gpus} if gpus else {})
    return tune.Tuner(
        tune.with_resources(trainable, resources),
        tune_config=tune.TuneConfig(
            search_alg=SessionSearcher(session),
            scheduler=_scheduler(session, places),
            num_samples=-1,  # the searcher says when it is enough
            trial_dirname_creator=lambda trial: f"{trial.config['trial']:04d}-{trial.trial_id}",
            trial_name_creator=lambda trial: f"trial-{trial.config['trial']:04d}",
        ),
        run_config=tune.RunConfig(
            name=f"session-{len(session.ledger.sessions):03d}",
            storage_path=str(plan.folder / "ray"),
            verbose=0,
            stop=SessionStopper(session),
            callbacks=[callback],
            failure_config=tune.FailureConfig(max_failures=-1),  # the session says how often
        ),
    )


class ResultsWriter:
    """Rewrites the results table when trials have ended.

    The table grows with the study: a new one waits until the last has cost a twentieth of the time.
    """

    def __init__(self, session: Session):
        self.session, self._ended, self._not_before = session, -1, 0.0

    def poll(self) -> None:
        """Writes the table if it is time."""
        started = time.monotonic()
        if started < self._not_before:
            return
        ended = sum(1 for trial in self.session.ledger.trials.values() if trial.ended)
        if ended != self._ended:
            self._ended = ended
            with contextlib.suppress(OSError):  # a full disk shows at the ledger
                write_results(self.session.plan.folder, self.session.ledger, self.session.plan.objective)
            now = time.monotonic()
            self._not_before = now + (now - started) / _TABLE_SHARE


@contextmanager
def _signals(session: Session) -> Iterator[Callable[[], None]]:
    """Ctrl-C, SIGTERM (Slurm, Kubernetes) and SIGHUP (a terminal that is gone) end the session at once.

    Trials go on from their checkpoints. Tune leaves its loop at SIGUSR1, which is sent to it here. A second
    signal does not wait for Ray.
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
        for number in stopping:
            signal.signal(number, handle)

    stopping = stopping_signals()
    before = {number: signal.getsignal(number) for number in (*stopping, signal.SIGUSR1)}
    watch()
    try:
        yield watch
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

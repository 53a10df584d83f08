"""One session from start to end: checks all that can be checked, runs, and says what came of it."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from dcreid.bound import check_identities
from dcreid.commandline import standard_output
from dcreid.data import load_dataset
from dcreid.data.inspection import queries_left_out
from dcreid.data.tracklets import DataError, TrackletDataset
from search_spaces.paper import BOUND_NOTE
from study.aside import CONSOLE_LOG, Output
from study.command.dry_run import print_plan
from study.command.effects import check_effects, left_unfrozen, off_on_these_data
from study.command.networks import check_networks
from study.command.resolve import command_line, options_in, overrides, resolve, settings_left_out
from study.decide.session import Session
from study.errors import OptionError, StudyError
from study.models import ModelsWriter
from study.on_ray.address import check_address
from study.plan import StudyPlan
from study.record.classes import write_classes
from study.record.folder import as_created, check_same, describe, locked, read_plan, write_description
from study.record.ledger import Ledger, TrialRecord
from study.record.owner import claim
from study.record.results import write_results
from study.record.storage import Storage
from study.search.build import open_optuna_study
from study.search.database import DatabaseAwayError, check_database
from study.show.console import Display
from study.show.next_command import classes_commands
from study.show.summary import summary
from study.show.terminal import Terminal
from study.show.view import of_session
from study.show.wording import describe_objective, taken_over
from study.source import code_version

_INTERRUPTED = 130  # ended by a signal, resumable: the status that a shell gives SIGINT


def run(given: argparse.Namespace, argv: Sequence[str]) -> int:
    """The command: 0 = complete, 1 = trials are missing, 2 = wrong options or data, 130 = stopped."""
    errors = Output(sys.stderr)
    try:
        if given.address is not None and given.address.startswith("ray://"):
            from study.remote.client import run_there

            return run_there(given.address, argv)
        prepared = prepare(given, argv)
        if given.dry_run:
            dry_run(prepared, Terminal())
            return 0
        errors.kept = prepared.plan.folder / CONSOLE_LOG
        outcome = drive(prepared, Terminal(Output(standard_output(), errors.kept)))
    except KeyboardInterrupt:
        print("stopped; the same command again goes on", file=errors)
        return _INTERRUPTED
    if outcome.interrupted:
        return _INTERRUPTED
    return 0 if outcome.complete else 1


@dataclass(frozen=True)
class Prepared:
    """Options resolved and data read: nothing of it has touched the study folder."""

    plan: StudyPlan
    data: TrackletDataset
    command: str
    notes: tuple[str, ...]  # what the options mean and a user may not expect


@dataclass(frozen=True)
class Outcome:
    """How a session ended."""

    complete: bool
    interrupted: bool


def prepare(given: argparse.Namespace, argv: Sequence[str]) -> Prepared:
    """Resolves the options and checks data, network and storage before anything is started."""
    notes: tuple[str, ...] = ()
    if given.resume is not None:
        plan = overrides(read_plan(given.resume, given.studies), given, argv)
    else:
        plan, notes = _as_created(resolve(given), given)
    check_effects(options_in(argv), plan)
    config = plan.config
    data = load_dataset(config.data, None if plan.root is None else Path(plan.root))
    if len(data.train) <= config.merge.joins_per_step(len(data.train)):
        raise DataError(f"{plan.root}: {len(data.train)} training tracklets; there is nothing to cluster")
    if left_out := queries_left_out(data):
        notes = (*notes, left_out)
    _check_runs(plan, data)
    if plan.experiments == "bound":
        notes = (*notes, BOUND_NOTE)
    notes = (*notes, *left_unfrozen(plan), *off_on_these_data(plan, data), *check_networks(plan))
    _check_cache(Path(plan.cache))
    if plan.storage is not None:
        Storage(plan.storage)
    if not given.dry_run and not plan.folder.exists():
        _check_places(plan)
    if plan.optuna_storage is not None:
        try:
            check_database(plan.optuna_storage)
        except DatabaseAwayError as error:
            if given.dry_run:  # a session says so itself
                notes = (*notes, f"{error}; the study runs, and fills it in when it is back")
    return Prepared(plan, data, command_line(argv), notes)


def _check_runs(plan: StudyPlan, data: TrackletDataset) -> None:
    """Raises ConfigError or DataError where a run of the plan does not fit the base, or these data."""
    for _, item in plan.fixed_items():
        item.config.train.check_batches(len(data.train))
        item.config.merge.check_classes(len(data.train))
        check_identities(item.config, data)


def _check_cache(cache: Path) -> None:
    """On this machine: every node has its own."""
    there = next(place for place in (cache, *cache.parents) if place.exists())
    if not there.is_dir():
        raise OptionError(f"--cache {cache}: {there} is not a folder; name another place")


def _as_created(plan: StudyPlan, given: argparse.Namespace) -> tuple[StudyPlan, tuple[str, ...]]:
    """The plan, with the given settings of the study that is there already, and what to say of them."""
    created = as_created(plan)
    if created.given != plan.given:
        return created, (
            f"the study was created with {len(created.given)} settings that are given beside trial 0, "
            "and keeps to that; for another choice use another --name",
        )
    return created, tuple(settings_left_out(given))


def dry_run(prepared: Prepared, console: Console) -> None:
    """Prints what would run and what it would cost; starts no Ray and writes nothing."""
    print_plan(prepared.plan, prepared.data, console)
    for note in prepared.notes:
        console.print(note, soft_wrap=True)


def drive(prepared: Prepared, console: Console, *, own_process: bool = True) -> Outcome:
    """Runs the session. Raises StudyError where the folder holds another study or another driver.

    own_process: as `run_session` has it.
    """
    plan, data = prepared.plan, prepared.data
    with locked(plan.folder), _warnings_on(console):
        for note in (*check_same(plan.folder, plan, data), *prepared.notes):
            console.print(note, style="yellow", soft_wrap=True)
        write_description(plan.folder, describe(plan, data, prepared.command))
        ledger = Ledger(plan.folder / "ledger.jsonl")
        ledger.append(
            "session", command=prepared.command, pid=os.getpid(), forced=plan.force, code=code_version()
        )
        session = Session(plan, data, ledger, open_optuna_study(plan, len(data.train), ledger))
        models = ModelsWriter(session)
        taken = session.queue.take_over()
        session.aside("the display", _print_start, session, taken, prepared, console)
        try:
            if not session.queue.complete:
                _check_places(plan)
                claim(Storage(plan.place), ledger)
                # Here, so that Ray starts only where there is work.
                from study.on_ray.loop import run_session

                run_session(
                    session, Display(session, console), keep_models=models.poll, own_process=own_process
                )
        finally:
            with contextlib.suppress(OSError, StudyError):  # a full disk, another driver: reported below
                ledger.append("session_end", why=session.stopping, complete=session.queue.complete)
            session.aside("the results table", write_results, plan.folder, ledger, plan.objective)
            session.aside("the models", models.write)
            ledger.close()
        session.aside("the summary", summary, session, console)
        if plan.objective == "unlabelled":
            session.aside("the classes", _write_classes, session, console)
        if session.error is not None:
            raise StudyError(f"the session was stopped by {type(session.error).__name__}: {session.error}")
    return Outcome(session.queue.complete, session.interrupted)


def _write_classes(session: Session, console: Console) -> None:
    """classes.csv of the trial and step that were chosen without labels."""
    chosen = of_session(session).best()
    if chosen is not None and chosen.selected_step is not None:
        file = write_classes(session.plan, chosen, chosen.selected_step, session.data)
        console.print(f"classes of trial {chosen.number} by tracklet: {file}", soft_wrap=True)
        console.print(classes_commands(session.plan), soft_wrap=True)


def _check_places(plan: StudyPlan) -> None:
    """Looks whether the cluster answers and the storage can be written. Raises StudyError or StorageError."""
    if plan.address is not None:
        check_address(plan.address)
    if plan.storage is not None:
        Storage(plan.storage).check()


def _print_start(
    session: Session, taken: Sequence[TrialRecord], prepared: Prepared, console: Console
) -> None:
    data, ledger = prepared.data, session.ledger
    test = "no labelled test split" if data.test is None else f"{len(data.query):,} queries, {data.protocol}"
    console.print(f"study {prepared.plan.name} in {prepared.plan.folder}", soft_wrap=True)
    console.print(f"data: {data.name}, {len(data.train):,} training tracklets, {test}", soft_wrap=True)
    for problem in data.problems:
        console.print(f"data: {problem}", style="yellow", soft_wrap=True)
    if data.test is None and session.plan.space is not None and session.plan.objective != "unlabelled":
        console.print(
            f"the study maximises {describe_objective(session.plan.objective)}, which needs labels, so that "
            "configurations are drawn at random; a new study (--name) searches without labels",
            style="yellow",
            soft_wrap=True,
        )
    for problem in ledger.problems():
        console.print(problem, style="yellow", soft_wrap=True)
    for note in session.queue.known.library.notes:
        console.print(note, soft_wrap=True)
    for trial in taken:
        console.print(taken_over(trial), soft_wrap=True)
    console.print(f"trials: {session.queue.outlook()}", soft_wrap=True)


@contextmanager
def _warnings_on(console: Console) -> Iterator[None]:
    """Warnings of ours appear above the table, not across it. How much Optuna says is its caller's again."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            try:
                console.print(record.getMessage(), style="yellow", soft_wrap=True)
            except Exception:  # it is logged wherever something happens: nothing of it may end that
                self.handleError(record)

    log, handler = logging.getLogger("dcreid"), Handler(logging.WARNING)
    optunas = logging.getLogger("optuna")
    level = optunas.level
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        optunas.setLevel(level)

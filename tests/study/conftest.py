"""A study without Ray: plans from option lists, and a stand-in for Tune that plays one session."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcreid.config import Config
from dcreid.data import load_dataset
from dcreid.data.tracklets import TrackletDataset
from study.command.parser import parser
from study.command.resolve import resolve
from study.decide.session import NO_MORE, Session
from study.failures import Failure
from study.job import Job
from study.plan import StudyPlan
from study.record.ledger import Ledger
from study.search.build import open_optuna_study

TINY = ("--synthetic-train-identities", "4", "--synthetic-test-identities", "3", "--merge-rate", "0.2")


class Crash(Exception):
    """A trial's worker dies, of this failure or for no reason that is known."""

    def __init__(self, why: str | Failure):
        self.failure = why if isinstance(why, Failure) else Failure("trial", why)


def quality(config: dict[str, Any], step: int) -> float:
    """A made-up mAP, the same for the same configuration and step, whatever fields there are by default."""
    return random.Random(f"{Config.from_dict(config).digest()} {step}").uniform(0.1, 0.9)


def score(config: dict[str, Any], step: int) -> float:
    """A made-up score without labels, which has nothing to do with the mAP."""
    return quality(config, 1000 + step)


def row_of(config: dict[str, Any], step: int, total: int, value: float | None = None) -> dict[str, Any]:
    """What a trial reports."""
    mean, without_labels = quality(config, step) if value is None else value, score(config, step)
    return {
        "step": step,
        "mAP": mean,
        "mAP_trapezoid": mean,
        "rank1": mean,
        "unlabelled": without_labels,
        "self_retrieval": without_labels,
        "stability": without_labels / 2,
        "camera_excess": 1 - without_labels,
        "classes_after": 16 - 3 * step,
        "class_size_max": 1 + step,
        "same_camera": without_labels / 4,
        "total_steps": total,
    }


class FakeTune:
    """Runs `slots` trials at a time, one report of each in turn.

    `rows(job)` yields a trial's reports and may raise Crash, after which the trial is started again if the
    session says so. `cut` ends everything after so many
    reports, as a killed driver would: nothing is closed or told.
    """

    def __init__(self, session: Session, slots: int = 1):
        self.session, self.slots = session, slots
        self.total = session.plan.config.merge.merge_steps(len(session.data.train))
        self.started: list[int] = []
        self.reports = 0
        self._names = (f"tune{i}" for i in itertools.count())

    def rows(self, job: Job) -> Iterator[dict[str, Any]]:
        for step in range(job.recorded + 1, self.total + 1):
            yield row_of(job.config, step, self.total)

    def run(self, cut: int | None = None) -> None:
        running: dict[str, Iterator[dict[str, Any]]] = {}
        finished = False
        while True:
            while not finished and len(running) < self.slots:
                tune_id = next(self._names)
                job = self.session.ask(tune_id)
                finished = job == NO_MORE
                if not isinstance(job, Job):
                    break
                self.session.started(tune_id)
                self.started.append(job.trial)
                running[tune_id] = self.rows(job)
            if not running:
                return
            for tune_id, rows in list(running.items()):
                if cut is not None and self.reports >= cut:
                    return
                try:
                    goes_on = self._one_report(tune_id, rows)
                except Crash as error:
                    job = self.session.crashed(tune_id, error.failure)
                    goes_on = job is not None
                    if job is not None:
                        self.session.started(tune_id)
                        running[tune_id] = self.rows(job)
                if not goes_on:
                    del running[tune_id]

    def _one_report(self, tune_id: str, rows: Iterator[dict[str, Any]]) -> bool:
        try:
            row = next(rows)
        except StopIteration:
            self.session.left(tune_id)
            return False
        self.reports += 1
        goes_on = self.session.hear(tune_id, row)
        if not goes_on:
            self.session.left(tune_id)
        return goes_on


class WithoutLabels(FakeTune):
    """Reports of data that have no labels."""

    def rows(self, job: Job) -> Iterator[dict[str, Any]]:
        for row in super().rows(job):
            yield row | dict.fromkeys(("mAP", "mAP_trapezoid", "rank1"))


@pytest.fixture(scope="session")
def data() -> TrackletDataset:
    """16 training tracklets: m = 3, 5 merge steps."""
    plan = resolve(parser().parse_args(list(TINY)))
    return load_dataset(plan.config.data, None)


@pytest.fixture
def plan_of(tmp_path: Path) -> Callable[..., StudyPlan]:
    """The plan of a tiny study with these options, in a folder of this test."""

    def make(*options: str) -> StudyPlan:
        argv = [*TINY, "--studies", str(tmp_path), "--name", "study", *options]
        return resolve(parser().parse_args(argv))

    return make


@pytest.fixture
def open_session(data: TrackletDataset) -> Callable[[StudyPlan], Session]:
    """A session on the plan's folder: what the driver opens after its lock. One before it has died."""
    opened: dict[Path, Ledger] = {}

    def make(plan: StudyPlan) -> Session:
        plan.folder.mkdir(parents=True, exist_ok=True)
        path = plan.folder / "ledger.jsonl"
        if path in opened:
            opened[path].close()
        ledger = opened[path] = Ledger(path)
        ledger.append("session", command="python study/run.py", pid=1, forced=plan.force)
        return Session(plan, data, ledger, open_optuna_study(plan, len(data.train), ledger))

    return make


@pytest.fixture
def fake_tune() -> type[FakeTune]:
    """The class, for subclasses with other reports."""
    return FakeTune


@pytest.fixture
def play(open_session: Callable[[StudyPlan], Session]) -> Callable[..., Session]:
    """Plays a whole session, or its beginning."""

    def make(plan: StudyPlan, *, slots: int = 1, cut: int | None = None) -> Session:
        session = open_session(plan)
        FakeTune(session, slots).run(cut)
        return session

    return make


@pytest.fixture
def unlabelled(data: TrackletDataset) -> TrackletDataset:
    """The data without a test split."""
    nothing = np.zeros(0, dtype=np.int64)
    return dataclasses.replace(data, test=None, query=nothing, gallery=nothing, protocol="no test split")


@pytest.fixture
def play_unlabelled(
    plan_of: Callable[..., StudyPlan],
    open_session: Callable[[StudyPlan], Session],
    unlabelled: TrackletDataset,
) -> Callable[..., Session]:
    """Plays a session on data without labels, of a study with these options."""

    def make(*options: str, slots: int = 1, cut: int | None = None) -> Session:
        session = open_session(plan_of("--objective", "unlabelled", *options))
        session.data = unlabelled
        WithoutLabels(session, slots).run(cut)
        return session

    return make

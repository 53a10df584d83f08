"""A session played without Ray: made-up trials through the real session, ledger, Optuna study and table."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from dcreid.data import load_dataset
from dcreid.data.tracklets import TrackletDataset
from study.command.parser import parser
from study.command.resolve import resolve
from study.decide.session import Session
from study.job import Job
from study.plan import StudyPlan
from study.record.ledger import Ledger
from study.record.results import write_results
from study.search.build import open_optuna_study
from study.show.console import Display

# 24 training tracklets, at the paper's 5% a step; nothing is ever drawn of them.
SMALL = ("--synthetic-train-identities", "4", "--synthetic-test-identities", "3", "--merge-rate", "0.05")


def made_up_row(config: dict[str, Any], step: int, total: int) -> dict[str, Any]:
    """What a trial reports: a curve that rises, and depends on λ1 and the seed."""
    merge = config["merge"]
    mean = 0.3 + 0.01 * step - 0.2 * abs(merge["lambda1"] - 0.05) + 1e-6 * (config["seed"] % 97)
    measured = dict.fromkeys(("mAP", "mAP_trapezoid", "rank1", "rank5", "rank10", "rank20"), mean)
    seconds = dict.fromkeys(("train", "features", "merge", "evaluate"), 0.0)
    return {
        "step": step,
        "total_steps": total,
        "classes_before": total - step + 2,
        "classes_after": total - step + 1,
        "loss": 1.0,
        **measured,
        **{f"seconds_{part}": spent for part, spent in seconds.items()},
    }


def small_plan(folder: Path, *options: str) -> tuple[StudyPlan, TrackletDataset]:
    """A plan of trials that nobody trains, in `folder`, and its data."""
    plan = resolve(parser().parse_args([*SMALL, "--studies", str(folder), "--name", "study", *options]))
    plan.folder.mkdir(parents=True, exist_ok=True)
    return plan, load_dataset(plan.config.data, None)


def open_session(plan: StudyPlan, data: TrackletDataset) -> Session:
    """As `study.command.driver.drive` opens it."""
    ledger = Ledger(plan.folder / "ledger.jsonl")
    ledger.append("session", command="benchmark", pid=0)
    return Session(plan, data, ledger, open_optuna_study(plan, len(data.train), ledger))


def quiet_display(session: Session) -> Display:
    return Display(session, Console(file=io.StringIO()))


class Stopwatch:
    """CPU seconds by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        started = time.process_time()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - started


def play(session: Session, until: int, slots: int, watch: Stopwatch) -> None:
    """Runs trials, `slots` at a time and one report of each in turn, until so many are in the ledger."""
    total = session.plan.config.merge.merge_steps(len(session.data.train))
    running: dict[str, Iterator[dict[str, Any]]] = {}
    while True:
        while len(running) < slots and len(session.ledger.trials) < until:
            tune_id = f"tune{len(session.ledger.trials)}"
            with watch.of("draw"):
                job = session.ask(tune_id)
            if not isinstance(job, Job):
                break
            with watch.of("report"):
                session.started(tune_id)
            running[tune_id] = iter(
                [made_up_row(job.config, step, total) for step in range(job.recorded + 1, total + 1)]
            )
        if not running:
            return
        for tune_id, rows in list(running.items()):
            row = next(rows, None)
            with watch.of("report"):
                goes_on = row is not None and session.hear(tune_id, row)
                if not goes_on:
                    session.left(tune_id)
            if not goes_on:
                del running[tune_id]


def table_seconds(session: Session) -> float:
    """CPU seconds of one results table."""
    started = time.process_time()
    write_results(session.plan.folder, session.ledger, session.plan.objective)
    return time.process_time() - started


def reopening_seconds(plan: StudyPlan, data: TrackletDataset) -> float:
    """CPU seconds of opening the study again, as --resume does."""
    started = time.process_time()
    open_session(plan, data)
    return time.process_time() - started

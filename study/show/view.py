"""A study as people see it: the one model behind the console, `status` and the summary.

A live session has one (`of_session`), and so has a folder that is only read (`study/show/status.py`); they
differ in what is known of the trials under way.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from search_spaces.paper import FINAL
from search_spaces.rivals import RIVAL_BASES
from study.plan import OBJECTIVES, PAPERS, StudyPlan
from study.record import costs
from study.record.ledger import FINISHED, Ledger, TrialRecord, row_seconds
from study.record.storage import Storage
from study.worker.heartbeat import NAME as PROGRESS

if TYPE_CHECKING:  # both need torch and Optuna, which a view does not
    from study.decide.queue import Queue
    from study.decide.session import Session

# (what happened, why) to the numbers of the trials
Reasons: TypeAlias = dict[tuple[str, str], list[int]]


@dataclass(frozen=True)
class Attempt:
    """A trial that a worker is running."""

    started: float  # seconds since 1970
    reported: float | None = None  # when its newest merge step came in; None where that is not known


@dataclass(frozen=True)
class StudyView:
    """What has been done, what is under way and what is left."""

    plan: StudyPlan
    ledger: Ledger
    queue: Queue
    under_way: Mapping[int, Attempt | None]  # by trial number; None: waits for its worker
    now: float = field(default_factory=time.time)

    # --- trials

    @property
    def trials(self) -> list[TrialRecord]:
        """All trials, in the order of their numbers."""
        return [self.ledger.trials[number] for number in sorted(self.ledger.trials)]

    @property
    def trials_under_way(self) -> list[TrialRecord]:
        """Those that have a worker or wait for one, in the order of their numbers."""
        return [self.ledger.trials[number] for number in sorted(self.under_way)]

    def state(self, trial: TrialRecord) -> str:
        """running only where a worker is at it; waiting or interrupted where none is."""
        if trial.state != "running":
            return "reused" if trial.reused else trial.state
        if trial.number in self.under_way:
            return "waiting" if self.under_way[trial.number] is None else "running"
        return "interrupted" if trial.attempts else "waiting"

    def progress(self, *states: str) -> str:
        """`3/10 done, 2 running, 1 failed`: what is finished, and the trials in each of these states."""
        counts = Counter(self.state(trial) for trial in self.trials)
        others = [f"{counts[state]} {state}" for state in states if counts[state]]
        return ", ".join([f"{self.queue.done()}/{self.queue.target} done", *others])

    def epoch(self, trial: TrialRecord) -> str | None:
        """`2/7`: the epoch of the stage under way, as the trial notes it on disks that are quick to ask."""
        attempt = self.under_way.get(trial.number)
        storage = self.plan.trial_storage(trial.number)
        if attempt is None or "://" in storage or not Path(storage).is_dir():
            return None
        try:
            content = Storage(storage).read(PROGRESS)
        except OSError:  # a disk that fails is reported by the trial
            return None
        note: dict[str, Any] = {} if content is None else json.loads(content)
        if note.get("time", 0) < attempt.started or note["stage"] != max(trial.last_step, 0) + 1:
            return None
        return f"{note['epoch']}/{note['epochs']}"

    def best(self) -> TrialRecord | None:
        """The complete trial with the highest objective, the first of equals; none that confirms a search."""
        ranked = [trial for trial in self.ranking() if trial.state == "complete" and trial.value is not None]
        return ranked[0] if ranked else None

    def ranking(self) -> list[TrialRecord]:
        """Complete trials by the objective, the best first; runs of a plan also where they diverged.

        Runs that confirm a search are left out.
        """
        states = ("complete",) if self.plan.experiments is None else ("complete", "diverged")
        metric = OBJECTIVES[self.plan.objective]
        ended = [t for t in self.trials if t.state in states and t.curve(metric) and t.origin != "confirm"]
        return sorted(ended, key=lambda trial: (-(trial.value or 0.0), trial.number))

    @property
    def any_failed(self) -> bool:
        """Whether --retry-failed would find a trial."""
        return any(trial.state == "failed" for trial in self.trials)

    # --- time and cost

    @property
    def seconds(self) -> float:
        """Trial-seconds spent on the merge steps recorded."""
        return costs.trial_seconds(self.trials)

    @property
    def gpu_hours(self) -> float:
        """The same times the GPUs of each trial."""
        return costs.gpu_hours(self.trials)

    @property
    def saved(self) -> tuple[int, float]:
        """(trials that took stages over, trial-seconds not spent because of that)"""
        return costs.saved_seconds(self.trials)

    def seconds_left_of(self, trial: TrialRecord) -> float | None:
        """What a trial still takes, from the pace of its merge steps after the first, which is longer."""
        whole = _whole_seconds(trial)
        return None if whole is None else max(0.0, whole - trial.seconds - self._since_report(trial))

    def seconds_left(self) -> tuple[float, int] | None:
        """(trial-seconds left, trials running now); None before there is anything to estimate it from.

        Trials cost what finished ones have cost on average, ended early or not.
        """
        finished = [t.seconds for t in self.trials if t.state in FINISHED and t.seconds]
        unfinished = [t for t in self.trials if t.state == "running"]
        begun = [whole for t in unfinished if (whole := _whole_seconds(t)) is not None]
        if not finished and not begun:
            return None
        mean = sum(finished) / len(finished) if finished else sum(begun) / len(begun)
        left = mean * max(0, self.queue.target - self.queue.done() - len(unfinished))
        for trial in unfinished:
            spent = trial.seconds + self._since_report(trial)
            left += max(0.0, (_whole_seconds(trial) or mean) - spent)
        return left, sum(1 for attempt in self.under_way.values() if attempt is not None)

    def _since_report(self, trial: TrialRecord) -> float:
        """Seconds of the merge step under way, where the reports are heard as they come."""
        attempt = self.under_way.get(trial.number)
        return 0.0 if attempt is None or attempt.reported is None else self.now - attempt.reported


def of_session(session: Session) -> StudyView:
    """The study as its driver knows it."""
    under_way = {
        trial.number: None
        if trial.started is None
        else Attempt(trial.started, max(trial.started, trial.reported or 0.0))
        for trial in session.running.values()
    }
    return StudyView(session.plan, session.ledger, session.queue, under_way)


def position(trial: TrialRecord) -> str | None:
    """`3/10`: merge steps done of all; None before the trial's first report."""
    return None if trial.total_steps is None else f"{max(trial.last_step, 0)}/{trial.total_steps}"


def is_base(trial: TrialRecord, plan: StudyPlan) -> bool:
    """Whether a trial is of trial 0's configuration: the paper's, or that of another preset."""
    return trial.origin == plan.preset or not {FINAL, *RIVAL_BASES}.isdisjoint(trial.labels)


def is_papers(trial: TrialRecord, plan: StudyPlan) -> bool:
    """Whether a trial is of the paper's configuration."""
    return is_base(trial, plan) if plan.preset == PAPERS else trial.labels == (PAPERS,)


def problems(trials: Iterable[TrialRecord]) -> Reasons:
    """Failures, crashes survived, moves and warnings, each reason once with the trials that had it."""
    found: Reasons = {}
    for trial in trials:
        events = [(trial.state, trial.reason or "unknown")] if trial.state in ("failed", "diverged") else []
        events += [("tried again", reason) for reason in trial.retries]
        events += [("moved elsewhere", reason) for reason in trial.moves]
        events += [("warned", text) for text in trial.warnings]
        for event in dict.fromkeys(events):
            found.setdefault(event, []).append(trial.number)
    return found


def failures(trials: Iterable[TrialRecord]) -> Reasons:
    """Trials that failed or diverged, by reason."""
    found = problems(trials)
    return {event: numbers for event, numbers in found.items() if event[0] in ("failed", "diverged")}


def _whole_seconds(trial: TrialRecord) -> float | None:
    """What a trial is going to take, from the pace of its later stages; None before two merge steps."""
    later = [step for step in trial.steps if step > 1]
    if trial.total_steps is None or not later:
        return None
    pace = sum(row_seconds(trial.steps[step]) for step in later) / len(later)
    return trial.seconds + pace * (trial.total_steps - trial.last_step)

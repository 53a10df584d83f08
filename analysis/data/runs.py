"""Finished runs of a group: what each measured at its best, its last and its selected merge step.

A run belongs to an experiment of `search_spaces.paper` if the plan labelled it so, or if it has that
configuration: a search's run of the paper's setting serves every table, and joined studies share
their points. The same configuration and seed counts once. A run whose training diverged is a result of
its configuration: it ends with no usable network, and every measure of retrieval is 0 from there on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import pandas as pd

from analysis.data.results import Group, Study, setting
from dcreid.config import Config, ConfigError
from search_spaces.paper import PLANS, plan
from search_spaces.rivals import RIVAL_PLANS
from study.record.ledger import DIVERGED_VALUE, FINISHED, TrialRecord

METRICS = ("rank1", "rank5", "rank10", "rank20", "mAP", "mAP_trapezoid")
NORMALISED = ("rank1_camera_normalised", "mAP_camera_normalised")  # where a run has measured them
AT = ("best", "last")  # and "selected", where a run has scores without labels


@dataclass(frozen=True)
class Run:
    """A trial whose retrieval was measured, complete or diverged."""

    study: Study
    trial: TrialRecord
    setting: str  # digest of the configuration without its seed
    experiments: tuple[str, ...]

    @cached_property
    def config(self) -> Config:
        """What was run."""
        return Config.from_dict(self.trial.config)

    @property
    def diverged(self) -> bool:
        """Whether its training diverged."""
        return self.trial.state == "diverged"

    @cached_property
    def best_step(self) -> int:
        """Merge step of the highest mAP (the first of equals), chosen with test labels."""
        curve = self.trial.objective_curve("last")
        return max(curve, key=lambda step: (curve[step], -step))

    @property
    def selected_step(self) -> int | None:
        """Merge step of the highest score without labels; the one that diverged; None without scores."""
        return self.trial.diverged_at if self.diverged else self.trial.selected_step

    @cached_property
    def last_step(self) -> int:
        """The last merge step; the one that diverged."""
        return max(self.trial.objective_curve("last"))

    def curve(self, metric: str) -> dict[int, float]:
        """A column of the results table by merge step; 0 = the untrained network.

        Of a run that diverged, retrieval goes on with 0 to the step that would have been the last.
        """
        found = {s: float(row[metric]) for s, row in self.trial.steps.items() if row.get(metric) is not None}
        measured = metric in METRICS or (metric in NORMALISED and found)
        if self.trial.diverged_at is not None and measured:
            lost = range(self.trial.diverged_at, (self.trial.total_steps or self.trial.diverged_at) + 1)
            found |= dict.fromkeys(lost, DIVERGED_VALUE)
        return found

    def step(self, at: str) -> int | None:
        """The best, the last or the selected merge step; "untrained": 0. None: no score selects one."""
        if at == "untrained":
            return 0
        return {"best": self.best_step, "last": self.last_step, "selected": self.selected_step}[at]

    def lost_at(self, step: int) -> bool:
        """Whether its training has diverged by that step."""
        return self.trial.diverged_at is not None and step >= self.trial.diverged_at

    def value(self, metric: str, at: str) -> float:
        """A metric of `METRICS` or `NORMALISED`, in percent, at the best, the last or the selected step.

        at: also "untrained", of the network before the first stage. NaN where it was not measured.
        """
        return self.value_after(metric, self.step(at))

    def value_after(self, metric: str, step: int | None) -> float:
        """The same after a merge step; NaN where it was not measured, as of no step."""
        return math.nan if step is None else 100.0 * self.curve(metric).get(step, math.nan)


def runs(group: Group, *, pruned: bool = False, objective: str = "last") -> list[Run]:
    """Every measured trial of the group that is complete or diverged, one for each configuration and seed.

    pruned: those as well that a pruner has ended. objective: by what they are measured.
    Of several the first study's, and there the newest (--force computes again); one that was computed
    rather than one whose results were taken over.
    """
    states = FINISHED if pruned else ("complete", "diverged")
    found: dict[tuple[str, int], Run] = {}
    for study in group.studies:
        for trial in study.trials:
            if trial.state in states and trial.objective_curve(objective):
                key = setting(trial.config)
                known = found.get((key, trial.seed))
                if known is None or _replaces(study, trial, known):
                    run = Run(study, trial, key, experiments_of(trial, group))
                    found[key, trial.seed] = run
    return list(found.values())


def _replaces(study: Study, trial: TrialRecord, known: Run) -> bool:
    if bool(trial.reused) != bool(known.trial.reused):
        return not trial.reused
    return study is known.study


def steps_told(runs: Sequence[Run]) -> tuple[str, ...]:
    """The steps that tables and figures tell of: where a run has scores, the selected one too."""
    return (*AT, "selected") if any(run.trial.selected_step is not None for run in runs) else AT


def unlabelled(group: Group) -> bool:
    """Whether scores without labels are all that the group's trials have: no mAP."""
    trials = [trial for study in group.studies for trial in study.trials]
    return not any(trial.measured for trial in trials) and any(trial.selected for trial in trials)


def by_score(group: Group) -> list[Run]:
    """Every run with scores without labels, by the score; last those that a study does not choose from.

    It chooses from complete trials, but for those that confirm a search.
    """

    def order(run: Run) -> tuple[bool, float, int]:
        trial = run.trial
        left_out = trial.state != "complete" or trial.origin == "confirm"
        return left_out, -(trial.objective_value("unlabelled") or DIVERGED_VALUE), trial.number

    return sorted(runs(group, pruned=True, objective="unlabelled"), key=order)


def by_seed(runs: Sequence[Run], metric: str, at: str) -> pd.Series[float]:
    """A metric of runs of one configuration, indexed by seed."""
    return pd.Series({run.trial.seed: run.value(metric, at) for run in runs}, dtype=float).sort_index()


def runs_of(runs: Sequence[Run], experiment: str) -> list[Run]:
    """The runs that belong to an experiment."""
    return [run for run in runs if experiment in run.experiments]


def of_experiment(runs: Sequence[Run], experiment: str, metric: str, at: str) -> pd.Series[float]:
    """A metric by seed of the runs that belong to an experiment; empty where it was not run."""
    return by_seed(runs_of(runs, experiment), metric, at)


def count(runs: Sequence[Run], experiment: str) -> str:
    """How many runs an experiment has, for a table: `3`, or `3, 1 diverged`."""
    diverged = [run.diverged for run in runs_of(runs, experiment)]
    return f"{len(diverged)}, {sum(diverged)} diverged" if any(diverged) else str(len(diverged))


def why_missing(group: Group, experiment: str) -> str:
    """Why an experiment has no finished run: `not run`, or the states of its trials."""
    states = [
        "not finished" if trial.state == "running" else trial.state
        for study in group.studies
        for trial in study.trials
        if experiment in experiments_of(trial, group)
    ]
    if "complete" in states:
        return "not measured"
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states)) or "not run"


def experiments_of(trial: TrialRecord, group: Group) -> tuple[str, ...]:
    """Experiments that a trial is a point of: of the paper's plans, and of rivals where these were run."""
    asked = {study.plan.experiments for study in group.studies}
    made = {"paper", "tables"}  # of the others
    plans = tuple(name for name in PLANS if name not in made and (name not in RIVAL_PLANS or name in asked))
    labelled = [name for name in trial.labels if "/" in name]
    return tuple(dict.fromkeys([*labelled, *_known(group.base, plans).get(setting(trial.config), ())]))


@lru_cache(maxsize=64)
def _known(base: Config, plans: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for experiment, config in _points(base, plans):
        key = setting(config.to_dict())
        found[key] = (*found.get(key, ()), experiment)
    return found


def _points(base: Config, plans: tuple[str, ...]) -> Iterator[tuple[str, Config]]:
    for name in plans:
        try:
            items = plan(name, base)
        except ConfigError:  # a base that leaks has no plan
            continue
        for item in items:
            yield from ((experiment, item.config) for experiment in item.experiments)

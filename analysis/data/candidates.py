"""The networks that a group's runs have come to, to choose one from: scores without labels beside the mAP.

A candidate is a merge step of a run at which mAP was measured. The untrained network is none, and no run
counts that had identities as classes. Of a training that diverged the step where it did is the only one:
mAP 0, the combination 0, every other score below all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from analysis.data.folder import ResultsError
from analysis.data.people import drawn
from analysis.data.queries import same_people
from analysis.data.results import Group
from analysis.data.runs import Run, runs
from dcreid.evaluation.unlabelled import combined
from study.record.ledger import DIVERGED_VALUE

COMBINED = "unlabelled"
# Columns of the results table, and what they are called; those of LOWER are better the lower they are.
SCORES = {
    COMBINED: "combination",
    "self_retrieval": "self-retrieval",
    "camera_excess": "camera excess",
    "stability": "stability",
    "join_reliability": "join reliability",
    "size_balance": "size balance",
    "silhouette": "silhouette",
    "exclusivity": "exclusivity",
}
LOWER = ("camera_excess", "exclusivity")


@dataclass(frozen=True)
class Candidates:
    """n candidates in the order of their runs and merge steps; scores are turned so that more is better."""

    runs: tuple[Run, ...]
    run: Int[ndarray, " n"]  # which of `runs`
    step: Int[ndarray, " n"]
    mAP: Float[ndarray, "n 1+b"]  # percent: as measured, then in each of b resamples of the test identities
    scores: dict[str, Float[ndarray, " n"]]  # by the keys of SCORES; NaN where it could not be taken

    @property
    def of_runs(self) -> list[Int[ndarray, " k"]]:
        """The candidates of every run."""
        return [np.flatnonzero(self.run == number) for number in range(len(self.runs))]

    def name(self, candidate: int) -> str:
        """`trial 7, step 5`"""
        return f"trial {self.runs[self.run[candidate]].trial.number}, step {self.step[candidate]}"


def candidates(
    group: Group, rng: np.random.Generator, resamples: int, *, drawn_only: bool = False
) -> Candidates:
    """The candidates of a group, pruned runs' too; resampled where every run has kept its queries.

    drawn_only: of the runs that a search drew. Raises ResultsError where scores cannot be judged: no labels,
    no run that was drawn, or runs without scores.
    """
    found = [run for run in runs(group, pruned=True) if not run.config.trains_with_identities]
    named = ", ".join(str(study.folder) for study in group.studies)
    if not found:
        raise ResultsError(f"{named}: no mAP to judge scores by; give a study of labelled data")
    found = [run for run in found if run.trial.origin == "search" or not drawn_only]
    if not found:
        raise ResultsError(f"{named}: no run was drawn by a search; leave out --drawn")
    curves = [
        {run.last_step: DIVERGED_VALUE} if run.diverged else run.trial.objective_curve("last")
        for run in found
    ]
    places = [(number, step) for number, curve in enumerate(curves) for step in curve]
    scores = {name: np.array([score(found[n], step, name) for n, step in places]) for name in SCORES}
    for values in scores.values():
        if not np.isfinite(values).any():  # only where a training diverged, and nowhere else
            values[:] = np.nan
    if not any(np.isfinite(values).any() for name, values in scores.items() if name != COMBINED):
        raise ResultsError(f"{named}: no scores without labels, being of an older version; run it again")
    measured = np.array([100 * curve[step] for curve in curves for step in curve])
    mAP = np.concatenate([measured[:, None], _resampled(found, places, rng, resamples)], axis=1)
    run, step = np.array(places).T
    return Candidates(tuple(found), run, step, mAP, scores)


def score(run: Run, step: int, name: str) -> float:
    """A score of a merge step, turned so that more is better; NaN where it could not be taken.

    The combination is computed anew from the others, whatever the run recorded.
    """
    if run.diverged:
        return DIVERGED_VALUE if name == COMBINED else -np.inf
    row = run.trial.steps[step]
    value = combined(row) if name == COMBINED else row.get(name)
    return np.nan if value is None else float(-value if name in LOWER else value)


def _resampled(
    found: Sequence[Run], places: Sequence[tuple[int, int]], rng: np.random.Generator, resamples: int
) -> Float[ndarray, "n b"]:
    """mAP in resamples of the test identities, in percent; b = 0 where a run has not kept its queries."""
    kept = {number: run.study.queries(run.trial) for number, run in enumerate(found) if not run.diverged}
    queries = {number: of for number, of in kept.items() if of is not None}
    if not queries or len(queries) < len(kept) or not same_people([*queries.values()]):
        return np.empty((len(places), 0))
    times = drawn(len(next(iter(queries.values())).identities), resamples, rng)
    lost = np.full(resamples, DIVERGED_VALUE)
    return np.array([
        queries[number].resampled("mAP", step, times) if number in queries else lost
        for number, step in places
    ])  # fmt: skip

"""Runs in other samples of test persons: a bootstrap over the identities of the queries.

A resample draws as many test identities as there are, with replacement; all queries of a drawn identity
count as often as it was drawn. The draws are the same for all runs, so that differences of runs are paired.
The percentile interval says how far a number would move with other test persons; an interval over seeds says
how far it would move with another training.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from analysis.data.queries import same_people
from analysis.data.runs import Run, runs_of
from study.record.intervals import LEVEL
from study.record.ledger import DIVERGED_VALUE

RESAMPLES = 2000
_SEED = 0


def drawn(
    identities: int, resamples: int = RESAMPLES, rng: np.random.Generator | None = None
) -> Float[ndarray, "i b"]:
    """How often each of so many identities is drawn in every resample; the same without `rng`."""
    return _fixed(identities, resamples) if rng is None else _drawn(identities, resamples, rng)


@functools.lru_cache(maxsize=8)
def _fixed(identities: int, resamples: int) -> Float[ndarray, "i b"]:
    return _drawn(identities, resamples, np.random.default_rng(_SEED))


def _drawn(identities: int, resamples: int, rng: np.random.Generator) -> Float[ndarray, "i b"]:
    times = rng.multinomial(identities, np.full(identities, 1 / identities), resamples)
    return np.ascontiguousarray(times.T, dtype=np.float64)  # as floats: BLAS multiplies no whole numbers


def have_queries(found: Sequence[Run]) -> bool:
    """Whether some run has kept how its queries fared; runs of older code have not."""
    return any(run.study.queries(run.trial) is not None for run in found)


def over_people(found: Sequence[Run], metric: str, at: str) -> Float[ndarray, " b"] | None:
    """The mean over runs of a metric (of `runs.METRICS`), in percent, in every resample; at: as `Run.value`.

    A run whose training diverged counts as 0 from there on. None without a run, and where a run has not
    kept its queries or those of other people.
    """
    values = [each for run in found if (each := _resampled(run, metric, at)) is not None]
    kept = [of for run in found if (of := run.study.queries(run.trial)) is not None]
    return np.mean(values, axis=0) if 0 < len(values) == len(found) and same_people(kept) else None


def _resampled(run: Run, metric: str, at: str) -> Float[ndarray, " b"] | None:
    step, queries = run.step(at), run.study.queries(run.trial)
    if step is not None and run.lost_at(step):
        return np.full(RESAMPLES, DIVERGED_VALUE)
    if step is None or queries is None or step not in queries.sums.get(metric, {}):
        return None
    return queries.resampled(metric, step, drawn(len(queries.identities)))


def contrast_over_people(
    contrast: Mapping[str, float], found: Sequence[Run], metric: str, at: str
) -> Float[ndarray, " b"] | None:
    """The weighted sum of experiments in every resample, of the seeds that all have run; else as above."""
    runs = {experiment: runs_of(found, experiment) for experiment in contrast}
    shared = set.intersection(*({run.trial.seed for run in of} for of in runs.values()))
    total = np.zeros(RESAMPLES)
    for experiment, weight in contrast.items():
        of = over_people([run for run in runs[experiment] if run.trial.seed in shared], metric, at)
        if of is None:
            return None
        total += weight * of
    return total


def interval(resampled: Float[ndarray, " b"] | None) -> tuple[float, float]:
    """The middle 95 % of the resamples; NaN without any."""
    if resampled is None:
        return math.nan, math.nan
    low, high = np.quantile(resampled, [LEVEL / 2, 1 - LEVEL / 2])
    return float(low), float(high)

"""How well scores that need no label choose: their rank correlation with mAP, and what their choice costs.

Notation: s scores, m mAP in percent of the same candidates; ranks are counted so that the best is largest.
Everything is computed for m as measured and for m in every resample of the test identities. What a score has
chosen, and what was the best as measured, stay what they were in resamples: the interval of a regret is that
of the difference of these two.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.stats import rankdata

from analysis.data.candidates import COMBINED, SCORES, Candidates
from analysis.page.typeset import Table
from study.record.intervals import LEVEL, MISSING, interval_text

RANDOM, LAST, BEST = "random choice", "last step", "best there was (test labels)"
# What is judged, its heading, and its decimals.
_MEASURES = {
    "rho_runs": ("ρ runs", 2),
    "rho_steps": ("ρ steps", 2),
    "regret_runs": ("regret runs", 1),
    "regret_steps": ("regret steps", 1),
    "regret_both": ("regret both", 1),
}
# Scores as factors of a product, from 0 to 1: of those that more is better of (camera excess is turned).
_FACTORS: dict[str, Callable[[Float[ndarray, " n"]], Float[ndarray, " n"]]] = {
    "self_retrieval": lambda s: s,
    "stability": lambda s: s,
    "camera_excess": lambda s: 1 + s,
    "join_reliability": lambda s: s,
    "size_balance": lambda s: s,
    "silhouette": lambda s: (1 + s) / 2,
}
_CAPTION = (
    "ρ: Spearman's rank correlation with mAP, weighted by the square of the larger of the two ranks; over "
    "runs at their last step, and over the steps of a run (mean over runs). Regret: points of mAP below the "
    "best there was; of runs, each at the step that the score chooses; of the steps of a run (mean over "
    "runs); of all runs and steps. Random choice: expected regret, of runs at their last step; last step: of "
    "a run at random under 'both'. Of camera excess and exclusivity the lower is the better. The "
    "combination is this version's formula, whatever the runs recorded."
)


@dataclass(frozen=True)
class Judged:
    """What a way to choose came to: measures as measured, then in each of b resamples; and its choice."""

    measures: Mapping[str, Float[ndarray, " 1+b"]]
    chooses: str = MISSING
    mAP: float = math.nan  # of the choice


def weighted_spearman(s: Float[ndarray, " n"], m: Float[ndarray, "n b"]) -> Float[ndarray, " b"]:
    """Pearson's correlation of the ranks of s and m, weighted by the square of the larger of both.

    Equal values share their mean rank. NaN where s or m is constant.
    """
    r, t = rankdata(s)[:, None], rankdata(m, axis=0)
    w = np.maximum(r, t) ** 2
    w /= w.sum(axis=0)
    r, t = r - (w * r).sum(axis=0), t - (w * t).sum(axis=0)
    spread = np.sqrt((w * r**2).sum(axis=0) * (w * t**2).sum(axis=0))
    return _quotient((w * r * t).sum(axis=0), spread, spread > 1e-9)


def picks(found: Candidates, s: Float[ndarray, " n"]) -> dict[int, int]:
    """The candidate that s chooses of every run, the first of equals; runs without any score have none."""
    known = {run: rows[~np.isnan(s[rows])] for run, rows in enumerate(found.of_runs)}
    return {run: int(rows[s[rows].argmax()]) for run, rows in known.items() if len(rows)}


def choice(found: Candidates, s: Float[ndarray, " n"]) -> int | None:
    """The candidate that s chooses of all, the first of equals; None without any score."""
    picked = list(picks(found, s).values())
    return picked[int(s[picked].argmax())] if picked else None


def judge_score(found: Candidates, s: Float[ndarray, " n"]) -> Judged:
    """Correlations, regrets and the choice of a score; nothing where it could not be taken.

    Runs with one step have no choice of steps, and count among the runs only.
    """
    m, picked, winner = found.mAP, picks(found, s), choice(found, s)
    if winner is None:
        return Judged({})
    known = [rows[~np.isnan(s[rows])] for rows in found.of_runs]
    last = [row for row in _last(found) if not np.isnan(s[row])]
    several = {run: rows for run, rows in enumerate(found.of_runs) if len(rows) > 1 and run in picked}
    measures = {
        "rho_runs": weighted_spearman(s[last], m[last]),
        "rho_steps": _mean([weighted_spearman(s[rows], m[rows]) for rows in known if len(rows) > 1], m),
        "regret_runs": _best(m, list(picked.values())) - m[winner],
        "regret_steps": _mean([_best(m, rows) - m[picked[run]] for run, rows in several.items()], m),
        "regret_both": _best(m) - m[winner],
    }
    return Judged(measures, found.name(winner), float(m[winner, 0]))


def judge_random(found: Candidates) -> Judged:
    """Expected regrets of runs at their last step, of steps, and of both, each drawn evenly."""
    m, last = found.mAP, _last(found)
    several = [rows for rows in found.of_runs if len(rows) > 1]
    return Judged(
        {
            "regret_runs": _best(m, last) - m[last].mean(axis=0),
            "regret_steps": _mean([_best(m, rows) - m[rows].mean(axis=0) for rows in several], m),
            "regret_both": _best(m) - _mean([m[rows].mean(axis=0) for rows in found.of_runs], m),
        }
    )


def judge_last(found: Candidates) -> Judged:
    """Regrets of taking the last step: in each run, and of a run drawn evenly."""
    m, several = found.mAP, [rows for rows in found.of_runs if len(rows) > 1]
    return Judged(
        {
            "regret_steps": _mean([_best(m, rows) - m[rows[-1]] for rows in several], m),
            "regret_both": _best(m) - m[_last(found)].mean(axis=0),
        }
    )


def judge(found: Candidates) -> dict[str, Judged]:
    """Every score, and beside them random choice, the last step, and what test labels would choose."""
    scores = {SCORES[name]: judge_score(found, s) for name, s in found.scores.items()}
    best = int(found.mAP[:, 0].argmax())
    chosen = Judged({}, found.name(best), float(found.mAP[best, 0]))
    return {**scores, RANDOM: judge_random(found), LAST: judge_last(found), BEST: chosen}


def mean_of(parts: Sequence[Mapping[str, Judged]]) -> dict[str, Judged]:
    """The mean over development halves, resample by resample, of what is there in all of them."""
    drawn = min(len(values) for part in parts for one in part.values() for values in one.measures.values())
    means = {}
    for row, first in [(row, one) for row, one in parts[0].items() if row != BEST]:
        measured = [part[row].measures for part in parts]
        shared = [name for name in first.measures if all(name in each for each in measured)]
        means[row] = Judged({n: np.mean([each[n][:drawn] for each in measured], axis=0) for n in shared})
    return means


def products(found: Candidates) -> dict[str, Float[ndarray, " n"]]:
    """Each score as a factor, and the product of each two; of a collapse 0. NaN where a score is missing."""
    factors = {
        name: np.clip(turned(found.scores[name]), 0, 1)
        for name, turned in _FACTORS.items()
        if name in found.scores
    }
    taken = {name: factor for name, factor in factors.items() if not np.isnan(factor).all()}
    pairs = itertools.combinations(taken, 2)
    both = {f"{SCORES[a]} × {SCORES[b]}": taken[a] * taken[b] for a, b in pairs}
    return {SCORES[name]: factor for name, factor in taken.items()} | both


def settled(found: Candidates) -> tuple[str, Judged]:
    """The product whose two regrets, of runs and of steps, are least together; the first of equals."""
    judged = {name: judge_score(found, s) for name, s in products(found).items()}

    def regret(name: str) -> float:
        measures = judged[name].measures
        return float(measures["regret_runs"][0] + measures["regret_steps"][0])

    best = min((name for name, one in judged.items() if one.measures), key=regret)
    return best, judged[best]


def settled_table(name: str, halves: Sequence[tuple[str, Candidates]], source: str) -> Table:
    """What each half's runs settle on, judged by the runs of the other; beside it the combination there."""
    rows, numbers = [], []
    for (settled_on, one), (judged_on, other) in itertools.permutations(halves, 2):
        best, there = settled(one)
        here = {best: judge_score(other, products(other)[best])} if best in products(other) else {}
        for row, judged in {**here, SCORES[COMBINED]: judge_score(other, other.scores[COMBINED])}.items():
            of = settled_on if row == best else MISSING
            cells = [_text(judged.measures.get(key), decimals) for key, (_, decimals) in _MEASURES.items()]
            rows.append((row, of, judged_on, *cells, judged.chooses, interval_text(judged.mAP)))
            values: dict[str, object] = {"score": row, "settled_on": of, "judged_on": judged_on}
            for key in _MEASURES:
                values |= _columns(key, judged.measures.get(key))
                values[f"{key}_there"] = float(there.measures[key][0]) if row == best else math.nan
            numbers.append(values | {"chooses": judged.chooses, "mAP": judged.mAP})
    return Table(
        name=name,
        title="A score settled by the runs of one half, judged by those of the other",
        columns=("score", "settled on", "judged on", *(heading for heading, _ in _MEASURES.values()),
                 "chooses", "mAP"),
        rows=tuple(rows),
        caption=(
            f"{source} Settled is which of {len(products(halves[0][1]))} scores: each alone, and the product "
            "of each two, is to be used: the one whose regrets of runs and of steps are least together. "
            "The combination is not settled here, but the program's."
        ),
        numbers=pd.DataFrame(numbers),
        left=3,
    )  # fmt: skip


def selection_table(name: str, title: str, judged: Mapping[str, Judged], source: str) -> Table:
    """A row per way to choose; the choices are named where there are any. source: of the caption."""
    rows, numbers = [], []
    named = ("chooses", "mAP") if any(one.chooses != MISSING for one in judged.values()) else ()
    for row, one in judged.items():
        cells = [_text(one.measures.get(key), decimals) for key, (_, decimals) in _MEASURES.items()]
        chosen = [one.chooses, interval_text(one.mAP)] if named else []
        rows.append((row, *cells, *chosen))
        values: dict[str, object] = {"score": row}
        for key in _MEASURES:
            values |= _columns(key, one.measures.get(key))
        numbers.append(values | ({"chooses": one.chooses, "mAP": one.mAP} if named else {}))
    return Table(
        name=name,
        title=title,
        columns=(
            "score",
            *(heading for heading, _ in _MEASURES.values()),
            *(("chooses", "mAP") if named else ()),
        ),
        rows=tuple(rows),
        caption=f"{source} {_CAPTION}",
        numbers=pd.DataFrame(numbers),
    )


def _last(found: Candidates) -> list[int]:
    return [int(rows[-1]) for rows in found.of_runs]


def _best(m: Float[ndarray, "n b"], rows: Sequence[int] | Int[ndarray, " k"] | slice = slice(None)) -> Any:
    """mAP of the candidate that is the best of these as measured: of the first of equals."""
    return m[rows][m[rows][:, 0].argmax()]


def _mean(values: Sequence[Float[ndarray, " b"]], m: Float[ndarray, "n b"]) -> Float[ndarray, " b"]:
    """The mean of those that are numbers; NaN where none is."""
    table = np.array(values).reshape(-1, m.shape[1])
    known = (~np.isnan(table)).sum(axis=0)
    return _quotient(np.nansum(table, axis=0), known, known > 0)


def _quotient(
    a: Float[ndarray, " b"], b: Float[ndarray, " b"] | Int[ndarray, " b"], where: Bool[ndarray, " b"]
) -> Float[ndarray, " b"]:
    """a / b, NaN elsewhere."""
    quotient: Float[ndarray, " b"] = np.divide(a, b, out=np.full(len(a), np.nan), where=where)
    return quotient


def _columns(name: str, values: Float[ndarray, " 1+b"] | None) -> dict[str, float]:
    """The value and its interval: the middle 95 % of the resamples in which there is a value."""
    value, *drawn = [np.nan] if values is None else values
    known = [each for each in drawn if not np.isnan(each)]
    low, high = np.quantile(known, [LEVEL / 2, 1 - LEVEL / 2]) if known else (np.nan, np.nan)
    return {name: float(value), f"{name}_low": float(low), f"{name}_high": float(high)}


def _text(values: Float[ndarray, " 1+b"] | None, decimals: int) -> str:
    """`1.2 [0.4, 2.5]`; without resamples the value alone."""
    value, low, high = (f"{each:.{decimals}f}".replace("-", "−") for each in _columns("", values).values())
    if value == "nan":
        return MISSING
    return value if low == "nan" else f"{value} [{low}, {high}]"

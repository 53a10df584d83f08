"""Which classes the merges joined, and which term of Eq (7) let the wrong joins through.

`dcreid/evaluation/joins.py` says what is recorded of a join, and with which right join a wrong one is
compared. With d, i and s the terms d_ab, d_a + d_b and |a| + |b| of a wrong join, and d', i', s' those of
the right join that it missed, the causes are weighed by

    d' - d,    λ1 (i' - i),    λ2 (s' - s),

whose sum is what the missed join cost more; the largest is the cause. d_ab: the features put two
persons nearer together than one person's own classes. λ1 (d_a + d_b): the strangers were tighter
classes. λ2 (|a| + |b|): they were smaller ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.data.results import Group
from analysis.data.runs import Run, runs_of
from analysis.page.typeset import Table
from dcreid.config import MergeConfig
from dcreid.evaluation.joins import RIGHT, UNKNOWN, WRONG
from search_spaces.paper import CRITERIA
from study.errors import StorageError
from study.record.intervals import MISSING, estimate
from study.record.trial_tables import load_joins

# cause to what it is called in tables and (as mathtext) in figures
CAUSES = {
    "inter": ("d_ab", "$d_{ab}$"),
    "intra": ("λ1 (d_a + d_b)", r"$\lambda_1(d_a + d_b)$"),
    "size": ("λ2 (|a| + |b|)", r"$\lambda_2(|a| + |b|)$"),
    "none": ("nothing right left", "nothing right left"),
}
MADE_ANEW = "no joins: classes are made anew at every step"


def with_causes(joins: pd.DataFrame, merging: MergeConfig) -> pd.DataFrame:
    """A trial's joins (`study.record.trial_tables`) with `cause`: a key of CAUSES, or "" where none is wrong.

    `by_inter`, `by_intra` and `by_size` hold what each term of Eq (7) did for a wrong join, in units of
    distance; NaN where nothing was missed.
    """
    weights = {"inter": 1.0, "intra": merging.lambda1, "size": merging.lambda2}
    weighed = {name: w * (joins[f"missed_{name}"] - joins[name]) for name, w in weights.items()}
    by = pd.DataFrame(weighed).astype(float)
    acting = by[[name for name, weight in weights.items() if weight > 0]]
    largest = acting.columns.to_numpy()[acting.fillna(0.0).to_numpy().argmax(axis=1)]
    cause = np.where(by["inter"].isna(), "none", largest)
    return joins.assign(
        cause=np.where(joins["right"] == WRONG, cause, ""), **{f"by_{name}": by[name] for name in weights}
    )


def joins_of(run: Run) -> pd.DataFrame | None:
    """The joins of a run with their causes; None where its folder does not hold them."""
    try:
        joins = load_joins(run.study.storage(run.trial.number), run.study.stamp(run.trial))
    except (OSError, StorageError):
        return None
    return None if joins is None else with_causes(joins, run.config.merge)


def by_step(runs: Sequence[pd.DataFrame], kinds: Mapping[str, Mapping[str, int | str]]) -> pd.DataFrame:
    """How many joins of each kind a merge step made, a row per step: means over runs.

    kinds: name to values of columns, such as {"right": RIGHT, "one_camera": 1}.
    """
    joins = pd.concat(runs, ignore_index=True)
    steps = sorted(joins["step"].unique())
    counts = {}
    for name, values in kinds.items():
        wanted = joins[(joins[list(values)] == pd.Series(values)).all(axis=1)]
        counts[name] = wanted.groupby("step").size().reindex(steps, fill_value=0) / len(runs)
    return pd.DataFrame(counts, index=pd.Index(steps, name="step"))


def why_no_joins(runs: Sequence[Run]) -> str:
    """Why none of these runs has a record of joins."""
    if not runs:
        return "not run"
    return MADE_ANEW if all(run.config.merge.method == "anew" for run in runs) else "not recorded"


def joins_table(found: Sequence[Run], group: Group) -> Table:
    """Wrong joins by cause, and joins across cameras, under each criterion of Table 1."""
    rows, numbers = [], []
    for experiment, (label, _) in CRITERIA.items():
        of_experiment = runs_of(found, experiment)
        recorded = [joins_of(run) for run in of_experiment]
        shares = pd.DataFrame([_shares(joins) for joins in recorded if joins is not None])
        if shares.empty:
            rows.append((label, "0", why_no_joins(of_experiment), *[MISSING] * (len(_SHARES) - 1)))
        else:
            means = {name: estimate(shares[name]) for name in _SHARES}
            rows.append((label, str(len(shares)), *(value.text() for value in means.values())))
            values = {name: m.mean for name, m in means.items()}
            halves = {f"{name}_half": m.half for name, m in means.items()}
            numbers.append({"experiment": experiment, "runs": len(shares), **values, **halves})
    return Table(
        name="joins",
        title=f"Wrong joins by cause, {group.name}",
        columns=("criterion", "runs", *_SHARES.values()),
        rows=tuple(rows),
        caption=(
            "Percent over all merge steps, mean ± 95 % interval over seeds. A join is wrong if the commonest "
            "identities of the two classes differ. The four causes are shares of the wrong joins: the term "
            "of Eq (7) that did most to make the wrong join cheaper than the cheapest right one that was "
            "open to either class, or that none was. Across cameras: seen by more than one, of the right and "
            "of the wrong joins."
        ),
        numbers=pd.DataFrame(numbers),
    )


_SHARES = {
    "wrong": "wrong joins",
    **{f"cause_{cause}": f"by {table}" if cause != "none" else table for cause, (table, _) in CAUSES.items()},
    "right_across": "right: across cameras",
    "wrong_across": "wrong: across cameras",
}


def _shares(joins: pd.DataFrame) -> dict[str, float]:
    """Percent, by the keys of _SHARES; NaN where there is nothing to take a share of."""
    wrong, right = joins[joins["right"] == WRONG], joins[joins["right"] == RIGHT]
    if (joins["right"] == UNKNOWN).all():
        return dict.fromkeys(_SHARES, float("nan"))
    causes = {f"cause_{cause}": 100 * float((wrong["cause"] == cause).mean()) for cause in CAUSES}
    return {
        "wrong": 100 * len(wrong) / len(joins),
        **causes,
        "right_across": 100 * float((right["one_camera"] == 0).mean()),
        "wrong_across": 100 * float((wrong["one_camera"] == 0).mean()),
    }

"""The best configurations of a search against the paper's, judged on runs the search did not choose by.

The best single run of a search is the luckiest of many and overstates its configuration. Only runs
of the same configuration on other seeds count here; where there are none, the table says so.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import pandas as pd

from analysis.data.changes import changed_in_base
from analysis.data.results import Group, Study, setting
from analysis.data.runs import Run, by_seed
from analysis.page.typeset import Table, p_value
from analysis.stats.comparisons import compare
from study.decide.confirmation import SEARCHED
from study.record.intervals import MISSING, estimate, interval_text

_SHOWN = 5


def search_table(found: Sequence[Run], group: Group) -> Table:
    """The paper's configuration, trial 0's and the search's best, by the objective of the search."""
    objective, at = _searched(group).plan.objective, step_maximised(group)
    papers = setting(_searched(group).plan.papers_config.to_dict())
    named = {papers: "the paper's", setting(group.base.to_dict()): group.whose}
    candidates = []
    for key, name in named.items():
        seen = [run.value("mAP", at) for run in found if run.setting == key and not _fresh(run)]
        candidates.append((name, key, seen[0] if seen else math.nan))
    for run in _best(found, named, objective):
        candidates.append((changed_in_base(run.config, group), run.setting, run.value("mAP", at)))
    rows, numbers = [], []
    for name, key, chosen in candidates:
        cells, values = _row(found, key, papers, at)
        rows.append((name, interval_text(chosen), *cells))
        numbers.append({"configuration": name, "selected_mAP": chosen, **values})
    return Table(
        name="search",
        title=f"Best configurations of the search, {group.name}",
        columns=("configuration", "mAP when chosen", "mAP, fresh seeds", "runs", "Δ to the paper's", "p"),
        rows=tuple(rows),
        caption=_caption(at, group),
        numbers=pd.DataFrame(numbers),
    )


def _caption(at: str, group: Group) -> str:
    step, ranked = f"{at} merge step", "by, and too high by the luck of being the best"
    if at == "selected":
        step, ranked = "merge step of the highest score without labels", "by that score, in its order"
    return (
        f"Percent, at the {step}, which the search maximised; gallery: {group.protocol}. 'When chosen' is "
        f"the one run the search ranked {ranked}; fresh seeds are runs that it did not see (mean ± 95 % "
        "interval). Δ is paired by seed."
    )


def step_maximised(group: Group) -> str:
    """The step that the group's search maximised: best, last or selected."""
    objective = _searched(group).plan.objective
    return "selected" if objective == "unlabelled" else objective


def _searched(group: Group) -> Study:
    return next(study for study in group.studies if study.plan.space is not None)


def verdict(found: Sequence[Run], group: Group) -> str:
    """The best confirmed configuration against the paper's, in one line; or the command that confirms one."""
    papers, *drawn = search_table(found, group).numbers.to_dict("records")
    fresh = [row for row in drawn if row["runs"] >= 2]
    if not fresh:
        return (
            "not confirmed: the best of a search is too good by the luck of being the best; "
            f"python study/run.py --resume {_searched(group).folder} --confirm 3 --seeds 5"
        )
    best = max(fresh, key=lambda row: float(row["mAP"]))
    ours, theirs = (interval_text(row["mAP"], row["mAP_half"]) for row in (best, papers))
    difference = interval_text(best["difference"], best["difference_half"], signed=True)
    return (
        f"{best['configuration']}: mAP {ours} on {best['runs']} fresh seeds "
        f"({interval_text(best['selected_mAP'])} when chosen), the paper's {theirs}; "
        f"difference {difference} (p {p_value(best['p'])}), at the {step_maximised(group)} step"
    )


def _best(found: Sequence[Run], named: Collection[str], objective: str) -> list[Run]:
    """The best configurations drawn or given, and further ones that were run on fresh seeds."""
    drawn = [run for run in found if run.trial.origin in SEARCHED and run.setting not in named]
    drawn.sort(key=lambda run: -(run.trial.objective_value(objective) or 0.0))
    fresh = {run.setting for run in found if _fresh(run)}
    return [run for i, run in enumerate(drawn) if i < _SHOWN or run.setting in fresh]


def _row(found: Sequence[Run], key: str, papers: str, at: str) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Fresh runs of a setting and their paired difference to the paper's."""
    fresh = by_seed([run for run in found if run.setting == key and _fresh(run)], "mAP", at)
    reference = by_seed([run for run in found if run.setting == papers], "mAP", at)
    result, gain = estimate(fresh), compare(fresh - reference)
    values = {
        **result.columns("mAP"),
        "runs": result.n,
        **gain.difference.columns("difference"),
        "p": gain.p,
    }
    against = (gain.difference.text(signed=True), p_value(gain.p))
    if key == papers:
        against = (MISSING, MISSING)
    return (result.text() if result.n else "not confirmed", str(result.n), *against), values


def _fresh(run: Run) -> bool:
    """Whether a search cannot have chosen by the run: not drawn, nor given, nor trial 0 on its seed."""
    origin, plan = run.trial.origin, run.study.plan
    return origin not in SEARCHED and not (origin == plan.preset and run.trial.seed == plan.config.seed)

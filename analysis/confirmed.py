"""The best configurations of a search against the paper's, judged on runs the search did not choose by.

The best single run of a search is the luckiest of many and overstates its configuration. Only runs
of the same configuration on other seeds count here; where there are none, that is said.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis.results import Group, setting
from analysis.runs import Run, by_seed
from analysis.statistics import compare, estimate
from analysis.symbols import symbol, value
from analysis.typeset import MISSING, Table, mean, p_value
from dcreid.config import Config

_SHOWN = 5


def search_table(found: Sequence[Run], group: Group) -> Table:
    """The paper's configuration and the search's best, by the objective of the search."""
    at = next(study.plan.objective for study in group.studies if study.plan.space is not None)
    papers = setting(group.base.to_dict())
    drawn = [run for run in found if run.trial.origin == "search" and run.setting != papers]
    best = sorted(drawn, key=lambda run: -run.value("mAP", at))[:_SHOWN]
    candidates = [("the paper's", papers, math.nan)]
    candidates += [(describe(run.config, group), run.setting, run.value("mAP", at)) for run in best]
    rows, numbers = [], []
    for name, key, selected in candidates:
        cells, values = _row(found, key, papers, at)
        rows.append((name, mean(selected), *cells))
        numbers.append({"configuration": name, "selected_mAP": selected, **values})
    return Table(
        name="search",
        title=f"Best configurations of the search: {group.name}",
        columns=("configuration", "mAP when chosen", "mAP, fresh seeds", "runs", "Δ to the paper's", "p"),
        rows=tuple(rows),
        caption=(
            f"Percent, at the {at} merge step, which the search maximised; gallery: {group.protocol}. "
            "'When chosen' is the one run the search ranked by, and too high by the luck of being the best; "
            "fresh seeds are runs that it did not see (mean ± 95 % interval). Δ is paired by seed."
        ),
        numbers=pd.DataFrame(numbers),
    )


def describe(config: Config, group: Group) -> str:
    """What a configuration changes in the base: `λ1 0.02, τ 0.08`."""
    own, base = config.flat(), group.base.flat()
    told = [
        f"{symbol(name)} {value(own[name])}" for name in own if own[name] != base[name] and name != "seed"
    ]
    return ", ".join(told) or "the paper's"


def _row(found: Sequence[Run], key: str, papers: str, at: str) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Fresh runs of a setting and their paired difference to the paper's. All of the paper's count."""
    fresh = by_seed([run for run in found if run.setting == key and run.trial.origin != "search"], "mAP", at)
    reference = by_seed([run for run in found if run.setting == papers], "mAP", at)
    result, gain = estimate(fresh), compare((fresh - reference).dropna())
    values = {
        "mAP": result.mean,
        "mAP_half": result.half,
        "runs": result.n,
        "difference": gain.difference.mean,
        "difference_half": gain.difference.half,
        "p": gain.p,
    }
    told = mean(result.mean, result.half) if result.n else "not confirmed"
    if key == papers:
        return (told, str(result.n), MISSING, MISSING), values
    return (
        told,
        str(result.n),
        mean(gain.difference.mean, gain.difference.half, sign=True),
        p_value(gain.p),
    ), values

"""The best configurations of a search against the paper's, judged on runs the search did not choose by.

The best single run of a search is the luckiest of many and overstates its configuration. Only runs
of the same configuration on other seeds count here; where there are none, the table says so. The best of
those that were confirmed is again the luckiest of them, so that each is judged as if it had been picked for
its result: by Dunnett's test, in blocks of seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.data.changes import changed_in_base
from analysis.data.results import Group, Study, setting
from analysis.data.runs import Run, by_seed
from analysis.page.typeset import Table, p_value
from analysis.stats.comparisons import Comparison, against_control, compare
from study.decide.confirmation import SEARCHED
from study.record.intervals import FEWEST_SEEDS, MISSING, Estimate, estimate, interval_text
from study.record.ledger import DIVERGED_VALUE

_SHOWN = 5


@dataclass(frozen=True)
class Candidate:
    """A configuration that a search may choose; mAP in percent."""

    name: str
    chosen: float  # of the run that the search saw
    fresh: Estimate  # of runs that it did not see
    gain: Comparison  # over the paper's, on common seeds


@dataclass(frozen=True)
class Confirmation:
    """The paper's configuration and the others, `judged` of which are judged together, on `seeds` seeds."""

    papers: Candidate
    others: tuple[Candidate, ...]
    judged: int
    seeds: int

    @property
    def best(self) -> Candidate | None:
        """The largest gain that can be judged, else the highest mean of two runs or more."""

        def order(one: Candidate) -> tuple[bool, float]:
            return (False, one.fresh.mean) if one.gain.obstacle else (True, one.gain.difference.mean)

        return max((one for one in self.others if one.fresh.n >= 2), key=order, default=None)


def confirmation(found: Sequence[Run], group: Group) -> Confirmation:
    """The paper's configuration, trial 0's and the search's best, by the objective of the search.

    Those are judged that have three fresh seeds or more in common with the paper's, on the seeds that all
    of these have.
    """
    at = step_maximised(group)
    papers = setting(_searched(group).plan.papers_config.to_dict())
    seen, unseen = _apart(found, group)
    names = {papers: "the paper's", setting(group.base.to_dict()): group.whose}
    for run in _best(seen, unseen, names, group):
        names[run.setting] = changed_in_base(run.config, group)
    fresh = {key: by_seed(unseen.get(key, []), "mAP", at) for key in names}
    enough = {
        key: values
        for key, values in fresh.items()
        if key != papers and (values - fresh[papers]).count() >= FEWEST_SEEDS
    }
    judged = against_control(enough, fresh[papers])
    first, *others = (
        Candidate(
            name,
            seen[key][0].value("mAP", at) if key in seen else math.nan,
            estimate(fresh[key]),
            judged.get(key) or compare(fresh[key] - fresh[papers]),
        )
        for key, name in names.items()
    )
    seeds = min((one.difference.n for one in judged.values()), default=0)
    return Confirmation(first, tuple(others), len(judged), seeds)


def search_table(found: Sequence[Run], group: Group) -> Table:
    """The paper's configuration, trial 0's and the search's best, with what fresh seeds say of them."""
    confirmed = confirmation(found, group)
    rows, numbers = [], []
    for one in (confirmed.papers, *confirmed.others):
        fresh, gain = one.fresh, one.gain
        against = (gain.difference.text(signed=True), p_value(gain.p))
        if one is confirmed.papers:
            against = (MISSING, MISSING)
        told = fresh.text() if fresh.n else "not confirmed"
        rows.append((one.name, interval_text(one.chosen), told, _runs(one), *against))
        numbers.append(
            {
                "configuration": one.name,
                "selected_mAP": one.chosen,
                **fresh.columns("mAP"),
                "runs": fresh.n,
                **gain.difference.columns("difference"),
                "p": gain.p,
                "seeds": gain.difference.n,
            }
        )
    return Table(
        name="search",
        title=f"Best configurations of the search, {group.name}",
        columns=("configuration", "mAP when chosen", "mAP, fresh seeds", "runs", "Δ to the paper's", "p"),
        rows=tuple(rows),
        caption=_caption(confirmed, group),
        numbers=pd.DataFrame(numbers),
    )


def _caption(confirmed: Confirmation, group: Group) -> str:
    at = step_maximised(group)
    step, ranked = f"{at} merge step", "by, and too high by the luck of being the best"
    if at == "selected":
        step, ranked = "merge step of the highest score without labels", "by that score, in its order"
    text = (
        f"Percent, at the {step}, which the search maximised; gallery: {group.protocol}. 'When chosen' is "
        f"the one run the search ranked {ranked}; fresh seeds are runs that it did not see (mean ± 95 % "
        f"interval, of two runs both). Δ is paired by seed; fewer than {FEWEST_SEEDS} seeds give no p."
    )
    if confirmed.judged > 1:
        text += (
            f" Where there is a p, it and Δ's interval are corrected for the choice among {confirmed.judged} "
            f"(Dunnett's test, on the {confirmed.seeds} seeds that all of these and the paper's have)."
        )
    if any(_diverged(one) for one in (confirmed.papers, *confirmed.others)):
        text += " A run whose training diverged counts as 0; a configuration with one has no p."
    return text


def step_maximised(group: Group) -> str:
    """The step that the group's search maximised: best, last or selected."""
    objective = _searched(group).plan.objective
    return "selected" if objective == "unlabelled" else objective


def _searched(group: Group) -> Study:
    return next(study for study in group.studies if study.plan.space is not None)


def verdict(found: Sequence[Run], group: Group) -> str:
    """The best confirmed configuration against the paper's, in one line; or the command that confirms one."""
    confirmed, at = confirmation(found, group), step_maximised(group)
    best = confirmed.best
    command = f"python study/run.py --resume {_searched(group).folder} --confirm 3 --seeds 5"
    if best is None:
        return f"not confirmed: the best of a search is too good by the luck of being the best; {command}"
    gain = best.gain
    text = (
        f"{best.name}: mAP {best.fresh.text()} on {best.fresh.n} fresh seeds "
        f"({interval_text(best.chosen)} when chosen), the paper's {confirmed.papers.fresh.text()}; "
        f"difference {gain.difference.text(signed=True)} on {gain.difference.n} seeds"
    )
    if gain.obstacle:
        return f"{text}, at the {at} step: {gain.obstacle}" + ("" if gain.enough else f"; {command}")
    corrected = f" corrected for the choice among {confirmed.judged}, Dunnett" if confirmed.judged > 1 else ""
    said = {1: "better", 0: "not decided", -1: "worse"}[gain.sign]
    return f"{text} (p {p_value(gain.p)}{corrected}), at the {at} step: {said}"


def _runs(one: Candidate) -> str:
    """`3`, or `3, 1 diverged`"""
    diverged = _diverged(one)
    return f"{one.fresh.n}, {diverged} diverged" if diverged else str(one.fresh.n)


def _diverged(one: Candidate) -> int:
    """How many of the fresh runs are worth nothing."""
    return one.fresh.runs.count(DIVERGED_VALUE)


def _best(
    seen: Mapping[str, Sequence[Run]], unseen: Mapping[str, object], named: Mapping[str, str], group: Group
) -> list[Run]:
    """The best configurations drawn or given, and further ones that were run on fresh seeds."""
    objective = _searched(group).plan.objective
    drawn = [runs[0] for key, runs in seen.items() if key not in named]
    drawn.sort(key=lambda run: -(run.trial.objective_value(objective) or 0.0))
    return [run for i, run in enumerate(drawn) if i < _SHOWN or run.setting in unseen]


def _apart(found: Sequence[Run], group: Group) -> tuple[dict[str, list[Run]], dict[str, list[Run]]]:
    """Runs by setting: those that a search has chosen by, and those on seeds that it has not seen.

    A search has seen what it drew or was given, and trial 0 on its own seed. Whoever runs the same again
    gets the same result, so that it is seen as well.
    """
    known = {
        (setting(trial.config), trial.seed)
        for study in group.studies
        for trial in study.trials
        if trial.origin in SEARCHED
        or (trial.origin == study.plan.preset and trial.seed == study.plan.config.seed)
    }
    seen: dict[str, list[Run]] = {}
    unseen: dict[str, list[Run]] = {}
    for run in found:
        (seen if (run.setting, run.trial.seed) in known else unseen).setdefault(run.setting, []).append(run)
    return seen, unseen

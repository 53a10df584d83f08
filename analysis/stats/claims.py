"""What the paper claims, all of it, each claim as contrasts over runs that must all be above zero.

A contrast is a weighted sum over experiments, taken per seed. What the paper says of a curve (Fig 3) is made
a number of each run's curve first; how, is ours, since the paper only shows the curve. The margins over other
methods are those of Tables 4 and 5, as far as the methods can be run here (BUC and OIM).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from analysis.data import published
from analysis.data.published import QUOTED, Published, quoted
from analysis.data.results import Group
from analysis.data.runs import Run, runs_of
from search_spaces.paper import (
    ALPHA_ENDS,
    CRITERIA,
    FIG4_LAMBDA1,
    FIG5_LAMBDA2,
    FINAL,
    TABLE3_TEMPERATURES,
)
from search_spaces.rivals import RIVAL_PLANS
from study.record.intervals import interval_text

Measure = Literal["mAP_trapezoid", "rank1"]
PAPERS_MAP: Measure = "mAP_trapezoid"  # what the paper calls mAP, as far as its evaluation's lineage tells
Curve = Mapping[int, float]  # merge step to a measure, step 0 being the untrained network
FEWEST_STEPS = 6  # merge steps measured: two in each third of a curve
WORDS: dict[Measure, str] = {"mAP_trapezoid": "mAP", "rank1": "rank-1"}


@dataclass(frozen=True)
class Contrast:
    """A sum over experiments, by seed, that a claim says is above zero.

    of_curve: what is summed, of a run's whole curve (a fraction); else the measure at one step.
    """

    weights: Mapping[str, float]  # by experiment
    measure: Measure = PAPERS_MAP
    of_curve: Callable[[Curve], float] | None = None

    def per_seed(self, found: Sequence[Run], at: str, measure: Measure | None = None) -> pd.Series[float]:
        """Points by seed, of the seeds that every experiment ran on; measure: another than its own."""
        parts = [
            weight
            * pd.Series({run.trial.seed: self._value(run, at, measure) for run in runs_of(found, name)})
            for name, weight in self.weights.items()
        ]
        return sum(parts[1:], parts[0]).astype(float).dropna().sort_index()  # aligned by seed

    def _value(self, run: Run, at: str, measure: Measure | None) -> float:
        measure = measure or self.measure
        return run.value(measure, at) if self.of_curve is None else 100 * self.of_curve(_curve(run, measure))

    def is_void(self, found: Sequence[Run]) -> bool:
        """Whether it takes runs from themselves: its experiments are one configuration in these studies."""
        total: dict[int, float] = {}
        for name, weight in self.weights.items():
            for run in runs_of(found, name):
                total[id(run)] = total.get(id(run), 0.0) + weight
        return bool(total) and not any(total.values())


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper: every contrast, under a name where there are several, is above `least`."""

    text: str
    contrasts: Mapping[str, Contrast]
    least: float = 0.0
    # Of "the best of several values": label to experiment, the claimed one first.
    values: Mapping[str, str] = field(default_factory=dict)
    untestable: str = ""  # why runs of this base cannot tell

    @property
    def of_curves(self) -> bool:
        """Whether it is about whole curves: then it is judged once, not at one step and another."""
        return any(contrast.of_curve is not None for contrast in self.contrasts.values())

    @property
    def experiments(self) -> list[str]:
        """All that it needs."""
        return list(dict.fromkeys(name for each in self.contrasts.values() for name in each.weights))

    def printed(self, dataset: str) -> float | None:
        """The paper's own difference (of several the smallest); None where it prints none on that data."""
        rows = _printed_rows(dataset)
        if not all(name in rows for name in self.experiments):
            return None
        return min(
            sum(weight * _of(rows[name], each.measure) for name, weight in each.weights.items())
            for each in self.contrasts.values()
        )


def claims(group: Group) -> list[Claim]:
    """The paper's claims on a group's data; margins over the rivals by the plans of rivals that were run."""
    asked = {study.plan.experiments for study in group.studies}
    return [
        *CLAIMS,
        _best_end(group),
        *_CURVES,
        *(
            margin
            for plan in [name for name in RIVAL_PLANS if name in asked] or RIVAL_PLANS[:1]
            for margin in _margins(plan, group)
        ),
    ]


# --- Tables 1 to 3, Figs 4 and 5


def _difference(more: str, less: str) -> dict[str, Contrast]:
    return {"": Contrast({more: 1, less: -1})}


def _above(prefix: str, symbol: str, best: float, values: Sequence[float]) -> dict[str, Contrast]:
    return {
        f"over {symbol} = {v:g}": Contrast({f"{prefix}/{best:g}": 1, f"{prefix}/{v:g}": -1}) for v in values
    }


def _best(text: str, prefix: str, symbol: str, best: float, values: Sequence[float]) -> Claim:
    others = [v for v in values if v != best]
    named = {f"{symbol} = {v:g}": f"{prefix}/{v:g}" for v in (best, *others)}
    return Claim(text, _above(prefix, symbol, best, others), values=named)


_L1, _L2 = published.BEST_LAMBDA1, published.BEST_LAMBDA2
_BASELINE, _WITH_L1, _WITH_BOTH = CRITERIA
CLAIMS = (
    Claim("λ1 helps", _difference(_WITH_L1, _BASELINE)),
    Claim("λ2 helps on top of λ1", _difference(_WITH_BOTH, _WITH_L1)),
    Claim("growing α beats fixed", _difference("table2/linear", "table2/fixed")),
    _best("τ = 0.1 is best", "table3", "τ", 0.1, TABLE3_TEMPERATURES),
    Claim(
        "τ = 0.3 collapses: below half of τ = 0.1",
        {"": Contrast({"table3/0.1": 0.5, "table3/0.3": -1})},
    ),
    _best(f"λ1 = {_L1} is best", "fig4", "λ1", _L1, FIG4_LAMBDA1),
    _best(f"λ2 = {_L2} is best", "fig5", "λ2", _L2, FIG5_LAMBDA2),
    Claim(f"λ2 above {_L2} does worse", _above("fig5", "λ2", _L2, [v for v in FIG5_LAMBDA2 if v > _L2])),
)


def _best_end(group: Group) -> Claim:
    """α grows to 0.5 on MARS and to 0.4 on DukeMTMC-VideoReID; on other data to the base's own value."""
    train = group.base.train
    end = published.BEST_ALPHA.get(group.dataset, train.alpha)
    claim = _best(f"α growing to {end:g} is best", "alpha", "α", end, ALPHA_ENDS)
    if train.alpha_schedule == "fixed":
        return Claim(claim.text, claim.contrasts, untestable="α does not grow here")
    return claim


# --- Fig 3: rank-1 and mAP rise with the merge steps, then flatten


def _curve(run: Run, measure: Measure) -> Curve:
    """By merge step; without the last where that alone is measured on all frames (`data.eval_frames`)."""
    curve = run.curve(measure)
    last = max(curve) if run.config.data.eval_frames else None
    return {step: value for step, value in curve.items() if step != last}


def rise(curve: Curve) -> float:
    """The mean of the last quarter of the merge steps less the first; NaN below `FEWEST_STEPS`."""
    steps = _merge_steps(curve)
    if not steps:
        return np.nan
    late = steps[-(len(steps) // 4) :]
    return float(np.mean([curve[step] for step in late])) - curve[steps[0]]


def flattening(curve: Curve) -> float:
    """The slope, per ten steps, over the first third of the merge steps less that over the last."""
    first, last = _slopes(curve)
    return first - last


def flattening_not_falling(curve: Curve) -> float:
    """The same with a fall at the end for a rise: with both above zero it ends flatter than it began."""
    first, last = _slopes(curve)
    return first + last


def _slopes(curve: Curve) -> tuple[float, float]:
    """Least-squares slopes per ten steps over the first and the last third."""
    steps = _merge_steps(curve)
    if not steps:
        return np.nan, np.nan
    third = len(steps) // 3
    first, last = (
        10 * float(np.polyfit(part, [curve[step] for step in part], 1)[0])
        for part in (steps[:third], steps[-third:])
    )
    return first, last


def _merge_steps(curve: Curve) -> list[int]:
    """Those that were measured, without the untrained network; none if they are too few."""
    steps = sorted(step for step in curve if step > 0)
    return steps if len(steps) >= FEWEST_STEPS else []


def _of_both(named: Mapping[str, Callable[[Curve], float]]) -> dict[str, Contrast]:
    return {
        f"{words}{name}": Contrast({FINAL: 1}, measure, of_curve)
        for measure, words in WORDS.items()
        for name, of_curve in named.items()
    }


_CURVES = (
    Claim("rank-1 and mAP rise with the merge steps", _of_both({"": rise})),
    Claim(
        "then they flatten",
        _of_both(
            {
                ", points in ten steps: first slope less last": flattening,
                ", points in ten steps: first slope plus last": flattening_not_falling,
            }
        ),
    ),
)


# --- Tables 4 and 5

_BUDGETS = {"rivals": "same frames and epochs", "rivals-published": "published frames and epochs"}


def _margins(plan: str, group: Group) -> Iterator[Claim]:
    """Over BUC and OIM: that there is one, and on the paper's own data that it is no less than printed."""
    for rival in ("buc", "oim"):
        for measure, words in WORDS.items():
            text = f"this method beats {QUOTED[rival]} in {words}"
            contrasts = {"": Contrast({f"{plan}/paper": 1, f"{plan}/{rival}": -1}, measure)}
            claim = Claim(f"{text} ({_BUDGETS[plan]})", contrasts)
            yield claim
            printed = claim.printed(group.dataset)
            if printed is not None and group.is_papers:
                size = (
                    f"{text} by the printed {interval_text(printed, signed=True)} or more ({_BUDGETS[plan]})"
                )
                yield Claim(size, contrasts, least=printed)


def _printed_rows(dataset: str) -> dict[str, Published]:
    """What the paper prints of each experiment on a data set."""
    rivals = {
        f"{plan}/{row}": printed
        for plan in RIVAL_PLANS
        for row in QUOTED
        if (printed := quoted(row, dataset)) is not None
    }
    return {**published.ablations(dataset), **rivals}


def _of(row: Published, measure: Measure) -> float:
    return row.rank1 if measure == "rank1" else row.mAP

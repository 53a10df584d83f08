"""This method against BUC, DBC and OIM in the same frame, and the paper's margins over them.

Own figures are of runs of these studies. Quoted ones are the paper's Tables 4 and 5, which quote the
rivals in their turn; a margin is the difference of two quoted figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.data import published
from analysis.data.published import Published
from analysis.data.results import Group
from analysis.data.runs import Run, count, of_experiment, steps_told, why_missing
from analysis.page.typeset import Table, p_value
from analysis.stats.claims import per_seed, verdict_of
from analysis.stats.comparisons import FEWEST_SEEDS, Comparison, compare
from analysis.stats.measures import HEADINGS, caption, cells, means, measures_of, numbers
from search_spaces.rivals import RIVAL_LABELS, RIVALS
from study.record.intervals import MISSING, interval_text

MEASURES = ("rank1", "rank5", "rank10", "mAP_trapezoid", "mAP")
# Row to its row of Tables 4 and 5; DBC has none there.
QUOTED = {"paper": "this method", "buc": "BUC", "oim": "OIM"}
_QUOTED_MEASURES = ("rank1", "rank5", "rank10", "mAP")
_TITLES = {
    "rivals": "The rivals with the same frames and epochs",
    "rivals-published": "The rivals, each with the frames and epochs it was published with",
}


def rivals_table(plan: str, found: Sequence[Run], group: Group) -> Table:
    """A row per method and step (best, last, selected); in the last columns what the paper quotes."""
    beside_paper, rows, numeric = group.dataset in published.DATASETS, [], []
    measures = measures_of(found, MEASURES)
    for row in RIVALS:
        experiment, printed = f"{plan}/{row}", quoted(row, group)
        for at in steps_told(found):
            measured = means(found, experiment, at, measures)
            own = cells(measured, group, experiment)
            beside = _quoted_cells(printed, at) if beside_paper else []
            rows.append((RIVAL_LABELS[experiment], at, count(found, experiment), *own, *beside))
            numeric.append(numbers(experiment, at, measured, printed))
    headings = [f"quoted {HEADINGS[name]}" for name in _QUOTED_MEASURES] if beside_paper else []
    return Table(
        name=plan,
        title=f"{_TITLES[plan]}, {group.name}",
        columns=("method", "step", "runs", *(HEADINGS[name] for name in measures), *headings),
        rows=tuple(rows),
        caption=caption(group, found, beside_paper, group.is_papers, plan)
        + (" Quoted: as the paper's Table 4 or 5 prints it, in italics." if beside_paper else ""),
        numbers=pd.DataFrame(numeric),
        left=2,
        quoted=len(headings),
    )


def quoted(row: str, group: Group) -> Published | None:
    """What the paper quotes of a row's method on the group's data set, whatever of it was run."""
    return published.others(group.dataset).get(QUOTED.get(row, ""))


def _quoted_cells(printed: Published | None, at: str) -> list[str]:
    values = [None if printed is None else getattr(printed, name) for name in _QUOTED_MEASURES]
    return [MISSING if value is None or at != "best" else f"{value:.1f}" for value in values]


# --- margins


@dataclass(frozen=True)
class Margin:
    """This method over another by more than `least` points of a measure."""

    over: str  # a row
    measure: str
    printed: float | None  # the paper's own, where it prints one
    least: float = 0.0

    @property
    def text(self) -> str:
        """The claim in words."""
        most = f"by at least the printed {interval_text(self.least, signed=True)}"
        return f"this method beats {QUOTED[self.over]}" + (f" {most}" if self.least else "")


def margins(group: Group) -> list[Margin]:
    """Over BUC and OIM: the sign, and on the paper's own data the printed size as well."""
    found = []
    for over in ("buc", "oim"):
        for measure, name in (("mAP_trapezoid", "mAP"), ("rank1", "rank1")):
            own, theirs = quoted("paper", group), quoted(over, group)
            printed = None if own is None or theirs is None else getattr(own, name) - getattr(theirs, name)
            found.append(Margin(over, measure, printed))
            if printed is not None and group.is_papers:
                found.append(Margin(over, measure, printed, printed))
    return found


def judge_margin(
    margin: Margin, plan: str, found: Sequence[Run], group: Group, at: str
) -> tuple[str, Comparison | None, float]:
    """(verdict, difference in points, p of its differing from `least`), paired by seed."""
    contrast = {f"{plan}/paper": 1.0, f"{plan}/{margin.over}": -1.0}
    for name in contrast:
        if of_experiment(found, name, "mAP", at).empty:
            return f"{why_missing(group, name)}: {name}", None, float("nan")
    difference = per_seed(contrast, found, margin.measure, at)
    beyond = compare(difference - margin.least)
    return verdict_of([beyond]), compare(difference), beyond.p


def margins_table(plan: str, found: Sequence[Run], group: Group) -> Table:
    """Every margin at every step told of, with its verdict."""
    rows, numeric = [], []
    for margin in margins(group):
        for at in steps_told(found):
            verdict, comparison, p = judge_margin(margin, plan, found, group, at)
            printed = MISSING if margin.printed is None else interval_text(margin.printed, signed=True)
            own = (MISSING,) * 3
            values: dict[str, Any] = {}
            if comparison is not None:
                difference = comparison.difference
                own = (difference.text(signed=True), p_value(p), str(difference.n))
                values = {**difference.columns("difference"), "p": p, "seeds": difference.n}
            measure = HEADINGS[margin.measure]
            rows.append((margin.text, measure, at, verdict, *own, printed))
            numeric.append({"claim": margin.text, "measure": measure, "at": at, "verdict": verdict, **values})
    return Table(
        name=f"{plan}-margins",
        title=f"Margins over the rivals, {_KINDS[plan]}, {group.name}",
        columns=("claim", "measure", "step", "this study", "difference", "p", "seeds", "quoted difference"),
        rows=tuple(rows),
        caption=(
            "Points, mean ± 95 % interval of the per-seed difference; p of a two-sided paired t test against "
            f"zero or the printed margin; fewer than {FEWEST_SEEDS} seeds give no verdict. Printed margins "
            "are judged on the paper's own data only."
        ),
        numbers=pd.DataFrame(numeric),
        left=4,
        quoted=1,
    )


_KINDS = {"rivals": "same frames and epochs", "rivals-published": "published frames and epochs"}

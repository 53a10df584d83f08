"""This method against BUC, DBC and OIM in the same frame.

Own figures are of runs of these studies. Quoted ones are the paper's Tables 4 and 5, which quote the
rivals in their turn; the margins over them are among the paper's claims (`analysis.stats.claims`).
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.data import published
from analysis.data.published import Published, quoted
from analysis.data.results import Group
from analysis.data.runs import Run, count, steps_told
from analysis.page.typeset import Table
from analysis.stats.measures import (
    HEADINGS,
    best_cells,
    caption,
    cells,
    means,
    measures_of,
    numbers,
    people,
    people_of,
)
from search_spaces.rivals import RIVAL_LABELS, RIVALS
from study.record.intervals import MISSING

MEASURES = ("rank1", "rank5", "rank10", "mAP_trapezoid", "mAP")
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
        experiment, printed = f"{plan}/{row}", quoted(row, group.dataset)
        for at in steps_told(found):
            measured, over = means(found, experiment, at, measures), people(found, experiment, at)
            own = cells(measured, over, group, experiment)
            beside = _quoted_cells(printed, at) if beside_paper else []
            rows.append((RIVAL_LABELS[experiment], at, count(found, experiment), *own, *beside))
            numeric.append(numbers(experiment, at, measured, over, printed))
    bold, best = best_cells(found, [f"{plan}/{row}" for row in RIVALS], measures, 3)
    own_headings = [HEADINGS[name] for name in (*measures, *people_of(found))]
    headings = [f"quoted {HEADINGS[name]}" for name in _QUOTED_MEASURES] if beside_paper else []
    return Table(
        name=plan,
        title=f"{_TITLES[plan]}, {group.name}",
        columns=("method", "step", "runs", *own_headings, *headings),
        rows=tuple(rows),
        caption=caption(group, found, beside_paper, group.is_papers, plan)
        + best
        + (" Quoted: as the paper's Table 4 or 5 prints it, in italics." if beside_paper else ""),
        numbers=pd.DataFrame(numeric),
        left=2,
        quoted=len(headings),
        bold=bold,
    )


def _quoted_cells(printed: Published | None, at: str) -> list[str]:
    values = [None if printed is None else getattr(printed, name) for name in _QUOTED_MEASURES]
    return [MISSING if value is None or at != "best" else f"{value:.1f}" for value in values]

"""The paper's Tables 1 to 5 and the α table, computed from the runs of a group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.data import published
from analysis.data.published import Published
from analysis.data.results import Group
from analysis.data.runs import Run, count, runs_of, steps_told
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
from search_spaces.paper import CRITERIA, FINAL, PLANS
from study.plan import PAPERS
from study.record.intervals import MISSING, Estimate, interval_text


@dataclass(frozen=True)
class Ablation:
    """One of the paper's tables: the plan it comes from, what it is called, and what was printed."""

    plan: str
    title: str
    heading: str  # of the first column
    published: Mapping[str, Mapping[str, Published]]
    labels: Mapping[str, str]  # experiment to words; others are called by their value

    def label(self, experiment: str) -> str:
        """What a row is called."""
        return self.labels.get(experiment, experiment.split("/", 1)[1])


ABLATIONS = (
    Ablation(
        "table1",
        "Table 1: the merge criterion",
        "criterion",
        published.TABLE1,
        {experiment: name for experiment, (name, _) in CRITERIA.items()},
    ),
    Ablation(
        "table2",
        "Table 2: memory update rate",
        "α",
        published.TABLE2,
        {"table2/linear": "linearly growing"},
    ),
    Ablation("table3", "Table 3: temperature", "τ", published.TABLE3, {}),
    Ablation("alpha", "End value and schedule of α", "α", {}, {}),
)


def ablation_table(spec: Ablation, found: Sequence[Run], group: Group) -> Table:
    """A row per setting and step (best, last, selected), beside what the paper printed."""
    datasets = _published_for(spec, group)
    comparable = group.is_papers and group.dataset in spec.published
    rows, numeric, measures = [], [], measures_of(found)
    points, same = _points(spec, found, group)
    for experiment in points:
        for at in steps_told(found):
            measured, over = means(found, experiment, at, measures), people(found, experiment, at)
            printed = spec.published.get(group.dataset, {}).get(experiment) if comparable else None
            row = cells(measured, over, group, experiment)
            for dataset in datasets:
                row += _printed_cells(spec.published[dataset].get(experiment), at)
            if comparable:
                row += _difference_cells(measured, printed, at)
            rows.append((spec.label(experiment), at, count(found, experiment), *row))
            numeric.append(numbers(experiment, at, measured, over, printed))
    bold, best = best_cells(found, points, measures, 3)
    headings = [HEADINGS[name] for name in (*measures, *people_of(found))]
    headings += _published_headings(datasets, comparable)
    return Table(
        name=spec.plan,
        title=f"{spec.title}, {group.name}",
        columns=(spec.heading, "step", "runs", *headings),
        rows=tuple(rows),
        caption=caption(group, found, bool(datasets), comparable)
        + (" Δ is ours minus the paper's." if comparable else "")
        + best
        + "".join(f" One configuration here, in one row: {' and '.join(names)}." for names in same),
        numbers=pd.DataFrame(numeric),
        left=2,
        bold=bold,
    )


def _points(spec: Ablation, found: Sequence[Run], group: Group) -> tuple[list[str], list[list[str]]]:
    """The experiments that have a row, and labels of those that share one: their configuration is the same.

    α's table has rows of what was run only: which of its plans that was does not matter then.
    """
    labels: dict[str, list[str]] = {}
    first: dict[str, str] = {}
    for experiment, changes in PLANS[spec.plan].rows(group.base):
        if spec.published or runs_of(found, experiment):
            own = first.setdefault(group.base.replace(**changes).digest(), experiment)
            labels.setdefault(own, []).append(spec.label(experiment))
    return list(labels), [names for names in labels.values() if len(names) > 1]


def others_table(found: Sequence[Run], group: Group) -> Table | None:
    """Table 4 or 5 with our row; None for data that is not the paper's."""
    if group.dataset not in published.DATASETS:
        return None
    number, printed = ("4", published.TABLE4) if group.dataset == "mars" else ("5", published.TABLE5)
    rows = []
    measures = measures_of(found, ("rank1", "rank5", "rank10", "mAP_trapezoid", "mAP"))
    for name, row in printed.items():
        ranks = [MISSING if rank is None else f"{rank:.1f}" for rank in (row.rank1, row.rank5, row.rank10)]
        beyond = [MISSING] * (len(measures) + len(people_of(found)) - 4)
        rows.append((name, row.labels, MISSING, *ranks, f"{row.mAP:.1f}", *beyond))
    numeric = []
    ours = "ours" if group.preset == PAPERS else f"preset {group.preset} here"
    for at in steps_told(found):
        measured, over = means(found, FINAL, at, measures), people(found, FINAL, at)
        own = cells(measured, over, group, FINAL)
        rows.append((f"{ours}, {at} step", "none", count(found, FINAL), *own))
        numeric.append(numbers(FINAL, at, measured, over, published.final_setting(group.dataset)))
    return Table(
        name=f"table{number}",
        title=f"Table {number}: against others, {group.name}",
        columns=("method", "labels", "runs", *(HEADINGS[name] for name in (*measures, *people_of(found)))),
        rows=tuple(rows),
        caption=caption(group, found, True, group.is_papers)
        + " Labels one: one labelled tracklet per identity. The other rows are as the paper prints them.",
        numbers=pd.DataFrame(numeric),
        left=2,
    )


def _published_for(spec: Ablation, group: Group) -> tuple[str, ...]:
    """Whose printed numbers stand beside ours: the data set's own, else all that the paper has."""
    return (group.dataset,) if group.dataset in spec.published else tuple(spec.published)


def _published_headings(datasets: tuple[str, ...], comparable: bool) -> list[str]:
    headings = [f"paper {published.SHORT[name]} {what}" for name in datasets for what in ("rank-1", "mAP")]
    return headings + (["Δ rank-1", "Δ mAP"] if comparable else [])


def _printed_cells(printed: Published | None, at: str) -> list[str]:
    if printed is None or at != "best":
        return [MISSING, MISSING]
    return [f"{printed.rank1:.1f}", f"{printed.mAP:.1f}"]


def _difference_cells(measured: Mapping[str, Estimate], printed: Published | None, at: str) -> list[str]:
    if printed is None or at != "best":
        return [MISSING, MISSING]
    rank1 = measured["rank1"].mean - printed.rank1
    return [
        interval_text(rank1, signed=True),
        interval_text(measured["mAP_trapezoid"].mean - printed.mAP, signed=True),
    ]

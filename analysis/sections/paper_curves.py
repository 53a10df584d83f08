"""The paper's figures as charts: by merge step, by parameter, rivals by epochs; joins and classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import altair as alt
from markupsafe import Markup

from analysis.charts.classes import causes_chart, joins_chart, quality_chart, sizes_chart
from analysis.charts.steps import epochs_chart, steps_chart
from analysis.charts.sweeps import sweep_chart
from analysis.data.published import Published, ablations
from analysis.data.results import Group
from analysis.data.runs import Run, runs_of
from analysis.data.symbols import symbol
from analysis.page.typeset import Table
from analysis.sections.paper_parts import MEASURES, beside, heading, hidden, seeds_of
from analysis.stats.joins import joins_of
from analysis.stats.series import SWEEPS, numbered, printed_points
from dcreid.evaluation.joins import UNKNOWN
from search_spaces.paper import CRITERIA, FINAL
from search_spaces.rivals import RIVAL_LABELS, RIVAL_PLANS, RIVALS

_FEWEST_VALUES = 3  # of a parameter; two are a row of a table
# Choices without numbers as charts: plan to title, heading of the axis, and experiments by name.
_CHOICES = {
    "table1": ("Table 1 as a chart: the merge criterion", "criterion", {
        "neither": "table1/baseline", "λ1": "table1/lambda1", "λ1 and λ2": "table1/lambda1_lambda2",
    }),
    "alpha": ("Schedule of the memory update rate", "schedule of α", {
        "linear": "table2/linear", "fixed": "table2/fixed", "cosine": "alpha/cosine",
    }),
}  # fmt: skip


def curves(group: Group, found: Sequence[Run]) -> Iterator[Markup]:
    """Fig 3."""
    final = runs_of(found, FINAL)
    if not final:
        return
    printed = printed_points("fig4", group).get(group.base.merge.lambda1)
    papers = {} if printed is None else _values(printed)
    yield heading(f"Fig 3: by merge step, {group.name}")
    said = seeds_of(found, [FINAL])
    if len(final) > 1:
        said += ". Thin: seeds; thick: their mean; band: 95 % interval, from three seeds on"
    yield beside(
        [
            (steps_chart(final, metric, called, papers.get(metric)), f"{called} by merge step, {said}")
            for metric, called in MEASURES.items()
        ]
    )


def _values(row: Published) -> dict[str, float]:
    return {"rank1": row.rank1, "mAP_trapezoid": row.mAP}


def sweeps(group: Group, found: Sequence[Run], held: Mapping[str, Table]) -> Iterator[Markup]:
    """Figs 4 and 5, and the same of τ, α and what has no numbers; the table of α behind a click."""
    for prefix, _, title, field in SWEEPS:
        points, name = numbered(found, prefix), symbol(field)
        if len(points) >= _FEWEST_VALUES:
            yield heading(f"{title} ({name}), {group.name}")
            yield _swept(found, points, name, printed_points(prefix, group))
        if prefix == "alpha":
            yield hidden(held, "alpha")
    for title, axis, experiments in _CHOICES.values():
        run = {called: name for called, name in experiments.items() if runs_of(found, name)}
        if len(run) >= _FEWEST_VALUES:
            rows = ablations(group.dataset) if group.is_papers else {}
            printed = {called: rows[name] for called, name in run.items() if name in rows}
            yield heading(f"{title}, {group.name}")
            yield _swept(found, run, axis, printed)


def _swept(
    found: Sequence[Run],
    points: Mapping[Any, str],
    name: str,
    printed: Mapping[Any, Published],
) -> Markup:
    said = seeds_of(found, list(points.values()))
    return beside(
        [
            (
                sweep_chart(
                    points,
                    found,
                    metric,
                    (name, called),
                    {x: _values(row)[metric] for x, row in printed.items() if x in points},
                ),
                f"{called} by {name}, {said}",
            )
            for metric, called in MEASURES.items()
        ]
    )


def rivals(group: Group, found: Sequence[Run], held: Mapping[str, Table]) -> Iterator[Markup]:
    """The rivals by epochs trained, where they were run."""
    asked = {study.plan.experiments for study in group.studies}
    for plan in RIVAL_PLANS:
        named = {RIVAL_LABELS[f"{plan}/{row}"]: runs_of(found, f"{plan}/{row}") for row in RIVALS}
        run = {called: of for called, of in named.items() if of}
        if plan in asked and run and plan in held:
            yield heading(held[plan].title)
            said = f"{seeds_of(found, [f'{plan}/{row}' for row in RIVALS])}; stages differ in length"
            yield beside(
                [
                    (epochs_chart(run, metric, called), f"{called} by epochs trained, {said}")
                    for metric, called in MEASURES.items()
                ]
            )
            yield hidden(held, plan)


def classes(found: Sequence[Run], held: Mapping[str, Table]) -> Iterator[Markup]:
    """What the merges joined, and how the classes grew."""
    final = runs_of(found, FINAL)
    charts: list[tuple[alt.TopLevelMixin, str]] = []
    recorded = [joins for run in final if (joins := joins_of(run)) is not None and not joins.empty]
    if recorded and not all((joins["right"] == UNKNOWN).all() for joins in recorded):
        charts += [
            (joins_chart(recorded), f"What each merge joined; means over {len(recorded)} runs"),
            (causes_chart(recorded), "Wrong joins, by the term of Eq (7) that let them through"),
        ]
    if final and (quality := quality_chart(final)) is not None:
        charts.append((quality, "How far the classes agree with identities"))
    criteria = {called: runs_of(found, name) for name, (called, _) in CRITERIA.items()}
    sizes = {called: of for called, of in criteria.items() if any(run.curve("class_size_max") for run in of)}
    if sizes:
        charts.append((sizes_chart(sizes), "The largest class, by criterion"))
    if charts:
        yield heading("What merges joined, and how the classes grew")
        yield beside(charts)
        yield hidden(held, "joins")

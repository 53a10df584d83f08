"""Two studies side by side: what they change, what each comes to, and the difference, paired by seed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd
from markupsafe import Markup

from analysis.charts.style import percent_axis, rows, series, step_axis
from analysis.charts.style import told as tooltip
from analysis.data.changes import changed_in_base
from analysis.data.results import Group, Results
from analysis.data.runs import Run, by_seed, runs, runs_of, steps_told
from analysis.data.symbols import symbol
from analysis.page.frame import Section, chart, paragraph
from analysis.page.typeset import Table, html_table, p_value
from analysis.sections.answer import Standing, standings
from analysis.stats.comparisons import Comparison, compare, holm
from analysis.stats.measures import HEADINGS
from search_spaces.symbols import value_text
from study.record.intervals import MISSING, Estimate, estimate

_MEASURES = ("mAP", "rank1")
_SIDES = ("A", "B")


@dataclass(frozen=True)
class _Pair:
    name: str
    first: tuple[Run, ...]
    second: tuple[Run, ...]


def comparison(first: Results, second: Results) -> Section:
    """The section of `report.py A --compare B`."""
    parts: list[Markup] = []
    for one, other in _matched(first, second):
        parts.append(Markup("<h3>A: {}. B: {}</h3>\n").format(_studies(one), _studies(other)))
        different = [
            what
            for what, a, b in (
                ("data", _data(one), _data(other)),
                ("gallery", one.protocol, other.protocol),
                ("code", _codes(one), _codes(other)),
            )
            if a != b
        ]
        if different:
            named = " and ".join(different)
            parts.append(
                paragraph(f"A and B differ in {named}: a difference below may be theirs, not the method's.")
            )
        parts.append(Markup(html_table(_changes(one, other))))
        pairs = list(_pairs(one, other))
        if pairs:
            parts += [Markup(html_table(compared(pairs))), chart(curves(pairs), _CAPTION)]
        else:
            parts.append(paragraph("No run of both has ended that could be compared."))
    return Section("compare", "Side by side", Markup().join(parts))


_CAPTION = (
    "mAP (%) by merge step; step 0 is the untrained network. A thin line for every seed, a thick one for "
    "their mean."
)


def _matched(first: Results, second: Results) -> Iterator[tuple[Group, Group]]:
    """Groups on the same data; where there are none, the first of each."""
    found = [(a, b) for a in first.groups for b in second.groups if _data(a) == _data(b)]
    yield from found or [(first.groups[0], second.groups[0])]


def _studies(group: Group) -> str:
    return ", ".join(study.name for study in group.studies)


def _data(group: Group) -> str:
    return str(group.studies[0].data["fingerprint"])


def _codes(group: Group) -> set[Any]:
    return {study.description.get("code") for study in group.studies}


def _changes(one: Group, other: Group) -> Table:
    """The fields in which the base configurations differ."""
    a, b = one.base.flat(), other.base.flat()
    rows = [
        (f"{symbol(name)} ({name})", value_text(a[name]), value_text(b[name]))
        for name in a
        if a[name] != b[name] and name != "seed"
    ]
    return Table(
        "changes", "What differs in the settings", ("field", "A", "B"),
        tuple(rows) or (("nothing", MISSING, MISSING),), "", pd.DataFrame(), left=3,
    )  # fmt: skip


def _pairs(one: Group, other: Group) -> Iterator[_Pair]:
    """The base of each, what each search chose, and experiments that both have run."""
    ours, theirs = standings(one), standings(other)
    for name, a, b in (("base", _first(ours), _first(theirs)), ("choice", _choice(ours), _choice(theirs))):
        if a is not None and b is not None:
            text = a.name if a.name == b.name else f"{a.name} | {b.name}"
            yield _Pair(f"{name}: {text}", a.runs, b.runs)
    here, there = runs(one), runs(other)
    known = [_names(a.runs) for a in ours]
    for experiment in dict.fromkeys(name for run in here for name in run.experiments):
        left, right = runs_of(here, experiment), runs_of(there, experiment)
        if right and _names(left) not in known:
            known.append(_names(left))
            name = changed_in_base(left[0].config, one)
            yield _Pair(f"{experiment}: {name}", tuple(left), tuple(right))


def _names(found: Sequence[Run]) -> set[tuple[str, int]]:
    return {(run.study.name, run.trial.number) for run in found}


def _first(found: Sequence[Standing]) -> Standing | None:
    return found[0] if found else None


def _choice(found: Sequence[Standing]) -> Standing | None:
    return next((one for one in found if one.name.startswith("the search's")), None)


def compared(pairs: Sequence[_Pair]) -> Table:
    """A row for each pair, step and measure; p corrected for all of them (Holm)."""
    found: list[tuple[str, str, str, Estimate, Estimate, Comparison]] = []
    for pair in pairs:
        ats = [
            at
            for at in ("untrained", *steps_told(pair.first))
            if at in ("untrained", *steps_told(pair.second))
        ]
        for at in ats:
            for metric in _MEASURES:
                a, b = (by_seed(side, metric, at) for side in (pair.first, pair.second))
                if a.notna().any() or b.notna().any():
                    found.append((pair.name, at, HEADINGS[metric], estimate(a), estimate(b), compare(b - a)))
    corrected = holm([gain.p if at in ("last", "selected") else math.nan for _, at, _, _, _, gain in found])
    tests = sum(not math.isnan(p) for p in corrected)
    cells = tuple(
        (
            *(name, at, measure, a.text(), b.text(), gain.difference.text(signed=True)),
            *(str(gain.difference.n), p_value(corrected[i])),
        )
        for i, (name, at, measure, a, b, gain) in enumerate(found)
    )
    return Table(
        "compare",
        "What each comes to",
        ("configuration", "step", "measure", "A", "B", "B − A", "common seeds", "p"),
        cells,
        "Percent over all seeds of each side; B − A is paired by seed, over the seeds that both ran. p: "
        "two-sided paired t test from three seeds on, at the last and the selected step, corrected for the "
        f"{tests} tests of this table (Holm).",
        pd.DataFrame(
            {"configuration": n, "at": at, "measure": m, **a.columns("A"), **b.columns("B"),
             **gain.difference.columns("difference"), "p_holm": corrected[i]}
            for i, (n, at, m, a, b, gain) in enumerate(found)
        ),
        left=3,
    )  # fmt: skip


def curves(pairs: Sequence[_Pair]) -> alt.TopLevelMixin:
    """mAP by merge step of the first pairs, A and B in one picture each."""
    values = [
        {"pair": pair.name, "side": side, "seed": run.trial.seed, "step": step, "mAP": 100 * value}
        for pair in pairs
        for side, members in zip(_SIDES, (pair.first, pair.second), strict=True)
        for run in members
        for step, value in sorted(run.curve("mAP").items())
    ]
    names = [pair.name for pair in pairs]
    choose = alt.binding_select(options=names, name="configuration ")
    looks = series("side", _SIDES)
    looks["color"] = looks["color"].legend(symbolOpacity=1)
    x, y = step_axis(), percent_axis("mAP", "mAP (%)")
    base = alt.Chart(rows(values)).transform_filter("datum.pair == pair").encode(x=x, color=looks["color"])
    seeds = base.mark_line(opacity=0.35, strokeWidth=1).encode(y=y, detail="seed:N")
    means = base.mark_line(strokeWidth=2.5).encode(
        y=alt.Y("mean(mAP):Q", title="mAP (%)"), strokeDash=looks["strokeDash"]
    )
    dots = base.mark_point(filled=True, size=25).encode(
        y=y, tooltip=tooltip(("side", "study"), ("seed", "seed"), ("step", "step"), ("mAP", "mAP", ".1f"))
    )
    made = alt.layer(seeds, means, dots).properties(width="container", height=260)
    return made.add_params(alt.param(name="pair", value=names[0], bind=choose))

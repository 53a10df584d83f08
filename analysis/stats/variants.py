"""What variants of the base are worth, against it: leaking labels, identities, what the paper leaves open."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from analysis.data.results import Group
from analysis.data.runs import Run, count, of_experiment, steps_told
from analysis.data.symbols import symbol
from analysis.page.typeset import Table, p_value
from analysis.stats.comparisons import Comparison, compare, holm
from analysis.stats.measures import (
    HEADINGS,
    best_cells,
    caption,
    cells,
    gain_over_people,
    means,
    measures_of,
    numbers,
    people,
    people_of,
)
from search_spaces.paper import BOUND, BOUND_LABEL, BOUND_NOTE, FINAL, PLANS
from search_spaces.symbols import value_text
from study.record.intervals import MISSING

CHOICE_PLANS = ("choices", "practice")
LEAKS = {
    "right": "as it should be",
    "zero_rows": "memory rows start at zero",
    "previous_rows": "memory rows by index from the step before, cut to C",
    "identity_order": "tracklets in order of identity",
    "lambda_not_applied": "λ1 and λ2 not applied",
    "intra_pairs": "Eq (3) with 1/n² instead of 1/n",
    "intra_samples": "Eq (3) with 1/n instead of 1/n²",
    "leak": "the leak: rows by index, in order of identity",
    "public_code": "this method with the slips of DBC's code: the leak, λ not applied, 1/n²",
}


def leak_table(found: Sequence[Run], group: Group) -> Table:
    """What each leak and each slip of the public code is worth here, against doing it right."""
    note = (
        "Rows taken over by index leak labels only where a person's tracklets lie side by side. All of this "
        "is of this method; DBC itself, whose rows are means over the classes before, is in --plan rivals."
    )
    return _gains(
        "leak_audit", "What leaking labels is worth", labels("leak_audit", group), note, found, group
    )


def bound_table(found: Sequence[Run], group: Group) -> Table:
    """The bound beside the base without identities, where a study of the group has run that."""
    title = "What training with identities is worth"
    return _gains("bound", title, labels("bound", group), f"{BOUND_NOTE}.", found, group)


def choices_table(plan: str, found: Sequence[Run], group: Group) -> Table:
    """What each choice of a plan of `CHOICE_PLANS` is worth here, against the base."""
    return _gains(plan, "What each choice is worth", labels(plan, group), "", found, group)


def labels(plan: str, group: Group) -> dict[str, str]:
    """Experiments of a plan of variants and what they are called, the one that the others vary first."""
    if plan == "bound":
        return {FINAL: "the base, without identities", BOUND: BOUND_LABEL}
    rows = list(PLANS[plan].rows(group.base))
    if plan == "leak_audit":
        return {experiment: LEAKS[experiment.removeprefix("leak_audit/")] for experiment, _ in rows}
    base = group.base.flat()
    texts = {
        experiment: ", ".join(
            f"{symbol(name)} {value_text(value)} for {value_text(base[name])}"
            for name, value in changes.items()
        )
        for experiment, changes in rows
    }
    return texts | {f"{plan}/default": "the base"}


def gain(found: Sequence[Run], experiment: str, base: str, at: str) -> pd.Series[float]:
    """What an experiment is worth against another, in points of mAP (trapezoid) by seed."""
    return of_experiment(found, experiment, "mAP_trapezoid", at) - of_experiment(
        found, base, "mAP_trapezoid", at
    )


def gains(called: Mapping[str, str], found: Sequence[Run]) -> dict[tuple[str, str], tuple[Comparison, float]]:
    """By experiment and step what each is worth against the first, and its p corrected for all (Holm).

    The best step, which test labels have chosen, is compared but is no test: its p is NaN.
    """
    base = next(iter(called))
    worth = {(name, at): compare(gain(found, name, base, at)) for name in called for at in steps_told(found)}
    corrected = holm([math.nan if at == "best" else one.p for (_, at), one in worth.items()])
    return {place: (one, p) for (place, one), p in zip(worth.items(), corrected, strict=True)}


def _gains(
    plan: str, title: str, called: dict[str, str], note: str, found: Sequence[Run], group: Group
) -> Table:
    """Rows under these labels, by experiment, each against the first."""
    rows, numeric, measures = [], [], measures_of(found)
    base = next(iter(called))
    corrected = gains(called, found)
    for experiment, label in called.items():
        for at in steps_told(found):
            measured, over = means(found, experiment, at, measures), people(found, experiment, at)
            gained, p = corrected[experiment, at]
            of_people = gain_over_people(found, experiment, base, "mAP_trapezoid", at)
            worth = [gained.difference.text(signed=True), p_value(p)]
            worth += [each.text(signed=True) for each in of_people.values()]
            if experiment == base:
                worth = [MISSING] * len(worth)
            own = cells(measured, over, group, experiment)
            rows.append((label, at, count(found, experiment), *own, *worth))
            values = numbers(experiment, at, measured, over) | gained.difference.columns("gain")
            for name, each in of_people.items():
                values |= each.columns(name)
            numeric.append(values | {"p": gained.p, "p_holm": p})
    headings = [HEADINGS[name] for name in (*measures, *people_of(found))]
    headings += ["Δ mAP trapezoid", "p (Holm)", *["Δ [over people]"] * bool(people_of(found))]
    bold, best = best_cells(found, list(called), measures, 3)
    tests = sum(not math.isnan(p) for _, p in corrected.values())
    against = f" Δ: against the first row, paired by seed (t test, p corrected for {tests} tests, Holm)"
    against += " and, over people, by person." if people_of(found) else "."
    return Table(
        name=plan,
        title=f"{title}, {group.name}",
        columns=("variant", "step", "runs", *headings),
        rows=tuple(rows),
        caption=f"{caption(group, found, False, False)}{against}{best} {note}".strip(),
        numbers=pd.DataFrame(numeric),
        left=2,
        bold=bold,
    )

"""All trials of a group: a table that sorts and filters, and curves; a click on a row isolates its curve."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from analysis.charts.trials import DIVERGED, PRUNED, SELECTED, Curve, curves_chart
from analysis.data.changes import changed_in_base
from analysis.data.results import Group, Study
from analysis.data.runs import METRICS, Run, unlabelled
from analysis.data.symbols import symbol
from analysis.page import frame
from analysis.stats.unlabelled import HEADINGS as SCORES
from dcreid.config import Config
from search_spaces.space import Space, holds
from search_spaces.symbols import value_text
from study.record.intervals import MISSING
from study.record.ledger import DIVERGED_VALUE, TrialRecord
from study.show.scores import SELECTED_MEANS
from study.show.wording import clock, whose

_ORDER = ("complete", "diverged", "pruned", "running", "failed")
_STATES = {"running": "not finished"}
SMALL = 360  # pixels of a picture of one of several charts
# Columns of the results table with curves: heading, factor, format.
_MEASURES = {
    "mAP": ("mAP (%)", 100, ".1f"),
    "rank1": ("rank-1 (%)", 100, ".1f"),
    **{name: (f"{text} (%)", 100, ".1f") for name, text in SCORES.items()},
    "unlabelled": ("score without labels (%)", 100, ".1f"),
    "same_camera": ("pairs in a class that one camera saw (%)", 100, ".1f"),
    "classes_after": ("classes after the merge", 1, "d"),
    "class_size_max": ("tracklets in the largest class", 1, "d"),
    "loss": ("loss of the last epoch", 1, ".3f"),
}
_LABELLED = ("mAP", "rank1", "unlabelled", "classes_after", "class_size_max", "loss")
_UNLABELLED = tuple(name for name in _MEASURES if name not in ("mAP", "rank1"))


@dataclass(frozen=True)
class Entry:
    """A trial, and how it is named on the page."""

    study: Study
    trial: TrialRecord
    key: str  # `data-value` of its row, and what the charts' parameter is set to
    name: str
    configuration: str
    searched: dict[str, Any]  # field to value, of those that the study searched and that count in this trial

    @property
    def state(self) -> str:
        """In a word or two."""
        return _STATES.get(self.trial.state, self.trial.state)

    @property
    def is_base(self) -> bool:
        """Whether it is trial 0's configuration on its first seed."""
        plan = self.study.plan
        return self.trial.origin == plan.preset and self.trial.seed == plan.config.seed


def entries(group: Group) -> list[Entry]:
    """Every trial of the group as it was started; named with its study where there are several."""
    found = []
    for place, study in enumerate(group.studies):
        space = Space.from_dict(study.plan.space) if study.plan.space is not None else None
        for trial in study.trials:
            config = Config.from_dict(trial.config)
            number, several = f"trial {trial.number}", len(group.studies) > 1
            found.append(
                Entry(
                    study=study,
                    trial=trial,
                    key=f"{place}/{trial.number}" if several else str(trial.number),
                    name=f"{study.name}, {number}" if several else number,
                    configuration=f"{changed_in_base(config, group)}, seed {trial.seed}",
                    searched=_searched(space, config) if space is not None else {},
                )
            )
    return found


def _searched(space: Space, config: Config) -> dict[str, Any]:
    flat = config.flat()
    values: dict[str, Any] = {}
    for prior in space.priors:
        if holds(prior, values):
            values[prior.field] = flat[prior.field]
    return values


def trials(group: Group, *, suffix: str = "", heading: str = "Trials") -> frame.Section:
    """The section of one group; suffix: ends its anchor and its parameter where a page has several."""
    isolates = f"isolated{suffix}"
    known = entries(group)
    measures = _measures(known, group)
    charts = [_chart(known, name, isolates, small=place > 0) for place, name in enumerate(measures)]
    more = Markup('<div class="charts">\n{}</div>\n').format(Markup().join(charts[1:]))
    body = (
        frame.paragraph(_in_words(known))
        + Markup().join(charts[:1])
        + trial_table(known, group, isolates)
        + (more if charts[1:] else Markup())
    )
    return frame.Section(f"trials{suffix}", heading, body)


def _measures(known: Sequence[Entry], group: Group) -> list[str]:
    """What some trial has measured, of _MEASURES; what the study is about comes first."""
    rows = [row for one in known for row in one.trial.steps.values()]
    names = _UNLABELLED if unlabelled(group) else _LABELLED
    return [name for name in names if any(row.get(name) is not None for row in rows)]


def _in_words(known: Sequence[Entry]) -> str:
    states = Counter(one.state for one in known)
    counts = ", ".join(f"{count} {state}" for state, count in states.items())
    return (
        f"{len(known)} trial{'s' if len(known) > 1 else ''}: {counts}. A click on a row isolates its curve."
    )


# --- curves


def _chart(known: Sequence[Entry], name: str, isolates: str, *, small: bool) -> Markup:
    heading, _, number = _MEASURES[name]
    drawn = [curve for one in known if (curve := _curve(one, name)).values]
    made, still = (
        curves_chart(drawn, heading, isolates, small=small, number=number, answering=answering)
        for answering in (True, False)
    )
    caption = heading if small else f"{heading} by merge step; step 0 is the untrained network."
    width = {"static_width": SMALL} if small else {}
    return frame.chart(made, caption, isolates=isolates, still=still, **width)


def _curve(one: Entry, name: str) -> Curve:
    """A column of the results table by merge step; retrieval falls to 0 where a training diverged."""
    trial, factor = one.trial, _MEASURES[name][1]
    rows = ((step, row.get(name)) for step, row in sorted(trial.steps.items()))
    values = {
        step: factor * float(value) for step, value in rows if value is not None and math.isfinite(value)
    }
    last = max(values, default=0)
    marks = [(last, PRUNED)] if trial.state == "pruned" else []
    if trial.diverged_at is not None and values:
        if name in (*METRICS, "unlabelled"):
            last = trial.diverged_at
            values[last] = DIVERGED_VALUE
        marks.append((last, DIVERGED))
    if trial.state == "complete" and trial.selected_step is not None:
        marks.append((trial.selected_step, SELECTED))
    kind = f"{whose(one.study.plan)} setting" if one.is_base and trial.state == "complete" else one.state
    return Curve(one.key, one.name, one.configuration, kind, values, tuple(marks))


# --- the table


@dataclass(frozen=True)
class _Column:
    heading: str
    number: bool = False
    unsorted: bool = False
    means: str = ""


@dataclass(frozen=True)
class _Cell:
    shown: str | Markup
    sort: Any = None
    means: str = ""


def trial_table(known: Sequence[Entry], group: Group, isolates: str) -> Markup:
    """A row for every trial; a click sets the parameter `isolates` of the page's charts to its key."""
    main = next(iter(_measures(known, group)), "")
    scored = unlabelled(group)
    told = _known_scores(known) if scored else _steps_told(known)
    fields = _varying_fields(known)
    several = len(group.studies) > 1
    columns = (
        _Column("trial", number=True),
        *([_Column("study")] if several else []),
        _Column("state"),
        _Column("steps", number=True, means="merge steps done, of those that a complete trial has"),
        *([_Column(f"{SCORES.get(main, main)} by step", unsorted=True)] if main else []),
        *(_scored_columns(told) if scored else _measured_columns(told)),
        _Column("classes", number=True, means="after the last merge step"),
        _Column("time", number=True, means="of all merge steps"),
        _Column("seed", number=True),
        _Column("origin"),
        *(_Column(symbol(name), number=_is_number(known, name), means=name) for name in fields),
        _Column("configuration", means="what differs from trial 0"),
    )
    limits, steps = _limits(known, main), max((one.trial.total_steps or 0 for one in known), default=0)
    rows = []
    for one in _in_order(known, group):
        cells = (
            _Cell(str(one.trial.number)),
            *([_Cell(one.study.name)] if several else []),
            _state(one),
            _Cell(f"{max(one.trial.last_step, 0)} of {one.trial.total_steps or MISSING}",
                  sort=max(one.trial.last_step, 0)),
            *([_Cell(_spark(one, main, limits, steps))] if main else []),
            *(_scored_cells(one, told) if scored else _measured_cells(one, told)),
            _whole(one.trial.steps.get(one.trial.last_step, {}).get("classes_after")),
            _time(one.trial),
            _Cell(str(one.trial.seed)),
            _Cell(one.trial.origin),
            *(_field(one, name) for name in fields),
            _Cell(Markup('<div class="clamped">{}</div>').format(one.configuration), ),
        )  # fmt: skip
        filters = {"state": one.trial.state, "origin": one.trial.origin}
        rows.append({"key": one.key, "filters": filters, "cells": cells})
    return frame.render("trials.html", columns=columns, rows=rows, isolates=isolates, filters=_filters(known))


def _filters(known: Sequence[Entry]) -> list[tuple[str, str, list[tuple[str, str]]]]:
    states = [state for state in _ORDER if any(one.trial.state == state for one in known)]
    origins = dict.fromkeys(one.trial.origin for one in known)
    return [
        ("state", "state", [(state, _STATES.get(state, state)) for state in states]),
        ("origin", "origin", [(origin, origin) for origin in origins]),
    ]


def _in_order(known: Sequence[Entry], group: Group) -> list[Entry]:
    """Of a search, and without labels, the best first, those that did not end of themselves last."""
    if not unlabelled(group) and all(study.plan.space is None for study in group.studies):
        return list(known)

    def order(one: Entry) -> tuple[int, float]:
        place = max(_ORDER.index(one.trial.state), 1)  # a training that diverged is among the complete ones
        return place, -(one.trial.objective_value(one.study.plan.objective) or DIVERGED_VALUE)

    return sorted(known, key=order)


def _state(one: Entry) -> _Cell:
    """The state, with the reason as a tooltip; what failed or diverged says it in text too."""
    reason = one.trial.reason or ""
    text = Markup('<span class="state state-{}">{}</span>').format(one.trial.state, one.state)
    if one.trial.state in ("failed", "diverged") and reason:
        text += Markup('<div class="reason">{}</div>').format(reason)
    return _Cell(text, sort=one.state, means=reason)


def _limits(known: Sequence[Entry], main: str) -> tuple[float, float]:
    """Of the axis that all sparklines have; a training that diverged falls to its lower end."""
    values = [
        row[main] for one in known for row in one.trial.steps.values() if main and row.get(main) is not None
    ]
    return min(values, default=0.0), max(values, default=1.0)


def _spark(one: Entry, main: str, limits: tuple[float, float], steps: int) -> Markup:
    curve = {step: row.get(main) for step, row in one.trial.steps.items()}
    if one.trial.diverged_at is not None:
        curve[one.trial.diverged_at] = DIVERGED_VALUE
    values = [curve.get(step) for step in range(steps + 1)]
    known = [value for value in values if value is not None]
    said = (
        f"{SCORES.get(main, main)} {100 * known[0]:.1f} to {100 * known[-1]:.1f}" if known else "nothing yet"
    )
    return frame.sparkline(values, alt=said, limits=limits)


_AT = {
    "last": "at the last merge step; in brackets: of a trial that has not come to its end",
    "selected": f"{SELECTED_MEANS.partition(': ')[2]}",
    "best": "at the merge step of the highest mAP, chosen with test labels",
}


def _steps_told(known: Sequence[Entry]) -> list[str]:
    scored = any(one.trial.selected_step is not None for one in known)
    return [at for at in _AT if at != "selected" or scored]


def _measured_columns(told: Sequence[str]) -> Iterator[_Column]:
    for at in told:
        yield _Column(f"mAP {at}", number=True, means=_AT[at])
    yield _Column("rank-1", number=True, means=_AT["last"])


def _measured_cells(one: Entry, told: Sequence[str]) -> Iterator[_Cell]:
    run = Run(one.study, one.trial, "", ())
    ended = one.trial.state in ("complete", "diverged")
    measured = bool(one.trial.objective_curve("last"))
    for at in told:
        yield _percent(run.value("mAP", at) if measured else math.nan, at != "last" or ended)
    yield _percent(run.value("rank1", "last") if measured else math.nan, ended)


def _known_scores(known: Sequence[Entry]) -> list[str]:
    rows = [row for one in known for row in one.trial.steps.values()]
    return [name for name in SCORES if any(row.get(name) is not None for row in rows)]


def _scored_columns(told: Sequence[str]) -> Iterator[_Column]:
    yield _Column("selected", number=True, means=SELECTED_MEANS)
    for name in told:
        yield _Column(SCORES[name], number=True, means="percent, at the selected step")


def _scored_cells(one: Entry, told: Sequence[str]) -> Iterator[_Cell]:
    ended, lost = one.trial.state in ("complete", "diverged"), one.trial.state == "diverged"
    row = {} if lost else one.trial.selected
    yield _whole(row.get("step"))
    for name in told:
        value = DIVERGED_VALUE if lost and name == "unlabelled" else row.get(name)
        yield _percent(math.nan if value is None else 100 * value, ended)


def _percent(value: float, ended: bool) -> _Cell:
    if math.isnan(value):
        return _Cell(MISSING)
    return _Cell(f"{value:.1f}" if ended else f"({value:.1f})", sort=f"{value:.6g}")


def _whole(value: float | None) -> _Cell:
    return _Cell(MISSING if value is None else f"{value:g}")


def _time(trial: TrialRecord) -> _Cell:
    if trial.reused:
        return _Cell(MISSING, means=f"taken over from {trial.reused}")
    return _Cell(clock(trial.seconds), sort=round(trial.seconds, 1)) if trial.seconds else _Cell(MISSING)


# --- what a search varies


def _varying_fields(known: Sequence[Entry]) -> list[str]:
    """The searched fields of which two trials have different values."""
    fields = dict.fromkeys(name for one in known for name in one.searched)
    return [name for name in fields if len({repr(one.searched.get(name)) for one in known}) > 1]


def _field(one: Entry, name: str) -> _Cell:
    """A value that counts; – where a condition of the search says that it does not."""
    value = one.searched.get(name)
    if value is None:
        return _Cell(MISSING)
    return _Cell(value_text(value), sort=f"{value:.6g}" if isinstance(value, float) else None)


def _is_number(known: Sequence[Entry], name: str) -> bool:
    return all(type(one.searched.get(name)) in (int, float, type(None)) for one in known)

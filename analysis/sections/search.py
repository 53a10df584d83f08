"""What the searches of a group found, as far as the number of trials allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import optuna
from markupsafe import Markup
from optuna.importance import PedAnovaImportanceEvaluator

from analysis.charts.search import (
    Point,
    contour_chart,
    history_chart,
    importances_chart,
    parallel_chart,
    slice_chart,
)
from analysis.data.results import Group, Study
from analysis.page import frame
from analysis.sections.trials import SMALL, Entry, entries
from analysis.stats import searched
from analysis.stats.searched import MOST, Parameter, optuna_study

_PRUNED = "A pruned trial counts with the value at which it ended, of fewer merge steps than the others'."
_HALF = 420  # pixels of a picture of one of two charts
_FANOVA = "fANOVA beside PED-ANOVA: pip install -e '.[analysis]' (scikit-learn)."


def search(group: Group, *, suffix: str = "", heading: str = "The search") -> frame.Section | None:
    """The section of one group; None where nothing was searched. suffix: as that of `trials`."""
    studies = [study for study in group.studies if study.plan.space is not None]
    if not studies:
        return None
    known = entries(group)
    parts = []
    for study in studies:
        own = {one.trial.number: one for one in known if one.study is study}
        if len(studies) > 1:
            parts.append(Markup("<h3>{}</h3>\n").format(study.name))
        parts += _of_study(study, own, f"isolated{suffix}")
    return frame.Section(f"search{suffix}", heading, Markup().join(parts))


def _of_study(study: Study, own: dict[int, Entry], isolates: str) -> Iterator[Markup]:
    rebuilt = optuna_study(study)
    title = str(rebuilt.user_attrs["axis"]).removeprefix("objective: ")
    points = _points(rebuilt, own)
    if not points:
        yield _small("No trial of the search has ended yet.")
        return
    yield frame.chart(
        history_chart(points, title, isolates),
        f"What the search maximises, {title}, by trial; line: the best complete one so far. {_PRUNED}",
        isolates=isolates,
    )
    nothing = searched.why_nothing_said(rebuilt)
    if nothing:
        yield _small(f"Importances, contour, slices and parallel coordinates: {nothing}.")
        return
    known = searched.parameters(study)
    shares = _shares(rebuilt)
    varied = [known[name] for name in shares["PED-ANOVA"] if len({repr(p.params[name]) for p in points}) > 1]
    yield Markup('<div class="side-by-side">\n<div>{}</div><div>{}</div></div>\n').format(
        _importances(shares), _contour(points, varied, title, isolates)
    )
    yield Markup("<h3>One parameter at a time</h3>\n") + _slices(points, varied[:MOST], title, isolates)
    yield frame.chart(
        parallel_chart(points, varied[:MOST], title, isolates),
        f"Every trial as a line through its parameters to {title}, the most important first. Dashed: pruned.",
        isolates=isolates,
    )


def _small(text: str) -> Markup:
    return Markup('<p class="caption">{}</p>\n').format(text)


def _points(study: optuna.Study, own: dict[int, Entry]) -> list[Point]:
    found = []
    for trial in searched.valued(study):
        one = own[trial.user_attrs["trial"]]
        assert trial.value is not None
        found.append(
            Point(
                key=one.key,
                number=one.trial.number,
                trial=one.name,
                configuration=one.configuration,
                kind=_kind(trial.user_attrs["base"], one.trial.state),
                value=100 * trial.value,
                ended=max(trial.intermediate_values),
                params=trial.params,
            )
        )
    return found


def _kind(base: str, state: str) -> str:
    return base if base and state == "complete" else state


def _shares(study: optuna.Study) -> dict[str, dict[str, float]]:
    """Method to the importance of every parameter, largest first."""
    methods = {"PED-ANOVA": PedAnovaImportanceEvaluator(), "fANOVA": searched.fanova()}
    return {name: searched.importances(study, one) for name, one in methods.items() if one is not None}


def _importances(shares: dict[str, dict[str, float]]) -> Markup:
    names = list(shares["PED-ANOVA"])
    caption = (
        "Importances. PED-ANOVA: how far the best tenth of the trials differs in a parameter from all of "
        f"them; fANOVA: its share of the variance between trials. {_PRUNED}"
    )
    if len(names) > MOST:
        caption = f"{caption} Here: the {MOST} of {len(names)} parameters that PED-ANOVA puts first."
    more = Markup() if "fANOVA" in shares else _small(_FANOVA)
    return frame.chart(importances_chart(shares, names[:MOST]), caption, static_width=_HALF) + more


def _contour(points: Sequence[Point], varied: Sequence[Parameter], title: str, isolates: str) -> Markup:
    """Over λ1 and λ2 where both were varied, else over the two most important numbers."""
    numbers = [one for one in varied if not one.choices]
    lambdas = [one for one in numbers if one.name in ("λ1", "λ2")]
    pair = sorted(lambdas, key=lambda one: one.name) if len(lambdas) == 2 else numbers[:2]
    if len(pair) < 2:
        return _small("Contour: two parameters that are numbers are needed.")
    first, second = pair
    return frame.chart(
        contour_chart(points, (first, second), title, isolates),
        f"{title} over {first.name} and {second.name}, linear between the trials, which are the points: as "
        "noisy as they are.",
        isolates=isolates,
        static_width=_HALF,
    )


def _slices(points: Sequence[Point], varied: Sequence[Parameter], title: str, isolates: str) -> Markup:
    charts = [
        frame.chart(
            slice_chart(points, one, title, isolates), one.name, isolates=isolates, static_width=SMALL
        )
        for one in varied
    ]
    return Markup('<div class="charts">\n{}</div>\n').format(Markup().join(charts)) + _small(
        f"{title} against each parameter, the most important first. Looks as in the first picture. {_PRUNED}"
    )

"""What the parts of the paper's section are put together from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
from markupsafe import Markup

from analysis.data.runs import Run, runs_of
from analysis.page.frame import chart, details
from analysis.page.typeset import Table, html_table, number

MEASURES = {"rank1": "rank-1", "mAP_trapezoid": "mAP trapezoid"}


def heading(text: str) -> Markup:
    """Of a part of the section."""
    return Markup("<h3>{}</h3>\n").format(text)


def table_of(table: Table) -> Markup:
    """A table under its title."""
    return Markup(html_table(table))


def hidden(held: Mapping[str, Table], name: str) -> Markup:
    """A secondary table, behind a click; nothing where it is not held."""
    return details(held[name].title, table_of(held[name])) if name in held else Markup()


def beside(charts: Sequence[tuple[alt.TopLevelMixin, str]]) -> Markup:
    """Charts with their captions, two in a row where there is room."""
    drawn = Markup().join(chart(made, caption) for made, caption in charts)
    return Markup('<div class="side-by-side">\n{}</div>\n').format(drawn)


def seeds_of(found: Sequence[Run], experiments: Sequence[str]) -> str:
    """`3 seeds`, the most that an experiment has; and how many runs diverged."""
    seen = [runs_of(found, name) for name in experiments]
    diverged = len({id(run) for of in seen for run in of if run.diverged})
    text = number(max(len(of) for of in seen), "seed")
    return f"{text}, {number(diverged, 'run')} diverged" if diverged else text

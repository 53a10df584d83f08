"""What merges joined and how the classes grow, by merge step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from analysis.charts.steps import HEIGHT, curves, whole
from analysis.charts.style import GREEN, GREY, ORANGE, PURPLE, VERMILION, rows, step_axis, told
from analysis.data.runs import Run
from analysis.stats.joins import CAUSES, by_step
from analysis.stats.series import over_steps
from dcreid.evaluation.joins import RIGHT, WRONG

AFTER = "merge step"
# What a merge joined: the values of a join's columns, and a colour. Wrong ones are at the bottom.
KINDS: dict[str, tuple[dict[str, int], str]] = {
    "wrong, one camera": ({"right": WRONG, "one_camera": 1}, VERMILION),
    "wrong, several cameras": ({"right": WRONG, "one_camera": 0}, ORANGE),
    "right, one camera": ({"right": RIGHT, "one_camera": 1}, "#8fd1bd"),
    "right, several cameras": ({"right": RIGHT, "one_camera": 0}, GREEN),
}
_CAUSE_COLOURS = (VERMILION, ORANGE, PURPLE, GREY)
QUALITY = {"purity": "purity", "nmi": "NMI", "ari": "ARI", "pairwise_f": "pairwise F"}


def joins_chart(recorded: Sequence[pd.DataFrame]) -> alt.Chart:
    """Joins by person and camera; means over runs (`analysis.stats.joins.joins_of`)."""
    counts = by_step(recorded, {name: values for name, (values, _) in KINDS.items()})
    return _stacked(counts, [colour for _, colour in KINDS.values()], "joins")


def causes_chart(recorded: Sequence[pd.DataFrame]) -> alt.Chart:
    """Wrong joins by the term of Eq (7) that let them through."""
    counts = by_step(recorded, {name: {"cause": key} for key, (name, _) in CAUSES.items()})
    return _stacked(counts, _CAUSE_COLOURS, "wrong joins, by cause")


def _stacked(counts: pd.DataFrame, colours: Sequence[str], title: str) -> alt.Chart:
    names = list(counts.columns)
    records = [
        {"x": int(str(step)), "kind": name, "order": order, "joins": float(counts.loc[step, name])}
        for step in counts.index for order, name in enumerate(names)
    ]  # fmt: skip
    color = alt.Color("kind:N", sort=names, title=None, scale=alt.Scale(domain=names, range=list(colours)))
    axis = alt.Axis(labelAngle=0, labelOverlap=True)
    made: alt.Chart = (
        alt.Chart(rows(records), width="container", height=HEIGHT)
        .mark_bar()
        .encode(
            x=alt.X("x:O", title=AFTER, axis=axis),
            y=alt.Y("joins:Q", title=title),
            color=color.legend(columns=2),
            order="order:O",
            tooltip=told(("x", AFTER), ("kind", "joins"), ("joins", "number", ".1f")),
        )
    )
    return made


def quality_chart(runs: Sequence[Run]) -> alt.LayerChart | None:
    """How far the classes of one configuration agree with identities; None where nobody knows these."""
    named = {label: over_steps(runs, column, scale=100) for column, label in QUALITY.items()}
    known = {label: series for label, series in named.items() if series.x}
    layers = curves(known, step_axis("x", AFTER), "agreement with identities (%)", zero=True)
    return whole(layers) if known else None


def sizes_chart(runs: Mapping[str, Sequence[Run]]) -> alt.LayerChart:
    """Tracklets in the largest class, by name of configuration."""
    named = {name: over_steps(of, "class_size_max") for name, of in runs.items()}
    return whole(curves(named, step_axis("x", AFTER), "tracklets in the largest class", zero=True))

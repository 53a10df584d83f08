"""The joins of the merges as pictures: by identity, by camera and by the cause of wrong ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.data.runs import Run, runs_of
from analysis.figures.style import LINES, panels, whole_numbers
from analysis.stats.joins import CAUSES, MADE_ANEW, by_step, joins_of, why_no_joins
from analysis.stats.series import NO_FINAL_RUN
from dcreid.evaluation.joins import RIGHT, UNKNOWN, WRONG
from search_spaces.paper import FINAL

_LOOKS: tuple[dict[str, Any], ...] = (
    {"color": LINES[0].color},
    {"color": "white", "edgecolor": LINES[1].color, "hatch": "///"},
    {"color": LINES[2].color, "edgecolor": "white", "hatch": "..."},
    {"color": "0.85", "edgecolor": "0.4"},
)


def final_joins_figure(found: Sequence[Run]) -> Figure | str:
    """The joins of the final setting, averaged over seeds."""
    final = runs_of(found, FINAL)
    recorded = [joins for run in final if (joins := joins_of(run)) is not None]
    if not recorded:
        return why_no_joins(final) if final else NO_FINAL_RUN
    return joins_figure(recorded)


def joins_figure(runs: Sequence[pd.DataFrame]) -> Figure | str:
    """Joins per merge step by identity, by camera and, of the wrong ones, by cause; means over runs."""
    joins = pd.concat(runs, ignore_index=True)
    if joins.empty:
        return MADE_ANEW
    if (joins["right"] == UNKNOWN).all():
        return "the training tracklets have no identities"
    figure, (identity, camera, cause) = panels(3)
    people = {"one person": {"right": RIGHT}, "two persons (wrong)": {"right": WRONG}}
    cameras = {"one camera": {"one_camera": 1}, "several cameras": {"one_camera": 0}}
    causes = {label: {"cause": key} for key, (_, label) in CAUSES.items()}
    for ax, kinds in ((identity, people), (camera, cameras), (cause, causes)):
        _stack(ax, by_step(runs, kinds))
    for ax, what in ((identity, "joins"), (camera, "joins"), (cause, "wrong joins, by cause")):
        ax.set(xlabel="merge step", ylabel=what)
    return figure


def _stack(ax: Axes, counts: pd.DataFrame) -> None:
    """Stacked bars with room for the legend above them."""
    bottom = np.zeros(len(counts))
    for (label, heights), look in zip(counts.items(), _LOOKS, strict=False):
        shown = heights.where(heights > 0)  # no line where there is no bar
        ax.bar(counts.index, shown, bottom=bottom, label=str(label), linewidth=0.6, **look)
        bottom += heights.to_numpy()
    ax.set_ylim(0, (1.35 if len(counts.columns) > 2 else 1.2) * max(1.0, bottom.max()))
    whole_numbers(ax.xaxis, ax.yaxis)
    ax.legend(fontsize=7, ncols=2, loc="upper center")

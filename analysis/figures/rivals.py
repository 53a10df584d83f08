"""This method, BUC, DBC and OIM in one picture, against the epochs that each has trained.

Stages have other lengths in other methods and OIM has only one, so epochs, not merge steps, put what cost
the same above each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from analysis.data.results import Group
from analysis.data.runs import Run, runs_of
from analysis.figures.style import LINES, band, crosses, panels, plain, whole_numbers
from analysis.stats.series import epochs_trained, over_epochs, seeds_text
from search_spaces.rivals import RIVAL_LABELS, RIVALS

_MEASURES = (("rank1", "rank-1 (%)"), ("mAP_trapezoid", "mAP, trapezoid (%)"))


def rivals_figure(plan: str, found: Sequence[Run], group: Group) -> Figure | str:
    """Rank-1 and mAP of every method that was run; the untrained network as a line."""
    runs = {row: of for row in RIVALS if (of := runs_of(found, f"{plan}/{row}"))}
    if not runs:
        return f"no run of --plan {plan} has ended"
    lost = sorted(
        float(epochs_trained(run.config.train, step))
        for of in runs.values()
        for run in of
        if (step := run.trial.diverged_at) is not None
    )
    figure, axes = panels(2)
    for ax, (metric, heading) in zip(axes, _MEASURES, strict=True):
        for line, row in zip(LINES, RIVALS, strict=False):
            if row in runs:
                series = over_epochs(runs[row], metric)
                band(ax, series.x, series.mean, series.half, line, RIVAL_LABELS[f"{plan}/{row}"])
                if len(series.x) == 1:  # a band of one point has no area
                    mean, half = series.mean[0], series.half[0]
                    ax.vlines(series.x, mean - half, mean + half, line.color)
        crosses(ax, lost)
        values = [run.value(metric, "untrained") for of in runs.values() for run in of]
        untrained = [value for value in values if not math.isnan(value)]
        if untrained:
            ax.axhline(sum(untrained) / len(untrained), color="0.4", linestyle=":", label="untrained network")
        ax.set(xlabel="epochs trained", ylabel=heading, xlim=(0, None))
        whole_numbers(ax.xaxis)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=7)
    most = max(len(of) for of in runs.values())
    figure.suptitle(f"{plain(group.name)}, {seeds_text(most)}", fontsize=9, x=0.01, ha="left")
    return figure

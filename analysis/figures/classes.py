"""How the classes grow over the merge steps: their number, size, and agreement with identities."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.data.runs import Run, runs_of
from analysis.figures.style import LINES, band, panels, whole_numbers
from analysis.stats.series import NO_FINAL_RUN, over_steps
from search_spaces.paper import FINAL

QUALITY = (("purity", "purity"), ("nmi", "NMI"), ("ari", "ARI"), ("pairwise_f", "pairwise F"))
_LEGEND = {
    "table1/lambda1_lambda2": r"$\lambda_1$ and $\lambda_2$",
    "table1/lambda1": r"$\lambda_1$",
    "table1/baseline": "neither",
}


def classes_figure(found: Sequence[Run]) -> Figure | str:
    """Quality and number of classes of the final setting; the largest class under each criterion."""
    final = runs_of(found, FINAL)
    if not final:
        return NO_FINAL_RUN
    figure, (quality, number, largest) = panels(3)
    for line, (metric, label) in zip(LINES, QUALITY, strict=False):
        series = over_steps(final, metric)
        if series.x:
            band(quality, series.x, series.mean, series.half, line, label)
    quality.set(ylabel="agreement with identities", ylim=(-0.05, 1.05))
    if not quality.lines:
        quality.text(
            0.5, 0.5, "no labels on the\ntraining tracklets", ha="center", transform=quality.transAxes
        )
    series = over_steps(final, "classes_after")
    band(number, series.x, series.mean, series.half, LINES[0], "final setting")
    number.set(ylabel="classes $C$ after the merge", ylim=(0, None))
    _largest(largest, found)
    for ax in (quality, number, largest):
        ax.set_xlabel("merge step")
        whole_numbers(ax.xaxis)
        if ax.lines:
            ax.legend()
    return figure


def _largest(ax: Axes, found: Sequence[Run]) -> None:
    for line, (experiment, label) in zip(LINES, _LEGEND.items(), strict=False):
        series = over_steps(runs_of(found, experiment), "class_size_max")
        if series.x:
            band(ax, series.x, series.mean, series.half, line, label)
    ax.set(ylabel="tracklets in the largest class", ylim=(0, None))

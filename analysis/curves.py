"""The paper's figures from one or several studies, as PDF and PNG.

python analysis/curves.py STUDY [STUDY…] [--out DIR]

Fig 3 (against the merge step), Figs 4 and 5 (against λ1 and λ2), the same for τ and α, how the classes
grow, the rivals in one picture where they were run, and for a search Optuna's own plots. What was not run
is named and left out. Of data without labels: scores and sizes of classes by merge step.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script: the packages beside this folder come first
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
if __name__ == "__main__":
    os.environ["MPLBACKEND"] = "Agg"  # files only, whatever the environment wants

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import command
from analysis.data.results import Group, load
from analysis.data.runs import Run, by_score, of_experiment, runs, runs_of, steps_told, unlabelled
from analysis.data.symbols import symbol
from analysis.figures.classes import classes_figure
from analysis.figures.joins import final_joins_figure
from analysis.figures.rivals import rivals_figure
from analysis.figures.search import search_figures
from analysis.figures.style import (
    BEST,
    LAST,
    LINES,
    PUBLISHED,
    SELECTED,
    band,
    crosses,
    panels,
    plain,
    save,
    styled,
    whole_numbers,
)
from analysis.figures.unlabelled import scores_figure, sizes_figure
from analysis.stats.series import (
    NO_FINAL_RUN,
    SWEEPS,
    Series,
    numbered,
    over_parameter,
    over_steps,
    printed_points,
    seeds_text,
)
from analysis.tables import file_name
from dcreid.commandline import say
from search_spaces.paper import FINAL
from search_spaces.rivals import RIVAL_PLANS
from study.record.intervals import estimate

_JOINS = (
    "What the merges joined: classes of one person or of two, of one camera or of several; and of the wrong "
    "joins, the term of Eq (7) that let them through (see the table of wrong joins)."
)
_RIVALS = (
    "The rivals against the epochs each has trained: stages have other lengths in other methods, and OIM has "
    "one, so one point."
)
_HEADING: dict[str, Any] = {"fontsize": 9, "x": 0.01, "ha": "left"}
MEASURES = (("rank1", "rank-1 (%)"), ("mAP_trapezoid", "mAP, trapezoid (%)"))


def figures(group: Group) -> Iterator[tuple[str, str, Figure | str]]:
    """(name, caption, figure) of everything that a group has; in place of a figure, why it is missing."""
    if unlabelled(group):
        yield from _without_labels(group)
        return
    found = runs(group)
    yield "fig3", f"Fig 3: against the merge step. {_source(group)}", fig3(found, group)
    for plan, name, title, field in SWEEPS:
        yield name, f"{title} ({symbol(field)}). {_source(group)}", sweep_figure(found, group, plan, field)
    for plan in RIVAL_PLANS:
        if plan in {study.plan.experiments for study in group.studies}:
            yield plan, f"{_RIVALS} {_source(group)}", rivals_figure(plan, found, group)
    yield "classes", f"How the classes grow. {_source(group)}", classes_figure(found)
    yield "joins", f"{_JOINS} {_source(group)}", final_joins_figure(found)
    yield from search_figures(group)


def _without_labels(group: Group) -> Iterator[tuple[str, str, Figure | str]]:
    found = by_score(group)
    if found:
        yield "scores", f"Scores without labels, of networks and classes. {group.name}", scores_figure(found)
        yield "classes", f"How the classes grow. {group.name}", sizes_figure(found)
    yield from search_figures(group)


def fig3(found: Sequence[Run], group: Group) -> Figure | str:
    """Rank-1 and both mAPs against the merge step; step 0 is the untrained network."""
    final = runs_of(found, FINAL)
    if not final:
        return NO_FINAL_RUN
    figure, (left, right) = panels(2)
    kinds = ((left, "rank1", "rank-1"), (right, "mAP_trapezoid", "mAP, trapezoid"), (right, "mAP", "mAP"))
    for ax, metric, label in kinds:
        series = over_steps(final, metric, scale=100, untrained=True)
        band(ax, series.x, series.mean, series.half, LINES[1 if metric == "mAP" else 0], label)
    lost = sorted({float(step) for run in final if (step := run.trial.diverged_at) is not None})
    for ax in (left, right):
        crosses(ax, lost)
    published = printed_points("fig4", group).get(group.base.merge.lambda1)
    if published is not None:
        for ax, value in ((left, published.rank1), (right, published.mAP)):
            ax.axhline(value, color="black", linestyle=":", linewidth=1, label="paper, best step")
    for ax, what in ((left, "rank-1 (%)"), (right, "mAP (%)")):
        _percent_axis(ax)
        ax.set(xlabel="merge step (0: untrained)", ylabel=what)
        whole_numbers(ax.xaxis)
        ax.legend()
    figure.suptitle(f"{plain(group.name)}, {seeds_text(len(final))}", **_HEADING)
    return figure


def sweep_figure(found: Sequence[Run], group: Group, plan: str, field: str) -> Figure | str:
    """Rank-1 and mAP (trapezoid) against one parameter, at the best, the last and the selected step."""
    measured = over_parameter(found, plan, "rank1", "best")
    if len(measured.x) < 2:
        return f"not run: only {len(measured.x)} value(s) of {symbol(field)} (run --plan {plan})"
    figure, axes = panels(2)
    published = printed_points(plan, group)
    points = numbered(found, plan)
    lost = [x for x, name in points.items() if any(run.diverged for run in runs_of(found, name))]
    for ax, (metric, label) in zip(axes, MEASURES, strict=True):
        for at, line in zip(steps_told(found), (BEST, LAST, SELECTED), strict=False):
            series = over_parameter(found, plan, metric, at)
            band(ax, series.x, series.mean, series.half, line, f"{at} step")
        crosses(ax, lost)
        if published:
            printed = [row.rank1 if metric == "rank1" else row.mAP for row in published.values()]
            ax.plot(list(published), printed, label="paper", **PUBLISHED)
        if field == "train.alpha":
            _schedules(ax, found, group, metric)
        _parameter_axis(ax, measured, field)
        _percent_axis(ax)
        ax.set_ylabel(label)
        ax.legend(fontsize=7)
    figure.suptitle(f"{plain(group.name)}, {seeds_text(measured.runs)}", **_HEADING)
    return figure


def _schedules(ax: Axes, found: Sequence[Run], group: Group, metric: str) -> None:
    """The other schedules of α as points at the end value they ran with."""
    for schedule, line in (("fixed", LINES[2]), ("cosine", LINES[3])):
        values = estimate(of_experiment(found, f"alpha/{schedule}", metric, "best"))
        if values.n:
            ax.errorbar(group.base.train.alpha, values.mean, values.half,
                        color=line.color, marker=line.marker, linestyle="none", capsize=3,
                        label=f"{schedule}, best step")  # fmt: skip


def _parameter_axis(ax: Axes, series: Series, field: str) -> None:
    """Ticks at the values that were run; logarithmic where they spread, with 0 at the left end."""
    positive = [x for x in series.x if x > 0]
    if max(positive) / min(positive) > 5 and field != "train.alpha":
        ax.set_xscale("symlog", linthresh=min(positive), linscale=0.5)
    ax.set_xticks(series.x, [f"{x:g}" for x in series.x], rotation=60)
    ax.minorticks_off()
    ax.set_xlabel(symbol(field, math=True))


def _percent_axis(ax: Axes) -> None:
    """Limits the axis to values that percentages can have, however wide an interval is."""
    low, high = ax.get_ylim()
    ax.set_ylim(max(low, -2.0), min(high, 102.0))


def _source(group: Group) -> str:
    mixed = f"; {group.versions_in_words}" if group.versions_in_words else ""
    return f"{group.name}; gallery: {group.protocol}{mixed}"


def main(argv: Sequence[str] | None = None) -> int:
    """0 = written, 2 = a study that cannot be read."""
    made = command.parser("analysis/curves.py", __doc__)
    return command.run("analysis/curves.py", made, _write, argv)


def _write(given: argparse.Namespace) -> None:
    groups = load(given.studies, across_versions=given.across_versions).groups
    folder = command.out_folder(given)
    for group in groups:
        with styled():
            for name, caption, figure in figures(group):
                if isinstance(figure, str):
                    say(f"{group.name}, {name}: {figure}")
                    continue
                paths = save(figure, folder, file_name(group, groups, name))
                say(f"{paths[0]} and .png: {caption}")


if __name__ == "__main__":
    sys.exit(main())

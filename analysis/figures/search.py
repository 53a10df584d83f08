"""What a search found, by Optuna's own plots on matplotlib."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import matplotlib.pyplot as plt
import optuna
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from optuna.importance import BaseImportanceEvaluator
from optuna.trial import FrozenTrial, TrialState
from optuna.visualization import matplotlib as plots

from analysis.data.results import Group
from analysis.figures.style import LINES, panels, whole_numbers
from analysis.stats.searched import (
    MOST,
    counting_pruned,
    fanova,
    optuna_study,
    telling,
    why_nothing_said,
)

_PRUNED = "pruned trials count with the value at which they ended"


def search_figures(group: Group) -> Iterator[tuple[str, str, Figure | str]]:
    """(name, caption, figure or why there is none) for every study of the group that searched."""
    searched = [study for study in group.studies if study.plan.space is not None]
    for study in searched:
        prefix = "search" if len(searched) == 1 else f"search-{study.name}"
        rebuilt = optuna_study(study)
        yield f"{prefix}-history", f"{study.name}: trials in order, pruned ones included", history(rebuilt)
        yield (
            f"{prefix}-curves",
            f"{study.name}: objective by merge step, pruned ones included",
            curves(rebuilt),
        )
        for name, caption, draw in _PLOTS:
            yield f"{prefix}-{name}", f"{study.name}: {caption}; {_PRUNED}", _drawn(draw, rebuilt)


def history(study: optuna.Study) -> Figure | str:
    """Objective by trial number: complete, pruned (at the step where it ended), diverged, the best so far."""
    if not study.trials:
        return "no trial of the search has ended yet"
    figure, (ax,) = panels(1)
    for label, line in (("complete", LINES[0]), ("pruned", LINES[1]), ("diverged", LINES[3])):
        ended = [t for t in study.trials if t.user_attrs["state"] == label and t.value is not None]
        if label == "diverged" and not ended:
            continue
        ax.plot(
            [t.user_attrs["trial"] for t in ended], [100 * (t.value or math.nan) for t in ended],
            linestyle="none", marker=line.marker, color=line.color, label=label,
            markerfacecolor=line.color if label == "complete" else "none",
        )  # fmt: skip
    complete = [t for t in study.trials if t.state == TrialState.COMPLETE]
    best = [max(100 * (t.value or 0.0) for t in complete[: i + 1]) for i in range(len(complete))]
    ax.step([t.user_attrs["trial"] for t in complete], best, where="post", color="0.4", linewidth=1,
            label="best complete so far")  # fmt: skip
    for base in [t for t in complete if t.user_attrs["base"]]:
        ax.plot(base.user_attrs["trial"], 100 * (base.value or 0.0), "k*",
                markersize=10, markerfacecolor="white", label=base.user_attrs["base"])  # fmt: skip
    ax.set(xlabel="trial", ylabel=study.user_attrs["axis"])
    whole_numbers(ax.xaxis)
    ax.legend(fontsize=7)
    return figure


def curves(study: optuna.Study) -> Figure | str:
    """Objective by merge step: complete trials solid, pruned ones dashed with a cross at their end."""
    if not study.trials:
        return "no trial of the search has ended yet"
    figure, (ax,) = panels(1)
    labelled = set()
    for trial in study.trials:
        label, look = _look(trial)
        steps = sorted(trial.intermediate_values)
        ax.plot(steps, [100 * trial.intermediate_values[step] for step in steps],
                label=None if label in labelled else label, **look)  # fmt: skip
        labelled.add(label)
    ax.set(xlabel="merge step", ylabel=study.user_attrs["axis"])
    whole_numbers(ax.xaxis)
    ax.legend(fontsize=7)
    return figure


def _look(trial: FrozenTrial) -> tuple[str, dict[str, Any]]:
    if trial.user_attrs["base"]:
        return str(trial.user_attrs["base"]), {"color": "black", "linewidth": 2, "zorder": 3}
    label = str(trial.user_attrs["state"])
    if label == "complete":
        return label, {"color": LINES[0].color, "linewidth": 0.8}
    line = LINES[1] if label == "pruned" else LINES[3]
    return label, {
        "color": line.color,
        "linestyle": line.linestyle,
        "linewidth": 0.8,
        "marker": "x",
        "markevery": [-1],
    }


def _drawn(draw: Callable[[optuna.Study], Any], study: optuna.Study) -> Figure | str:
    nothing = why_nothing_said(study)
    if nothing:
        return nothing
    with warnings.catch_warnings(), plt.rc_context():
        warnings.simplefilter("ignore")
        drawn = draw(counting_pruned(study))
    if isinstance(drawn, str):
        return drawn
    figure = _figure(_axes(drawn)[0])
    figure.suptitle("")
    for ax in figure.axes:
        ax.set_title("")
        ax.set_title("", loc="left")
        if ax.get_ylabel() == "Objective Value":
            ax.set_ylabel("objective: mAP (fraction)")
    return figure


def _axes(drawn: Any) -> list[Axes]:
    """The panels of one of Optuna's plots."""
    return [drawn] if isinstance(drawn, Axes) else list(drawn.ravel())


def _figure(ax: Axes) -> Figure:
    figure = ax.get_figure()
    assert isinstance(figure, Figure)
    return figure


def _importances(make: Callable[[], BaseImportanceEvaluator | None]) -> Callable[[optuna.Study], Axes | str]:
    def draw(study: optuna.Study) -> Axes | str:
        evaluator = make()
        if evaluator is None:
            return "left out: needs scikit-learn (pip install -e '.[analysis]')"
        ax = plots.plot_param_importances(study, evaluator=evaluator)
        legend = ax.get_legend()
        if legend is not None:  # of the one objective there is
            legend.remove()
        ax.set(xlabel="importance", ylabel="")
        return ax

    return draw


def _contour(study: optuna.Study) -> Any:
    searched = {name for trial in study.trials for name in trial.params}
    if not {"λ1", "λ2"} <= searched:
        return "λ1 and λ2 were not both searched"
    return plots.plot_contour(study, params=["λ1", "λ2"])


def _slices(study: optuna.Study) -> Any:
    drawn = plots.plot_slice(study, params=telling(study))
    axes = _axes(drawn)
    _figure(axes[0]).set_size_inches(2.2 * len(axes), 3.0)
    for ax in axes:
        ax.tick_params(axis="x", which="both", labelrotation=60)
    return drawn


def _parallel(study: optuna.Study) -> Any:
    drawn = plots.plot_parallel_coordinate(study, params=telling(study))
    for ax in _figure(drawn).axes:
        ax.grid(False)  # Optuna's, one for every axis, would cut through the lines
    return drawn


_PLOTS: tuple[tuple[str, str, Callable[[optuna.Study], Any]], ...] = (
    (
        "importance-pedanova",
        "parameter importances by PED-ANOVA: what tells good configurations from the others",
        _importances(optuna.importance.PedAnovaImportanceEvaluator),
    ),
    ("importance-fanova", "parameter importances by fANOVA: shares of the variance", _importances(fanova)),
    ("slices", f"objective against each parameter, at most the {MOST} that tell most", _slices),
    ("contour", "objective over λ1 × λ2 (0 below the smallest value)", _contour),
    ("parallel", "every trial as a line through its parameters", _parallel),
)

"""Runs on data that nobody has labelled, as pictures: their scores and classes by merge step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

from analysis.data.runs import Run
from analysis.figures.style import LINES, panels, whole_numbers
from analysis.stats.unlabelled import HEADINGS, scores_known
from dcreid.evaluation.unlabelled import same_camera


def scores_figure(found: Sequence[Run]) -> Figure:
    """A panel for every score: the chosen run over the others, from the untrained network on."""
    known = scores_known(found)
    columns = min(3, len(known))
    figure, axes = panels(columns, -(-len(known) // columns))
    chosen = found[0]
    for ax, name in zip(axes, known, strict=False):
        for run in found[1:]:
            ax.plot(
                *_curve(run, name), color="0.75", linewidth=0.8, label="others" if run is found[1] else None
            )
        steps, values = _curve(chosen, name)
        ax.plot(steps, values, color=LINES[0].color, label=_name(chosen))
        _mark(ax, chosen, dict(zip(steps, values, strict=True)))
        ax.set(ylabel=f"{HEADINGS[name]} (%)")
    for ax in axes[len(known) :]:
        ax.set_axis_off()
    _finish(figure, axes[: len(known)])
    return figure


def sizes_figure(found: Sequence[Run]) -> Figure:
    """Number of classes and size of the largest one, of the chosen run over the others."""
    figure, axes = panels(2)
    chosen = found[0]
    for ax, (name, text) in zip(axes, _SIZES.items(), strict=True):
        for run in found[1:]:
            ax.plot(
                *_curve(run, name, 1),
                color="0.75",
                linewidth=0.8,
                label="others" if run is found[1] else None,
            )
        steps, values = _curve(chosen, name, 1)
        ax.plot(steps, values, color=LINES[0].color, label=_name(chosen))
        _mark(ax, chosen, dict(zip(steps, values, strict=True)))
        ax.set(ylabel=text, ylim=(0, None))
    _finish(figure, axes)
    return figure


def cameras_figure(
    labels: Sequence[Int[ndarray, " n"]], cameras: Int[ndarray, " n"], selected: int
) -> Figure:
    """Of the pairs in one class, the share that one camera saw, by merge step; labels: after each of them."""
    figure, (ax,) = panels(1)
    shares = 100 * np.array([same_camera(of, cameras) for of in labels], dtype=float)  # None: no point
    chance = 100 * (same_camera(np.zeros_like(cameras), cameras) or 0.0)
    ax.plot(range(1, len(shares) + 1), shares, color=LINES[0].color, marker="o", label="pairs in one class")
    ax.axhline(chance, color="0.4", linestyle=":", label="all pairs")
    ax.axvline(selected, color="0.6", linestyle="--", linewidth=1, label="this step")
    ax.set(xlabel="merge step", ylabel="seen by one camera (%)", ylim=(0, 102))
    whole_numbers(ax.xaxis)
    ax.legend(fontsize=7)
    return figure


_SIZES = {"classes_after": "classes after the merge", "class_size_max": "tracklets in the largest class"}


def _name(run: Run) -> str:
    return f"trial {run.trial.number}" + (", chosen" if run.trial.state == "complete" else "")


def _curve(run: Run, name: str, scale: float = 100) -> tuple[list[int], list[float]]:
    rows = ((step, row.get(name)) for step, row in sorted(run.trial.steps.items()))
    known = [(step, scale * value) for step, value in rows if value is not None]
    return [step for step, _ in known], [value for _, value in known]


def _mark(ax: Axes, run: Run, values: dict[int, float]) -> None:
    step = run.trial.selected_step
    if step is not None and step in values:
        ax.plot(step, values[step], "*", color="black", markerfacecolor=LINES[5].color, markersize=11,
                label="selected step")  # fmt: skip


def _finish(figure: Figure, axes: Sequence[Axes]) -> None:
    for ax in axes:
        ax.set_xlabel("merge step (0: untrained)")
        whole_numbers(ax.xaxis)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8)

"""The choices of the combination of the scores without labels, to look at: among runs, and among steps."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

from analysis.data.candidates import COMBINED, Candidates
from analysis.figures.style import LINES, panels, plain, whole_numbers
from analysis.stats.selection import choice, picks
from dcreid.evaluation.unlabelled import combined

_STATES = {"complete": LINES[0], "pruned": LINES[1], "diverged": LINES[2]}
_DRAWN = 6  # runs that one picture of curves has room for
NO_CHOICE = "the combination could not be taken of any run"


def scatter_figure(found: Candidates, name: str) -> Figure | str:
    """The combination against mAP, of every run at the step that it chooses, and of untrained networks."""
    s, m = found.scores[COMBINED], found.mAP[:, 0]
    winner = choice(found, s)
    if winner is None:
        return NO_CHOICE
    figure, (ax,) = panels(1)
    figure.set_size_inches(6.4, 3.6)
    chosen_of = picks(found, s)
    for state, line in _STATES.items():
        rows = [row for run, row in chosen_of.items() if found.runs[run].trial.state == state]
        if rows:
            face = line.color if state == "complete" else "none"
            ax.plot(s[rows], m[rows], line.marker, color=line.color, markerfacecolor=face, label=state)
    ax.plot(s[winner], m[winner], "*", color="black", markerfacecolor=LINES[5].color, markersize=14,
            label=f"chosen: {found.name(winner)}")  # fmt: skip
    _untrained(ax, found)
    ax.axhline(m.max(), color="0.4", linestyle="--", linewidth=1, label="best there was")
    ax.set(xlabel="combination, at the step it chooses", ylabel="mAP (%)")
    figure.legend(loc="outside right upper", fontsize=7)
    figure.suptitle(plain(name), fontsize=9, x=0.01, ha="left")
    return figure


def _untrained(ax: Axes, found: Candidates) -> None:
    """Networks before training, each once; as a line where the combination cannot be taken of them."""
    rows = [row for run in found.runs if (row := run.trial.steps.get(0, {})).get("mAP") is not None]
    points = dict.fromkeys((combined(row), 100 * row["mAP"]) for row in rows)
    label = "untrained"
    for x, y in points:
        if x is None:
            ax.axhline(y, color="0.4", linestyle=":", label=label)
        else:
            ax.plot(x, y, "D", color="0.4", markerfacecolor="none", label=label)
        label = "_"


def steps_figure(found: Candidates, name: str) -> Figure | str:
    """mAP and combination by merge step of some runs; the selected, the last and the best step are marked."""
    s, m = found.scores[COMBINED], found.mAP[:, 0]
    if choice(found, s) is None:
        return NO_CHOICE
    figure, axes = panels(3, 2)
    chosen_of, shown = picks(found, s), runs_shown(found)
    for ax, run in zip(axes, shown, strict=False):
        rows = found.of_runs[run]
        marked = {"best": rows[m[rows].argmax()], "last": rows[-1], "selected": chosen_of[run]}
        _curve(ax, found, rows, marked)
        trial = found.runs[run].trial
        said = ["chosen"] * (run == shown[0]) + [trial.state] * (trial.state != "complete")
        ax.set_title(", ".join([f"trial {trial.number}", *said]))
    for ax in axes[len(shown) :]:
        ax.set_axis_off()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=8)
    figure.suptitle(plain(name), fontsize=9, x=0.01, ha="left")
    return figure


def _curve(ax: Axes, found: Candidates, rows: Int[ndarray, " k"], marked: dict[str, int]) -> None:
    steps, m, s = found.step[rows], found.mAP[:, 0], found.scores[COMBINED][rows]
    ax.plot(steps, m[rows], color=LINES[0].color, label="mAP (%)")
    for (label, row), look in zip(marked.items(), ("o", "s", "*"), strict=True):
        ax.plot(found.step[row], m[row], look, color="black", markersize={"o": 11, "s": 7, "*": 9}[look],
                markerfacecolor=LINES[5].color if look == "*" else "none", label=f"{label} step")  # fmt: skip
    ax.plot([], [], color="0.6", linestyle=":", label="combination (right)")
    right = ax.twinx()
    right.plot(steps, s, color="0.6", linestyle=":")
    right.grid(visible=False)
    right.tick_params(axis="y", colors="0.5", labelsize=7)
    right.spines["right"].set_visible(True)
    ax.set(xlabel="merge step")
    whole_numbers(ax.xaxis)


def runs_shown(found: Candidates) -> list[int]:
    """The run that is chosen and the one that has the best network; then from the others, evenly by score."""
    s, m = found.scores[COMBINED], found.mAP[:, 0]
    chosen_of = picks(found, s)
    order = sorted(chosen_of, key=lambda run: -s[chosen_of[run]])
    first = list(dict.fromkeys([order[0], int(found.run[m.argmax()])]))
    others = [run for run in order if run not in first]
    room = min(_DRAWN - len(first), len(others))
    return first + [others[i] for i in np.linspace(len(others) - 1, 0, room).astype(int)[::-1]]

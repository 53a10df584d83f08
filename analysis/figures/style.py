"""One look for all figures: lines differ by marker and line style as well as by colour.

Colours are Okabe and Ito's, whose lightness differs too, so that greyscale prints and colour-blind
readers lose nothing.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # files only, whatever the machine has

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dcreid.commandline import visible
from dcreid.paths import write_whole

_RC: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, and has λ, τ and α
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "pdf.fonttype": 42,  # text stays text
    "figure.constrained_layout.use": True,
}
PANEL = (3.4, 2.7)  # inches


@dataclass(frozen=True)
class Line:
    """How one series is drawn."""

    color: str
    marker: str
    linestyle: str | tuple[int, tuple[int, ...]]
    hollow: bool = False  # a large open marker: stays visible under another line's


LINES = (
    Line("#0072B2", "o", "-"),
    Line("#D55E00", "s", "--"),
    Line("#009E73", "^", "-."),
    Line("#CC79A7", "D", ":"),
    Line("#000000", "v", (0, (5, 1))),
    Line("#E69F00", "P", (0, (3, 1, 1, 1))),
)
BEST, LAST = Line("#0072B2", "o", "-", hollow=True), LINES[1]
SELECTED = LINES[4]
PUBLISHED: dict[str, Any] = {
    "color": "black",
    "marker": "*",
    "markersize": 10,
    "linestyle": "none",
    "markerfacecolor": "white",
}


@contextmanager
def styled() -> Iterator[None]:
    """The look, inside only."""
    with matplotlib.rc_context(_RC), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of names in other alphabets
        yield


def panels(columns: int, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of equal panels, row by row."""
    figure, axes = plt.subplots(rows, columns, figsize=(PANEL[0] * columns, PANEL[1] * rows), squeeze=False)
    return figure, list(axes.ravel())


def whole_numbers(*axes: Axis) -> None:
    """Ticks at whole numbers only."""
    for axis in axes:
        axis.set_major_locator(MaxNLocator(integer=True))


def band(
    ax: Axes, x: list[float], mean: list[float], half: list[float], line: Line, label: str | None = None
) -> None:
    """A line with its interval; where there is none (one run) the line alone."""
    low = [m - h for m, h in zip(mean, half, strict=True)]
    high = [m + h for m, h in zip(mean, half, strict=True)]
    ax.fill_between(x, low, high, color=line.color, alpha=0.15, linewidth=0)
    ax.plot(x, mean, color=line.color, marker=line.marker, linestyle=line.linestyle, label=label,
            markevery=max(1, len(x) // 12), markersize=8 if line.hollow else 5,
            markerfacecolor="white" if line.hollow else line.color)  # fmt: skip


def crosses(ax: Axes, x: Sequence[float]) -> None:
    """Runs whose training diverged, where they fell to 0."""
    if x:
        ax.plot(x, [0.0] * len(x), color="#882255", marker="x", markersize=8, linestyle="none", clip_on=False,
                label="training diverged")  # fmt: skip


def plain(text: str) -> str:
    """Text that others wrote, such as the name of a data set, for a title: a $ begins no formula."""
    return visible(text).replace("$", r"\$")


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Writes name.pdf and name.png without dates, so that equal results give equal files. Raises OSError."""
    paths = [folder / f"{name}.pdf", folder / f"{name}.png"]
    kinds: tuple[dict[str, Any], ...] = ({"metadata": {"CreationDate": None}}, {"dpi": 200})
    for path, options in zip(paths, kinds, strict=True):
        content = io.BytesIO()
        figure.savefig(content, format=path.suffix[1:], **options)
        write_whole(path, content.getvalue())
    plt.close(figure)
    return paths

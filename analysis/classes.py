"""What became of the training tracklets: their classes, and how many classes they speak for.

python analysis/classes.py STUDY [--trial N] [--data-root DIR] [--out DIR]

Writes classes.csv into the study's folder: the classes of the chosen trial and step, a row for each
tracklet (study/record/classes.py). From the features of that network it proposes a number of classes, for
`study/run.py --classes`, with the two measures that it is made of (dcreid/evaluation/class_counts.py) as a
table and a picture. Nothing here looks at an identity.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

if __package__ in (None, ""):  # run as a script: the packages beside this folder come first
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
if __name__ == "__main__":
    os.environ["MPLBACKEND"] = "Agg"  # files only, whatever the environment wants

import pandas as pd
import torch
from matplotlib.figure import Figure

from analysis import command
from analysis.data.results import load
from analysis.figures.style import LINES, panels, save, styled
from analysis.people.network import Rebuilt, rebuild
from dcreid.commandline import say, show
from dcreid.evaluation.class_counts import FEWEST, ClassCounts, count_classes
from dcreid.network.tracklets import l2_normalize
from dcreid.paths import write_whole
from study.record.classes import write_classes
from study.record.ledger import TrialRecord


def counts_of(rebuilt: Rebuilt) -> ClassCounts:
    """The measures, by the features of the trial's network."""
    algorithm = rebuilt.algorithm
    train, most = algorithm.data.train, algorithm.config.data.eval_frames
    features = algorithm.network.tracklet_features(algorithm.store, most_frames=most)
    cameras = torch.from_numpy(train.cameras) if train.cameras_known else None
    return count_classes(l2_normalize(features.pooled), features.halves, cameras, train.times)


def table_of(counts: ClassCounts) -> pd.DataFrame:
    """A row for each candidate number of classes."""
    columns = {"classes": counts.classes, "stability": counts.stability, "silhouette": counts.silhouette}
    if counts.exclusivity is not None:
        columns["exclusivity"] = counts.exclusivity
    return pd.DataFrame(columns)


def in_words(counts: ClassCounts) -> list[str]:
    """The proposal, and how much it is to be trusted."""
    (fewest, most), proposed = counts.interval, counts.proposed
    lines = [
        f"proposed number of classes: {proposed} (study/run.py --classes {proposed})",
        f"between {fewest} and {most} nothing here decides: one is the fewest classes that both halves of "
        "the frames agree on, the other what the silhouette chooses",
    ]
    if {fewest, most} & {int(counts.classes[0]), int(counts.classes[-1])}:
        lines.append("one of them is the first or last number that was tried: these features do not tell")
    elif most > 2 * fewest:
        lines.append(
            "they are far apart: take it for an order of magnitude, and what you know of the place first"
        )
    return lines


def nearest_step(trial: TrialRecord, wanted: int) -> tuple[int, int]:
    """The merge step whose number of classes is nearest by ratio, and that number.

    Of equals the selected one, else the latest.
    """
    counts = {step: int(row["classes_after"]) for step, row in sorted(trial.steps.items()) if step > 0}
    off = {step: abs(math.log(count / wanted)) for step, count in counts.items()}
    step = min(off, key=lambda step: (off[step], step != trial.selected_step, -step))
    return step, counts[step]


def counts_figure(counts: ClassCounts) -> Figure:
    """Both measures by the number of classes, with the proposal and its interval."""
    figure, axes = panels(2)
    for ax, name, line in zip(axes, ("stability", "silhouette"), LINES, strict=False):
        ax.plot(counts.classes, getattr(counts, name), color=line.color, marker=line.marker, markersize=4)
        ax.axvspan(*counts.interval, color="0.9", zorder=0)
        ax.axvline(counts.proposed, color="0.3", linestyle="--")
        ax.set(xscale="log", xlabel="classes", title=name)
    axes[0].set_ylabel(f"proposed: {counts.proposed}")
    return figure


def main(argv: Sequence[str] | None = None) -> int:
    """0 = written, 2 = a study, trial or data set that cannot be read."""
    made = command.parser("analysis/classes.py", __doc__, several=False)
    made.add_argument("--trial", type=int, metavar="N", help="number of the trial [the chosen one]")
    made.add_argument("--data-root", metavar="DIR", help="folder of the data set [as in the study]")
    made.add_argument("--cache", metavar="DIR", help="packed frames [as in the study]")
    return command.run("analysis/classes.py", made, _write, argv)


def _write(given: argparse.Namespace) -> None:
    study = load([given.study], finished=False).studies[0]
    rebuilt = rebuild(study, given.trial, given.data_root, given.cache)
    data, where = rebuilt.algorithm.data, f"trial {rebuilt.trial.number} at merge step {rebuilt.step}"
    say(f"classes of {where}: {write_classes(study.plan, rebuilt.trial, rebuilt.step, data)}")
    if len(data.train) < FEWEST:
        say(f"{len(data.train)} training tracklets are too few to propose a number of classes")
        return
    counts, folder = counts_of(rebuilt), command.out_folder(given)
    table = table_of(counts)
    write_whole(folder / "class-counts.csv", table.round(4).to_csv(index=False).encode())
    show(table.round(3).to_string(index=False))
    for line in in_words(counts):
        say(line)
    step, classes = nearest_step(rebuilt.trial, counts.proposed)
    say(f"nearest to it in classes.csv: step_{step:03d}, with {classes} classes")
    with styled():
        paths = save(counts_figure(counts), folder, "class-counts")
    say(" ".join(map(str, [folder / "class-counts.csv", *paths])))


if __name__ == "__main__":
    sys.exit(main())

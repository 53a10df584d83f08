"""Looks at one trial: rank lists, classes and a map of the gallery as pictures.

python analysis/ranks.py STUDY [--trial N] [--data-root DIR] [--out DIR]

Writes into a folder of the trial: rank lists of the hardest and easiest queries, contact sheets of the
largest and the most mixed classes, the gallery in two dimensions, and what the merges joined. Of data
without labels: the nearest tracklets of other cameras instead, and how far classes follow cameras. The
pictures show people: keep them with the study, and share them only as the data set's terms allow.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

if __package__ in (None, ""):  # run as a script: the packages beside this folder come first
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
if __name__ == "__main__":
    os.environ["MPLBACKEND"] = "Agg"  # files only, whatever the environment wants

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from analysis import command
from analysis.data.results import load
from analysis.figures.joins import joins_figure
from analysis.figures.style import LINES, panels, save, styled
from analysis.figures.unlabelled import cameras_figure
from analysis.people.network import Rebuilt, rebuild
from analysis.people.pictures import class_sheet, neighbour_sheet, rank_sheet
from analysis.people.rank_lists import by_difficulty, nearest_elsewhere, rank_lists
from analysis.stats.joins import with_causes
from dcreid.clustering.distances import cross_distances
from dcreid.commandline import say, visible
from dcreid.data.tracklets import Ints, Split
from dcreid.paths import write_whole
from search_spaces.paper import BOUND_LABEL
from study.record.trial_tables import joins_table

QUERIES, CLASSES = 8, 8  # rows of a sheet
_COLOURED = 18  # identities on the map that get a colour and marker of their own


def pictures(rebuilt: Rebuilt) -> Iterator[tuple[str, Image.Image | Figure | str]]:
    """(name, picture), or in its place why there is none."""
    data = rebuilt.algorithm.data
    test, store = data.test, rebuilt.test_store
    if test is None or store is None or test.identities is None or not len(data.query):
        yield from _without_labels(rebuilt)
    else:
        v = rebuilt.test_features()
        yield from _rank_sheets(rebuilt, v)
        yield "gallery-map", gallery_map(v[data.gallery].numpy(), test, data.gallery)
    yield from _class_sheets(rebuilt)
    config = rebuilt.algorithm.config
    if data.train.identities is None and not data.labelled:
        return  # nothing that needs labels is spoken of
    if config.trains_with_identities:
        yield "joins", "the identities are the classes: nothing was joined"
    else:
        yield "joins", joins_figure([with_causes(joins_table(rebuilt.algorithm.joins), config.merge)])


def _rank_sheets(rebuilt: Rebuilt, v: Float[Tensor, "t d"]) -> Iterator[tuple[str, Image.Image]]:
    data, store = rebuilt.algorithm.data, rebuilt.test_store
    assert data.test is not None and data.test.identities is not None and store is not None
    who, seen_by = data.test.identities, data.test.cameras
    distances = cross_distances(v[data.query], v[data.gallery]).numpy()
    lists = rank_lists(
        distances, who[data.query], who[data.gallery], seen_by[data.query], seen_by[data.gallery]
    )
    where = _where(rebuilt)
    for hardest, name in ((True, "hardest"), (False, "easiest")):
        title = f"{where}{name} queries. {visible(data.protocol)}"
        chosen = by_difficulty(lists, QUERIES, hardest=hardest)
        yield f"rank-lists-{name}", rank_sheet(chosen, data.test, data.query, data.gallery, store, title)


def _without_labels(rebuilt: Rebuilt) -> Iterator[tuple[str, Image.Image | Figure]]:
    """Neighbours of tracklets evenly over the data; where cameras are known, how far classes follow them."""
    algorithm, train = rebuilt.algorithm, rebuilt.algorithm.data.train
    known = train.cameras_known and len(np.unique(train.cameras)) > 1
    chosen = np.linspace(0, len(train) - 1, min(QUERIES, len(train))).astype(int).tolist()
    lists = nearest_elsewhere(rebuilt.train_features().numpy(), chosen, train.cameras if known else None)
    title = f"{_where(rebuilt)}nearest tracklets{' of other cameras' if known else ''}"
    yield "neighbours", neighbour_sheet(lists, train, algorithm.store, title)
    if known:
        labels = [of.numpy() for of in algorithm.labels_history]
        yield "classes-cameras", cameras_figure(labels, train.cameras[algorithm.order], rebuilt.step)


def _class_sheets(rebuilt: Rebuilt) -> Iterator[tuple[str, Image.Image]]:
    """The largest classes, and with identities those with the most persons in proportion."""
    algorithm, train = rebuilt.algorithm, rebuilt.algorithm.data.train
    classes = members(algorithm.labels.numpy(), algorithm.order)
    where = _where(rebuilt)
    largest = sorted(classes, key=len, reverse=True)[:CLASSES]
    yield "classes-largest", class_sheet(largest, train, algorithm.store, f"{where}largest classes")
    if train.identities is not None:
        worst = most_mixed(classes, train.identities)[:CLASSES]
        yield "classes-mixed", class_sheet(worst, train, algorithm.store, f"{where}most mixed classes")


def _where(rebuilt: Rebuilt) -> str:
    bound = f", {BOUND_LABEL}" if rebuilt.algorithm.config.trains_with_identities else ""
    name = visible(rebuilt.algorithm.data.name)
    return f"{name}, trial {rebuilt.trial.number}{bound}, merge step {rebuilt.step}: "


def members(labels: NDArray[np.integer], order: Ints) -> list[Ints]:
    """Training tracklets of every class; row i of labels is tracklet order[i]."""
    return [np.sort(order[labels == label]) for label in np.unique(labels)]


def most_mixed(classes: Sequence[Ints], identities: Ints) -> list[Ints]:
    """Classes with at least two persons, lowest purity first, of equals the larger."""

    def purity(of: Ints) -> float:
        return float(np.unique(identities[of], return_counts=True)[1].max() / len(of))

    mixed = [one for one in classes if len(np.unique(identities[one])) > 1]
    return sorted(mixed, key=lambda one: (purity(one), -len(one)))


def principal_plane(features: NDArray[np.floating]) -> tuple[NDArray[np.floating], float]:
    """(g, d) to (g, 2) by principal components, and the share of variance that the plane holds."""
    centred = features - features.mean(axis=0)
    left, strength, _ = np.linalg.svd(centred, full_matrices=False)
    total = float((strength**2).sum())
    return left[:, :2] * strength[:2], float((strength[:2] ** 2).sum()) / total if total else 0.0


def gallery_map(features: NDArray[np.floating], test: Split, gallery: Ints) -> Figure:
    """The gallery on its principal plane; the identities with most tracklets marked, the rest grey."""
    assert test.identities is not None
    plane, share = principal_plane(features)
    identities = test.identities[gallery]
    known, counts = np.unique(identities[identities > 0], return_counts=True)
    marked = known[np.argsort(-counts, kind="stable")][:_COLOURED]
    figure, (ax,) = panels(1)
    figure.set_size_inches(6.8, 4.6)
    others = ~np.isin(identities, marked)
    ax.scatter(plane[others, 0], plane[others, 1], s=6, color="0.8", label="others", linewidths=0)
    for i, identity in enumerate(marked.tolist()):
        line = LINES[i % len(LINES)]
        marker = LINES[(i + i // len(LINES)) % len(LINES)].marker
        own = identities == identity
        ax.scatter(plane[own, 0], plane[own, 1], s=22, color=line.color, marker=marker, label=str(identity),
                   linewidths=0)  # fmt: skip
    ax.set(xlabel="first principal component", ylabel="second principal component")
    ax.set_title(f"{100 * share:.0f} % of the variance in this plane")
    ax.legend(title="identity", fontsize=6, title_fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def main(argv: Sequence[str] | None = None) -> int:
    """0 = written, 2 = a study, trial or data set that cannot be read."""
    made = command.parser("analysis/ranks.py", __doc__, several=False)
    made.add_argument(
        "--trial",
        type=int,
        metavar="N",
        help="number of the trial [the study's choice]",
    )
    made.add_argument("--data-root", metavar="DIR", help="folder of the data set [as in the study]")
    made.add_argument("--cache", metavar="DIR", help="packed frames [as in the study]")
    return command.run("analysis/ranks.py", made, _write, argv)


def _write(given: argparse.Namespace) -> None:
    study = load([given.study], finished=False).studies[0]
    rebuilt = rebuild(study, given.trial, given.data_root, given.cache)
    folder = command.out_folder(given) / f"ranks-{rebuilt.trial.number:04d}-step-{rebuilt.step:03d}"
    folder.mkdir(exist_ok=True)
    with styled():
        for name, made in pictures(rebuilt):
            if isinstance(made, str):
                say(f"{name}: {made}")
            elif isinstance(made, Figure):
                say(" ".join(map(str, save(made, folder, name))))
            else:
                content = io.BytesIO()
                made.save(content, "PNG")
                write_whole(folder / f"{name}.png", content.getvalue())
                say(str(folder / f"{name}.png"))


if __name__ == "__main__":
    sys.exit(main())

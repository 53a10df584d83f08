"""One HTML page of what `python -m dcreid search` has found: for every query its hits, with pictures.

python analysis/hits.py HITS.csv [--out FILE]

Distances, cameras and, where the file knows who is right, marks and the share of right first hits. Pictures
are read from the paths in the file; of drawn people (synthetic:…) with --model, which says how they are
drawn. The page opens from a disk, without network or server. It shows people: share it only as the terms of
your data allow (--without-pictures writes one with names alone).
"""

from __future__ import annotations

import argparse
import csv
import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ""):  # run as a script: the packages beside this folder come first
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import altair as alt
import numpy as np
import pandas as pd
from markupsafe import Markup

from analysis import command
from analysis.data.folder import ResultsError
from analysis.page.frame import Pictures, Section, chart, page, paragraph, render
from analysis.page.typeset import number
from analysis.people.history import evenly
from analysis.people.shown import Row, lists, share
from analysis.people.tiles import Tile, drawn, drawn_picture, people, picture_of_file
from dcreid.commandline import READABLE, say, up_to
from dcreid.config import DataConfig
from dcreid.data import load_dataset
from dcreid.data.tracklets import Split
from dcreid.hits import COLUMNS
from dcreid.model import Model
from dcreid.paths import check_file_place, user_path, write_whole

_MATCHES = ("", "right", "wrong", "ignored")
_DRAWN = "synthetic "  # begins the names of frames that are drawn
_FARTHEST = 2.0  # distance of two vectors of length 1; a little more by rounding
_BARS = 40
_HITS = 10  # of a query that count, on the page


@dataclass(frozen=True)
class Hit:
    """A row of the file."""

    rank: int
    name: str
    camera: str
    frame: str
    distance: float
    match: str  # right, wrong, ignored; "": nobody knows


@dataclass(frozen=True)
class Query:
    """A query with its hits, the nearest first."""

    name: str
    camera: str
    frame: str
    hits: tuple[Hit, ...]

    @property
    def first(self) -> Hit | None:
        """The nearest hit that counts."""
        return next((hit for hit in self.hits if hit.match != "ignored"), None)

    @property
    def group(self) -> str:
        """What the list is filed under."""
        return {"right": "first hit right", "wrong": "first hit wrong"}.get(
            self.first.match if self.first else "", ""
        )


def read_hits(path: Path) -> list[Query]:
    """The file that `python -m dcreid search` has written. Raises ResultsError, which names the line."""
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            table = csv.DictReader(file, strict=True)
            missing = [name for name in COLUMNS if name not in (table.fieldnames or ())]
            if missing:
                raise ResultsError(
                    f"{path}: not a table of hits (no column {missing[0]}); python -m dcreid search … --out "
                    "writes one"
                )
            found: dict[tuple[str, str], list[Hit]] = {}
            cameras: dict[tuple[str, str], str] = {}
            for row in table:
                key = row["query"], row["query_frame"]
                found.setdefault(key, []).append(_hit(row, f"{path}: line {table.line_num}"))
                cameras.setdefault(key, row["query_camera"])
    except csv.Error as error:
        raise ResultsError(
            f"{path}: line {table.line_num}: not a table of hits ({error}); search again"
        ) from None
    if not found:
        raise ResultsError(f"{path}: no hits in it; search again")
    return [
        Query(name, cameras[name, frame], frame, tuple(sorted(hits, key=lambda hit: hit.rank)))
        for (name, frame), hits in found.items()
    ]


def _hit(row: dict[str, str], where: str) -> Hit:
    if None in row.values() or None in row:
        raise ResultsError(f"{where}: has not as many values as there are columns; search again")
    try:
        rank, distance = int(row["rank"]), float(row["distance"])
    except ValueError:
        raise ResultsError(
            f"{where}: rank {row['rank'][:20]!r} and distance {row['distance'][:20]!r} must be "
            f"numbers; search again"
        ) from None
    if rank < 1 or not 0 <= distance <= _FARTHEST + 0.01 or row["match"] not in _MATCHES:
        raise ResultsError(
            f"{where}: rank {rank}, distance {distance:g}, match {row['match'][:20]!r}: a rank is "
            f"at least 1, a "
            "distance from 0 to 2, a match right, wrong, ignored or empty; search again"
        )
    return Hit(rank, row["hit"], row["hit_camera"], row["hit_frame"], distance, row["match"])


# --- the page

Portrait = Callable[[str, str], Markup | None]  # (frame, what it shows) to its picture


def hits_page(name: str, queries: Sequence[Query], pictures: Pictures, portrait: Portrait, most: int) -> str:
    """The page. most: queries that are shown, evenly over the file; portrait: a frame's picture."""
    judged = any(hit.match for query in queries for hit in query.hits)
    shown = [queries[i] for i in evenly(range(len(queries)), most)]
    count = max(len(query.hits) for query in queries)
    facts = [f"{sum(len(query.hits) for query in queries):,} hits, up to {count:,} for a query."]
    if len(shown) < len(queries):
        facts.append(f"Shown are {len(shown):,} queries, evenly over the file; --most N shows more.")
    if judged:
        facts += _judged(queries)
    lead = render("album-lead.html", said=_answer(queries, judged), facts=facts, missing=[], command="")
    rows = [_row(query, portrait) for query in shown]
    distances = [hit.distance for query in shown for hit in query.hits]
    limits = (float(np.floor(min(distances) * 100) / 100), float(np.ceil(max(distances) * 100) / 100))
    hidden = any(hit.match == "ignored" for query in shown for hit in query.hits)
    marks = "Blue: the query. Below a hit: its rank, its camera (c), its distance (0 to 2)."
    if judged:
        marks += (
            " ✓ green: the same person. × red and dashed: another. ○ grey: ignored, as the evaluation does."
        )
    if count > _HITS:
        marks += f" Shown are the first {_HITS} that count, and the first right one."
    body = paragraph(marks) + lists(rows, ignored=hidden, limits=limits)
    near = Section("distances", "How near the nearest are", _distances(queries, judged))
    return page(f"Hits of {name}", [Section("queries", "Queries", body), near], lead=lead, pictures=pictures)


def _answer(queries: Sequence[Query], judged: bool) -> str:
    if judged:
        firsts = [query.first for query in queries]
        counted = [first for first in firsts if first is not None]
        right = sum(first.match == "right" for first in counted)
        return f"The nearest that counts is the right person for {share(right, len(counted), 'queries')}."
    nearest = np.array([query.hits[0].distance for query in queries])
    return (
        f"{number(len(queries), 'query', 'queries')}; the nearest hit is at a distance of "
        f"{np.median(nearest):.2f} in the "
        f"median, half of them between {np.quantile(nearest, 0.25):.2f} and {np.quantile(nearest, 0.75):.2f}."
    )


def _judged(queries: Sequence[Query]) -> list[str]:
    without = sum(all(hit.match != "right" for hit in query.hits) for query in queries)
    only_ignored = sum(query.first is None for query in queries)
    facts = []
    if without:
        facts.append(
            f"{share(without, len(queries), 'queries')} have no right hit in the file: it ranks "
            f"lower, or the gallery has "
            "none (python -m dcreid search, which knows, prints the share of those that have one)."
        )
    if only_ignored:
        facts.append(
            f"{number(only_ignored, 'query has', 'queries have')} only hits that the evaluation "
            f"ignores, and are not counted."
        )
    wrong = [
        (query, query.first) for query in queries if query.first is not None and query.first.match == "wrong"
    ]
    known = [(query, hit) for query, hit in wrong if query.camera and hit.camera]
    if known:
        own = sum(query.camera == hit.camera for query, hit in known)
        facts.append(f"Of the wrong first hits {share(own, len(known))} were seen by the query's own camera.")
    return facts


def _row(query: Query, portrait: Portrait) -> Row:
    shown, counted = [], 0
    for hit in query.hits:
        if counted == _HITS:
            break
        shown.append(hit)
        counted += hit.match != "ignored"
    right = next((hit for hit in query.hits if hit.match == "right"), None)
    if right is not None and right not in shown:
        shown.append(right)
    tiles = [Tile("query", query.name, _camera(query.camera), portrait(query.frame, query.name))]
    last = 0
    for hit in shown:
        text = f"{hit.rank}. {_camera(hit.camera)}".strip() + f"\n{hit.distance:.2f}"
        tiles.append(
            Tile(hit.match, hit.name, text, portrait(hit.frame, hit.name), hit.rank > last + 1, hit.distance)
        )
        last = hit.rank
    heading = query.name + (f", camera {query.camera}" if query.camera else "")
    if right is not None:
        before = sum(hit.match != "ignored" for hit in query.hits if hit.rank < right.rank)
        heading += f": the right person is number {before + 1} of the hits that count"
    elif query.group:
        heading += f": no right one among {number(len(query.hits), 'hit')}"
    return Row(query.group, query.camera, heading, people(tiles))


def _camera(camera: str) -> str:
    return f"c{camera}" if camera else ""


def _distances(queries: Sequence[Query], judged: bool) -> Markup:
    """How far the nearest hit that counts is; right and wrong apart where the file knows."""
    firsts = [query.first or query.hits[0] for query in queries]
    data = pd.DataFrame(
        {"distance": [hit.distance for hit in firsts], "hit": [hit.match or "nearest" for hit in firsts]}
    )
    low, high = float(data["distance"].min()), float(data["distance"].max())
    edges = np.linspace(low, high if high > low else low + 0.01, _BARS + 1)
    bars = [
        {"from": float(edges[i]), "to": float(edges[i + 1]), "queries": int(count), "hit": kind}
        for kind, of in data.groupby("hit")
        for i, count in enumerate(np.histogram(of["distance"], edges)[0])
        if count
    ]
    kinds = [kind for kind in ("right", "wrong", "ignored", "nearest") if (data["hit"] == kind).any()]
    colours = {"right": "#007A3D", "wrong": "#C8102E", "ignored": "#9A9A9A", "nearest": "#0072B2"}
    drawing = (
        alt.Chart(pd.DataFrame(bars))
        .mark_bar(stroke="white", strokeWidth=0.5)
        .encode(
            x=alt.X(
                "from:Q", bin="binned", title="distance of the nearest hit", scale=alt.Scale(zero=False),
                axis=alt.Axis(tickCount=8),
            ),
            x2="to:Q",
            y=alt.Y("queries:Q", title="queries", stack=True),
            color=alt.Color(
                "hit:N", title=None, scale=alt.Scale(domain=kinds, range=[colours[kind] for kind in kinds]),
                legend=alt.Legend() if judged else None,
            ),
            tooltip=[alt.Tooltip("from:Q", format=".3f"), alt.Tooltip("to:Q", format=".3f"), "queries"],
        )
        .properties(width="container", height=220)
    )  # fmt: skip
    said = "the nearest hit that counts" if judged else "the nearest hit"
    return chart(
        drawing, f"Distance of {said} of all {len(queries):,} queries. 0: the same vector; 2: opposite ones."
    )


# --- pictures


def portraits(pictures: Pictures, beside: Path, model: Path | None) -> Portrait:
    """Pictures of the frames that a file names; relative paths are looked up here, then beside the file.

    model: whose card says how people were drawn. Raises ModelError.
    """
    frames = _drawn_frames(model) if model is not None and pictures.shown else {}

    def portrait(frame: str, alt: str) -> Markup | None:
        if frame in frames:
            split, place = frames[frame]
            return drawn_picture(frame, lambda: drawn(split, place), pictures, alt)
        if not frame or frame.startswith(_DRAWN) or "\0" in frame:
            return None
        path = Path(frame)
        return picture_of_file(path if path.is_file() else beside / path, pictures, alt)

    return functools.cache(portrait)


def _drawn_frames(model: Path) -> dict[str, tuple[Split, int]]:
    """Name of the middle frame of every drawn tracklet to where it is."""
    synthetic = Model.load(model).config.data.synthetic
    data = load_dataset(DataConfig(synthetic=synthetic), None)
    found = {}
    for split in (data.train, data.test):
        for row in range(0 if split is None else len(split)):
            assert split is not None
            middle = int(split.offsets[row] + split.offsets[row + 1]) // 2
            found[split.frames.name(middle)] = split, middle
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """0 = written, 2 = a file that cannot be read."""
    made = command.bare_parser("analysis/hits.py", __doc__)
    made.add_argument(
        "hits", metavar="HITS.csv", help="what python -m dcreid search … --out HITS.csv has written"
    )
    made.add_argument("--out", metavar="FILE", help="the page to write [HITS.html beside it]")
    made.add_argument(
        "--most", type=up_to(100_000), default=200, metavar="N", help="queries that are shown [200]"
    )
    made.add_argument(
        "--model", metavar="FILE", help="the model that searched, to draw people of synthetic:…"
    )
    made.add_argument("--without-pictures", action="store_true", help="names in place of pictures")
    return command.run("analysis/hits.py", made, _write, argv)


def _write(given: argparse.Namespace) -> None:
    path = given.hits
    if not path.is_file():
        raise ResultsError(f"{path}: no such file; python -m dcreid search … --out FILE writes one")
    out = given.out or path.with_suffix(".html")
    check_file_place("--out", out)
    queries = read_hits(path)
    pictures = Pictures(shown=not given.without_pictures)
    made = portraits(
        pictures, path.parent, None if given.model is None else user_path("--model", given.model)
    )
    content = hits_page(path.name, queries, pictures, made, given.most).encode(errors=READABLE)
    write_whole(out, content)
    say(f"{out} ({len(content) / 2**20:.1f} MiB)")
    firsts = [hit.frame for query in queries for hit in query.hits]
    if pictures.shown and given.model is None and any(frame.startswith(_DRAWN) for frame in firsts):
        say("people of the embedded data are drawn: --model FILE, the model that searched, shows them")


if __name__ == "__main__":
    sys.exit(main())

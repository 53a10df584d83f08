"""What a search has found, as a table for people and for other programs.

A row for each query and hit: `query`, `query_camera`, `query_frame`, `rank` (1, 2, …), `hit`, `hit_camera`,
`hit_frame`, `distance` (0 to 2) and `match`. Tracklets are called as in their folder; the frame is the path
of their middle one. `match` is empty where identities are unknown; else it is `right`, `wrong`, or `ignored`,
as the evaluation ignores it: the same person in the same camera, or junk.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int
from numpy import ndarray

from dcreid.data.tracklets import JUNK, DataError, Split
from dcreid.model import Model
from dcreid.nearest import nearest
from dcreid.paths import write_whole

COLUMNS = (
    *("query", "query_camera", "query_frame", "rank"),
    *("hit", "hit_camera", "hit_frame", "distance", "match"),
)


@dataclass(frozen=True)
class Hits:
    """The nearest gallery tracklets of every query, the nearest first; row -1 = there are no more."""

    queries: Split
    gallery: Split
    distances: Float32[ndarray, "q k"]
    rows: Int[ndarray, "q k"]

    def __iter__(self) -> Iterator[dict[str, object]]:
        """The rows of the table."""
        known = self.queries.cameras_known, self.gallery.cameras_known
        for query, row in np.argwhere(self.rows >= 0).tolist():
            hit = int(self.rows[query, row])
            yield {
                "query": self.queries.names[query],
                "query_camera": self.queries.cameras[query] if known[0] else "",
                "query_frame": _middle_frame(self.queries, query),
                "rank": row + 1,
                "hit": self.gallery.names[hit],
                "hit_camera": self.gallery.cameras[hit] if known[1] else "",
                "hit_frame": _middle_frame(self.gallery, hit),
                "distance": f"{self.distances[query, row]:.4f}",
                "match": self.match(query, hit),
            }

    @property
    def judged(self) -> bool:
        """Whether identities tell what is right."""
        return self.queries.identities is not None and self.gallery.identities is not None

    def match(self, query: int, hit: int) -> str:
        """right, wrong, ignored; empty where identities are unknown."""
        if self.queries.identities is None or self.gallery.identities is None:
            return ""
        who, found = self.queries.identities[query], self.gallery.identities[hit]
        if found == JUNK or (who == found and self.queries.cameras[query] == self.gallery.cameras[hit]):
            return "ignored"
        return "right" if who == found else "wrong"

    def summary(self) -> str:
        """How often the nearest that counts is the right person, of the queries that have one to be found."""
        assert self.queries.identities is not None and self.gallery.identities is not None
        right = asked = hidden = 0
        for query, hits in enumerate(self.rows.tolist()):
            same = self.gallery.identities == self.queries.identities[query]
            if not (same & (self.gallery.cameras != self.queries.cameras[query])).any():
                continue
            asked += 1
            matches = [self.match(query, hit) for hit in hits if hit >= 0]
            first = next((match for match in matches if match != "ignored"), "")
            right, hidden = right + (first == "right"), hidden + (first == "")
        share = f" ({right / asked:.1%})" if asked else ""
        text = f"the nearest is the right person for {right:,} of {asked:,} queries that have one{share}"
        return text + (f"; {hidden:,} have only hits that the evaluation ignores" if hidden else "")

    def write(self, path: Path) -> None:
        """Writes the table as CSV, whole or not at all. Raises OSError."""
        content = io.StringIO()
        table = csv.DictWriter(content, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(self)
        write_whole(path, content.getvalue().encode(errors="surrogateescape"))  # names need not be UTF-8


def find(
    model: Model,
    queries: Split,
    gallery: Split,
    top: int,
    *,
    other_cameras: bool = False,
    camera_normalise: bool | None = None,
) -> Hits:
    """The `top` nearest gallery tracklets of every query, in order; a tracklet does not find itself.

    other_cameras: of those that another camera than the query's saw. Raises DataError where that needs
    cameras that names do not tell, ModelError as `Model.embed`.
    """
    if other_cameras and not (queries.cameras_known and gallery.cameras_known):
        raise DataError(
            "--other-cameras: some names have no camera (C1, c1_ or cam1 in the name of the tracklet or its "
            "first frame); leave it out"
        )
    v, w = _embedded(model, queries, gallery, camera_normalise)
    distances = np.full((len(queries), top), np.inf, dtype=np.float32)
    rows = np.full((len(queries), top), -1, dtype=np.int64)
    seen_by = queries.cameras if other_cameras else np.zeros(len(queries), dtype=np.int64)
    for camera in np.unique(seen_by).tolist():
        own = np.flatnonzero(seen_by == camera)
        others = np.flatnonzero(gallery.cameras != camera) if other_cameras else np.arange(len(gallery))
        if not len(others):
            continue
        near, places = nearest(v[own], w[others], top + 1)
        found = others[places.cpu().numpy()]
        for query, apart, hits in zip(own.tolist(), near.cpu().numpy(), found, strict=True):
            itself = _first_frame(queries, query)
            differs = [_first_frame(gallery, hit) != itself for hit in hits.tolist()]
            kept = np.flatnonzero(differs)[:top]
            distances[query, : len(kept)], rows[query, : len(kept)] = apart[kept], hits[kept]
    return Hits(queries, gallery, distances, rows)


def _embedded(
    model: Model, queries: Split, gallery: Split, camera_normalise: bool | None
) -> tuple[Float32[ndarray, "q d"], Float32[ndarray, "g d"]]:
    """Features of queries and gallery. A query that is in the gallery too is one row, as in an evaluation."""
    row_of = {_first_frame(gallery, row): row for row in range(len(gallery))}
    itself = np.array([row_of.get(_first_frame(queries, row), -1) for row in range(len(queries))])
    new = np.flatnonzero(itself < 0)
    sets = [gallery, queries.of_rows(new, queries.name)] if len(new) else [gallery]
    found = model.embed_together(sets, camera_normalise=camera_normalise)
    v = found[0][itself]
    if len(new):
        v[new] = found[1]
    return v, found[0]


def _first_frame(split: Split, row: int) -> str:
    return split.frames.name(int(split.offsets[row]))


def _middle_frame(split: Split, row: int) -> str:
    return split.frames.name(int(split.offsets[row] + split.offsets[row + 1]) // 2)

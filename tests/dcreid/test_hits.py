"""What a search finds, on tracklets whose features are planted."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from dcreid.data.tracklets import DataError, JpegFrames, Split
from dcreid.hits import find
from dcreid.model import Model

# Features on a circle by angle: the smaller the difference, the nearer.
QUERIES = {"q1": (0, 1, 5), "q2": (90, 2, 6)}  # name: angle, camera, identity
GALLERY = {
    "g1": (10, 1, 5),  # q1's own camera
    "g2": (20, 2, 7),
    "g3": (30, 2, 5),
    "g4": (80, 1, -1),  # junk
    "q2": (90, 2, 6),  # the query itself
    "g5": (100, 1, 0),  # a distractor
}


def split_of(tracklets: dict[str, tuple[int, int, int]], labelled: bool = True, known: bool = True) -> Split:
    names = list(tracklets)
    _, cameras, identities = np.array(list(tracklets.values())).T
    offsets = np.arange(0, 3 * len(names) + 1, 3)
    who = identities if labelled else None
    frames = JpegFrames(Path("/data"), [f"{name}/{i}.png" for name in names for i in range(3)], offsets[:-1])
    return Split("made", frames, offsets, cameras, who, names, unknown_cameras=0 if known else 1)


class Planted(Model):
    """A model whose features are angles; counts how often a tracklet is computed."""

    def __init__(self) -> None:
        self.embedded: list[str] = []

    def embed_together(self, sets, cameras=None, *, camera_normalise=None):  # type: ignore[no-untyped-def]
        self.embedded += [name for one in sets for name in one.names]
        angles = [np.radians([(QUERIES | GALLERY)[name][0] for name in one.names]) for one in sets]
        return [np.stack([np.cos(a), np.sin(a)], axis=1).astype(np.float32) for a in angles]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def found(top: int, tmp_path: Path, **options: object) -> list[dict[str, str]]:
    labelled = bool(options.pop("labelled", True))
    hits = find(Planted(), split_of(QUERIES, labelled), split_of(GALLERY, labelled), top, **options)
    hits.write(tmp_path / "hits.csv")
    return table(tmp_path / "hits.csv")


def test_the_nearest_come_first_with_what_is_right_and_what_is_ignored(tmp_path: Path):
    rows = found(3, tmp_path)
    first = [row for row in rows if row["query"] == "q1"]
    assert [(row["rank"], row["hit"], row["match"]) for row in first] == [
        ("1", "g1", "ignored"),
        ("2", "g2", "wrong"),
        ("3", "g3", "right"),
    ]
    assert [row["hit_camera"] for row in first] == ["1", "2", "2"] and first[0]["query_camera"] == "1"
    gaps = [2 * np.sin(np.radians(angle) / 2) for angle in (10, 20, 30)]
    np.testing.assert_allclose([float(row["distance"]) for row in first], gaps, atol=1e-4)
    assert (first[0]["query_frame"], first[2]["hit_frame"]) == ("/data/q1/1.png", "/data/g3/1.png")


def test_a_tracklet_does_not_find_itself_and_is_computed_once(tmp_path: Path):
    rows = [row for row in found(5, tmp_path) if row["query"] == "q2"]
    assert [row["hit"] for row in rows] == ["g4", "g5", "g3", "g2", "g1"]  # of two as near the earlier
    assert [row["match"] for row in rows] == ["ignored", "wrong", "wrong", "wrong", "wrong"]
    model = Planted()
    find(model, split_of(QUERIES), split_of(GALLERY), 2)
    assert sorted(model.embedded) == sorted([*GALLERY, "q1"])


def test_fewer_tracklets_than_asked_for_are_fewer_rows(tmp_path: Path):
    assert len(found(50, tmp_path)) == 6 + 5


def test_other_cameras_alone(tmp_path: Path):
    rows = found(9, tmp_path, other_cameras=True)
    assert [row["hit"] for row in rows if row["query"] == "q1"] == ["g2", "g3", "q2"]
    assert [row["hit"] for row in rows if row["query"] == "q2"] == ["g4", "g5", "g1"]
    with pytest.raises(DataError, match="--other-cameras: some names have no camera"):
        find(Planted(), split_of(QUERIES, known=False), split_of(GALLERY), 2, other_cameras=True)


def test_a_camera_that_saw_all_of_the_gallery_has_no_hits_and_others_have():
    gallery = split_of({name: (angle, 1, who) for name, (angle, _, who) in GALLERY.items()})
    hits = find(Planted(), split_of(QUERIES), gallery, 2, other_cameras=True)
    assert [row["query"] for row in hits] == ["q2", "q2"]  # of camera 2; q1 is of camera 1


def test_without_identities_nothing_is_judged_and_unknown_cameras_are_empty(tmp_path: Path):
    rows = found(2, tmp_path, labelled=False)
    assert {row["match"] for row in rows} == {""}
    hits = find(Planted(), split_of(QUERIES, known=False), split_of(GALLERY), 2)
    assert {row["query_camera"] for row in hits} == {""} and {row["hit_camera"] for row in hits} == {1, 2}
    assert not find(Planted(), split_of(QUERIES), split_of(GALLERY, False), 2).judged


def test_the_summary_counts_queries_that_have_a_right_answer():
    def said(top: int) -> str:
        hits = find(Planted(), split_of(QUERIES), split_of(GALLERY), top)
        assert hits.judged
        return hits.summary()

    # q2 has no other tracklet of its person; q1's first is ignored, its second is wrong.
    assert said(2) == "the nearest is the right person for 0 of 1 queries that have one (0.0%)"
    assert said(1).endswith("(0.0%); 1 have only hits that the evaluation ignores")
    GALLERY["g2"] = (20, 2, 5)
    try:
        assert said(2) == "the nearest is the right person for 1 of 1 queries that have one (100.0%)"
    finally:
        GALLERY["g2"] = (20, 2, 7)

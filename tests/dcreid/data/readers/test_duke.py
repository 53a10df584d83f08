"""DukeMTMC-VideoReID in both spellings of its frame names, whole and damaged."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dcreid.data.readers.duke import load_duke, parse_name
from dcreid.data.tracklets import DataError


def test_both_spellings(duke: Path) -> None:
    data = load_duke(duke)
    assert data.train.identities is not None and data.test is not None and data.test.identities is not None
    assert data.train.identities.tolist() == [1, 1, 5] and data.train.cameras.tolist() == [1, 6, 2]
    assert data.train.lengths.tolist() == [3, 3, 3] and data.problems == ()
    assert data.test.identities.tolist() == [2, 2, 7] and data.test.cameras.tolist() == [6, 1, 2]


def test_query_that_lies_in_the_gallery_is_stored_once(duke: Path) -> None:
    data = load_duke(duke)
    assert data.query.tolist() == [0] and data.gallery.tolist() == [0, 1, 2]
    assert data.protocol == "DukeMTMC-VideoReID gallery (3 rows, 1 of 1 queries among them)"
    assert data.with_gallery("no_queries").gallery.tolist() == [1, 2]


def test_query_that_is_not_in_the_gallery_gets_its_own_row(duke: Path) -> None:
    shutil.rmtree(duke / "gallery/0002/0003")
    data = load_duke(duke)
    assert data.query.tolist() == [2] and data.gallery.tolist() == [0, 1]
    assert "0 of 1 queries" in data.protocol


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda root: shutil.rmtree(root / "gallery"), "missing gallery/; found in .*: query/, train/"),
        (lambda root: (root / "train/0005/0002").mkdir(), "1 tracklet .* train/0005/0002; copy them again"),
        (lambda root: (root / "train/0009").mkdir(), "train/0009/; copy them again"),
        (
            lambda root: (root / "train/0005/face.jpg").write_bytes(b""),
            "0005: frames .face.jpg. lie where folders",
        ),
        (
            lambda root: (root / "train/0005/0001/face.jpg").write_bytes(b""),
            "face.jpg: name is not like 0001_C6",
        ),
        (
            lambda root: (root / "train/0005").rename(root / "train/ann"),
            "ann: identity folders are named by number",
        ),
        (
            lambda root: (root / "train/0005").rename(root / "train/0006"),
            "named after another identity: train/0006",
        ),
        (
            lambda root: (root / "train/0005/0002/x").mkdir(parents=True),
            "0002: holds folders .x. but no frames",
        ),
        (lambda root: shutil.rmtree(root / "query/0002"), "query: no tracklets; expected query/<identity>/"),
    ],
)
def test_damaged(duke: Path, break_it: Callable[[Path], object], message: str) -> None:
    break_it(duke)
    with pytest.raises(DataError, match=message):
        load_duke(duke)


def test_missing_folder_or_archive(tmp_path: Path) -> None:
    archive = tmp_path / "duke.zip"
    archive.write_bytes(b"PK")
    with pytest.raises(DataError, match=r"duke.zip: not a folder; .*unpacked"):
        load_duke(archive)


def test_one_misfiled_frame_in_a_hundred_tracklets_is_a_problem_line(
    duke: Path, write_frames: Callable[..., None]
) -> None:
    for tracklet in range(100):
        write_frames(duke / f"train/0003/{tracklet:04d}", ["0003C1F0001X1.jpg", "0003C1F0002X2.jpg"])
    write_frames(duke / "train/0003/0007", ["0004C1F0003X3.jpg"])
    (problem,) = load_duke(duke).problems
    assert problem.startswith(
        "frames of another identity or camera than their tracklet's first: train/0003/0007/"
    )
    assert problem.endswith("(1 of 103 tracklets)")


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("0001_C6_F0099_X30823.jpg", (1, 6)),
        ("0001C6F0099X30823.jpg", (1, 6)),
        ("7140C8F0001X0.JPEG", (7140, 8)),
        ("0001C6F0099.jpg", None),
        ("0001C1T0001F001.jpg", None),
        ("C6F0099X30823.jpg", None),
    ],
)
def test_names(name: str, label: tuple[int, int] | None) -> None:
    assert parse_name(name) == label

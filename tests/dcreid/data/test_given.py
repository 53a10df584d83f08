"""Tracklets that a command is given: folders, an image, parts of data sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dcreid.config import SyntheticConfig
from dcreid.data.given import read_tracklets
from dcreid.data.tracklets import DataError

DRAWN = SyntheticConfig(train_identities=3, test_identities=2, tracklets=2, frames=2)


def image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((16, 8, 3), len(str(path)) % 256, dtype=np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("monday/c1_0007", "monday/c2_0009", "c1_0010"):
        for frame in range(2):
            image(tmp_path / "mine" / name / f"{frame}.png")
    (tmp_path / "mine" / "empty").mkdir()
    return tmp_path / "mine"


def test_every_folder_with_frames_is_a_tracklet(folder: Path):
    split = read_tracklets(str(folder), DRAWN)
    assert list(split.names) == ["c1_0010", "monday/c1_0007", "monday/c2_0009"]
    assert split.cameras.tolist() == [1, 1, 2] and split.cameras_known and split.identities is None
    assert split.frames.name(2) == str(folder / "monday/c1_0007/0.png") and split.lengths.tolist() == [2] * 3


def test_cameras_that_one_name_does_not_have_are_unknown(folder: Path):
    image(folder / "nobody" / "0.png")
    assert not read_tracklets(str(folder), DRAWN).cameras_known


def test_a_folder_of_frames_is_one_tracklet_and_an_image_one_of_one_frame(folder: Path, monkeypatch):
    split = read_tracklets(str(folder / "monday/c2_0009"), DRAWN)
    assert (
        list(split.names) == ["c2_0009"] and split.lengths.tolist() == [2] and split.cameras.tolist() == [2]
    )
    monkeypatch.chdir(folder / "monday" / "c2_0009")
    for given in ("1.png", str(folder / "monday/c2_0009/1.png")):
        split = read_tracklets(given, DRAWN)
        assert [split.frames.name(0)] == [str(folder / "monday/c2_0009/1.png")] and len(split.frames) == 1
        assert split.frames.read(np.array([0]), 16, 8)[1].all() and split.cameras.tolist() == [2]


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    image(tmp_path / "set/train/c1_a/0.png")
    for part, person, tracklet in (
        ("query", "5", "c1_q"),
        ("gallery", "5", "c2_g"),
        ("gallery", "6", "c1_h"),
    ):
        image(tmp_path / "set" / part / person / tracklet / "0.png")
    return tmp_path / "set"


def test_parts_of_a_data_set_have_identities(labelled: Path):
    query, gallery = (read_tracklets(f"{labelled}:{part}", DRAWN) for part in ("query", "gallery"))
    assert query.identities is not None and query.identities.tolist() == [5]
    assert list(query.names) == ["5/c1_q"] and query.frames.name(0) == str(labelled / "query/5/c1_q/0.png")
    assert gallery.identities is not None and gallery.identities.tolist() == [5, 6]
    assert gallery.cameras.tolist() == [2, 1]
    assert read_tracklets(f"{labelled}:train", DRAWN).identities is None


def test_parts_of_the_embedded_data_set_are_of_the_settings_given():
    parts = {part: read_tracklets(f"synthetic:{part}", DRAWN) for part in ("train", "query", "gallery")}
    assert len(parts["train"]) == 6 and len(parts["gallery"]) >= len(parts["query"]) > 0
    assert parts["query"].identities is not None
    pixels, readable = parts["query"].frames.read(np.array([1]), 32, 16)
    assert readable.all() and pixels.std() > 0


def test_a_folder_whose_name_ends_like_a_part_is_that_folder(tmp_path: Path):
    image(tmp_path / "mine:query" / "c1_a" / "0.png")
    assert list(read_tracklets(str(tmp_path / "mine:query"), DRAWN).names) == ["c1_a"]


def test_what_cannot_be_read_is_named_with_the_mend(labelled: Path, tmp_path: Path):
    (tmp_path / "empty" / "sub").mkdir(parents=True)
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "mars" / "bbox_train").mkdir(parents=True)
    for given, said in (
        (labelled, f"a whole data set; give a part of it: {labelled}:train or {labelled}:query"),
        (tmp_path / "mars", "give a part of it"),
        (tmp_path / "nowhere", "no such folder or image"),
        (tmp_path / "empty", r"no images \(\.jpg"),
        (tmp_path / "a.txt", "not an image"),
        (f"{tmp_path / 'nowhere'}:query", "no"),
    ):
        with pytest.raises(DataError, match=said):
            read_tracklets(str(given), DRAWN)
    image(tmp_path / "own" / "train" / "a" / "0.png")
    with pytest.raises(DataError, match="has no query part; give"):
        read_tracklets(f"{tmp_path / 'own'}:query", DRAWN)

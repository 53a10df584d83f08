"""The types that readers produce: checks, fingerprints, the four galleries; and the readers' front door."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from dcreid.config import DataConfig
from dcreid.data import load_dataset
from dcreid.data.readers.duke import load_duke
from dcreid.data.readers.folder import load_folder
from dcreid.data.readers.layout import guess_layout
from dcreid.data.readers.mars import load_mars
from dcreid.data.tracklets import DataError, Split, TrackletDataset


def test_a_split_refuses_an_empty_tracklet(official_mars: Path) -> None:
    frames = load_mars(official_mars).train.frames
    with pytest.raises(DataError, match="train: tracklet second has no frames"):
        Split("train", frames, np.array([0, 9, 9]), np.array([1, 1]), None, ["first", "second"])


@pytest.mark.parametrize(
    ("gallery", "rows"),
    [
        ("official", [0, 1, 2, 3, 4, 5]),
        ("no_junk", [1, 2, 3, 4, 5]),
        ("no_queries", [0, 1, 3, 5]),
        ("neither", [1, 3, 5]),
    ],
)
def test_galleries(official_mars: Path, gallery: str, rows: list[int]) -> None:
    data = load_mars(official_mars).with_gallery(gallery)
    assert data.gallery.tolist() == rows and data.query.tolist() == [2, 4]
    assert f"{len(rows)} rows" in data.protocol and (gallery in data.protocol)


def test_unknown_or_empty_gallery(official_mars: Path) -> None:
    data = load_mars(official_mars)
    with pytest.raises(ValueError, match="gallery 'none': must be one of official, no_junk"):
        data.with_gallery("none")
    with pytest.raises(DataError, match="gallery no_queries leaves none of 2 rows; use official"):
        dataclasses.replace(data, gallery=data.query).with_gallery("no_queries")


def test_fingerprint_is_the_same_for_a_copy(official_mars: Path, tmp_path: Path) -> None:
    shutil.copytree(official_mars, tmp_path / "copy")
    fingerprint = load_mars(official_mars).fingerprint()
    assert len(fingerprint) == 16 and fingerprint == load_mars(tmp_path / "copy").fingerprint()


def _all_fingerprints(data: TrackletDataset) -> set[str]:
    assert data.test is not None
    moved = dataclasses.replace(data.train, cameras=data.train.cameras + 1)
    unlabelled = dataclasses.replace(data.train, identities=None)
    return {
        data.fingerprint(),
        data.with_gallery("no_junk").fingerprint(),
        dataclasses.replace(data, train=moved).fingerprint(),
        dataclasses.replace(data, train=unlabelled).fingerprint(),
        dataclasses.replace(data, test=None).fingerprint(),
        dataclasses.replace(data, query=data.query[::-1]).fingerprint(),
    }


def test_fingerprint_tells_changed_data_apart(official_mars: Path) -> None:
    before = _all_fingerprints(load_mars(official_mars))
    assert len(before) == 6
    first = official_mars / "bbox_train/0001/0001C1T0001F001.jpg"
    first.write_bytes(first.read_bytes() + b"1")
    longer = load_mars(official_mars)
    assert longer.fingerprint() not in before
    first.unlink()
    assert longer.fingerprint() not in {*before, load_mars(official_mars).fingerprint()}


def test_load_dataset_reads_every_layout(
    official_mars: Path, split_mars: Path, duke: Path, user_folder: Path
) -> None:
    for dataset, root, reader in (
        ("mars", official_mars, load_mars),
        ("mars", split_mars, load_mars),
        ("duke", duke, load_duke),
        ("folder", user_folder, load_folder),
        ("folder", duke, load_folder),
    ):
        data = load_dataset(DataConfig(dataset=dataset), root)
        assert data.fingerprint() == reader(root).fingerprint()


def test_load_dataset_applies_the_gallery(official_mars: Path) -> None:
    data = load_dataset(DataConfig(dataset="mars", gallery="neither"), official_mars)
    assert len(data.gallery) == 3 and data.protocol == "MARS, gallery neither (3 rows)"


def test_the_embedded_data_set_needs_no_root() -> None:
    assert len(load_dataset(DataConfig(), None).train)


@pytest.mark.parametrize("dataset", ["mars", "duke", "folder"])
def test_every_wrong_root_names_the_option(tmp_path: Path, dataset: str) -> None:
    (tmp_path / "file.zip").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / ".DS_Store").write_bytes(b"")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    for root, reason in (
        (None, "needs the folder that holds it"),
        ("gone", "no such folder"),
        ("file.zip", "not a folder"),
        ("dangling", "not a folder"),
        ("empty", "empty"),
        ("hidden", "empty"),
    ):
        with pytest.raises(DataError, match=f"{reason}.*--data-root"):
            load_dataset(DataConfig(dataset=dataset), None if root is None else tmp_path / root)


def test_guessed_layouts(official_mars: Path, split_mars: Path, duke: Path, user_folder: Path) -> None:
    assert guess_layout(official_mars) == guess_layout(split_mars) == "mars"
    assert guess_layout(duke) == "duke"
    assert guess_layout(user_folder) == guess_layout(user_folder / "train") == "folder"


def test_query_and_gallery_with_other_names_are_a_users_own_folder(labelled_folder: Path) -> None:
    assert guess_layout(labelled_folder) == "folder"


def test_another_data_set_is_named(official_mars: Path, duke: Path) -> None:
    for dataset in ("duke", "folder"):
        with pytest.raises(DataError, match=f"holds mars, not {dataset}; use --dataset mars"):
            load_dataset(DataConfig(dataset=dataset), official_mars)
    with pytest.raises(DataError, match="holds duke, not mars"):
        load_dataset(DataConfig(dataset="mars"), duke)


@pytest.mark.parametrize("dataset", ["mars", "folder"])
def test_a_root_too_high_or_too_low_is_named(official_mars: Path, dataset: str) -> None:
    for root in (official_mars.parent, official_mars / "bbox_train"):
        with pytest.raises(DataError, match="MARS holds mars; give that folder"):
            load_dataset(DataConfig(dataset=dataset), root)


def test_a_part_of_duke_may_be_clustered_as_a_folder(duke: Path) -> None:
    assert len(load_dataset(DataConfig(dataset="folder"), duke / "train").train) == 3
    with pytest.raises(DataError, match=f"{duke} holds duke; give that folder"):
        load_dataset(DataConfig(dataset="duke"), duke / "train")


def test_names_need_not_be_utf8(user_folder: Path) -> None:
    before = load_folder(user_folder).fingerprint()
    (user_folder / "train" / "C2_0001").rename(user_folder / "train" / "C2_caf\udce9")
    data = load_folder(user_folder)
    assert data.train.names[-1] == "C2_caf\udce9" and data.fingerprint() != before

"""A user's own tracklets, in the shapes that people keep them in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dcreid.data.readers.folder import load_folder
from dcreid.data.tracklets import DataError


def test_tracklets_without_labels_or_test_split(user_folder: Path) -> None:
    data = load_folder(user_folder)
    assert data.name == "shop" and data.test is None and data.train.identities is None
    assert list(data.train.names) == ["C1_0002", "C1_0010", "C2_0001"]
    assert data.train.lengths.tolist() == [2, 11, 3] and data.train.cameras.tolist() == [1, 1, 2]
    assert data.protocol == "no test split" and len(data.query) == len(data.gallery) == 0
    assert data.with_gallery("neither") is data


def test_frame_9_comes_before_frame_10(user_folder: Path) -> None:
    frames = load_folder(user_folder).train.frames
    names = [Path(frames.name(frame)).name for frame in range(2, 13)]
    assert names == [f"{frame}.jpg" for frame in range(1, 12)]


def test_test_split_with_named_people(labelled_folder: Path) -> None:
    data = load_folder(labelled_folder)
    assert data.test is not None and data.test.identities is not None
    assert data.test.identities.tolist() == [1, 1, 2] and data.test.cameras.tolist() == [1, 2, 2]
    assert data.query.tolist() == [0] and data.gallery.tolist() == [0, 1, 2]
    assert data.protocol == "shop gallery (3 rows, 1 of 1 queries among them)"


def test_numbered_people_keep_their_numbers_unless_one_is_zero(labelled_folder: Path) -> None:
    for part in ("query", "gallery"):
        (labelled_folder / part / "ann").rename(labelled_folder / part / "12")
    (labelled_folder / "gallery/bob").rename(labelled_folder / "gallery/7")
    test = load_folder(labelled_folder).test
    assert test is not None and test.identities is not None and test.identities.tolist() == [7, 12, 12]
    (labelled_folder / "gallery/7").rename(labelled_folder / "gallery/0")  # 0 would be a distractor
    test = load_folder(labelled_folder).test
    assert test is not None and test.identities is not None and test.identities.tolist() == [1, 2, 2]


def test_tracklets_right_below_the_root(user_folder: Path) -> None:
    data = load_folder(user_folder / "train")
    assert list(data.train.names) == ["C1_0002", "C1_0010", "C2_0001"]
    assert data.train.frames.name(0) == str(user_folder / "train/C1_0002/1.jpg")


def test_tracklets_at_any_depth_and_other_suffixes(tmp_path: Path, write_frames: Callable[..., None]) -> None:
    write_frames(tmp_path / "train/camera1/monday/0007", ["a.JPG", "b.jpeg", "c.png", "notes.txt"])
    write_frames(tmp_path / "train/camera2/0001", ["a.jpg"])
    train = load_folder(tmp_path).train
    assert list(train.names) == ["camera1/monday/0007", "camera2/0001"]
    assert train.lengths.tolist() == [3, 1] and train.cameras.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("name", "camera"),
    [
        ("C12_a", 12),
        ("0001C2F003", 2),
        ("person_c3_f2", 3),
        ("cam4-x", 4),
        ("Camera_05", 5),
        ("C0_a", 0),
        ("ABC7", None),
        ("a3c9f2", None),
        ("webcam", None),
        ("scam8", None),
    ],
)
def test_camera_in_a_name(
    tmp_path: Path, write_frames: Callable[..., None], name: str, camera: int | None
) -> None:
    write_frames(tmp_path / "train" / name, ["1.jpg"])
    train = load_folder(tmp_path).train
    assert train.cameras.tolist() == [camera or 0] and train.cameras_known == (camera is not None)


def test_a_camera_that_some_tracklets_lack_is_unknown_for_all(
    user_folder: Path, write_frames: Callable[..., None]
) -> None:
    known = load_folder(user_folder)
    assert known.train.cameras_known and known.train.unknown_cameras == 0
    for name in ("yard_0001", "yard_0002"):
        write_frames(user_folder / "train" / name, ["1.jpg"])
    train = load_folder(user_folder).train
    assert not train.cameras_known and train.unknown_cameras == 2
    assert train.cameras.tolist() == [1, 1, 2, 0, 0]


def test_folders_without_frames_are_left_out_and_reported(labelled_folder: Path) -> None:
    (labelled_folder / "train/C9_0001").mkdir()
    (labelled_folder / "train/.cache").mkdir()
    (labelled_folder / "gallery/bob/cam3_d").mkdir()
    (labelled_folder / "gallery/eve").mkdir()
    data = load_folder(labelled_folder)
    assert [problem.split(": ", 1) for problem in data.problems] == [
        ["left out", "1 tracklet folder(s) without frames (.jpg, .jpeg, .png): train/C9_0001"],
        [
            "left out",
            "2 tracklet folder(s) without frames (.jpg, .jpeg, .png): gallery/bob/cam3_d, gallery/eve/",
        ],
    ]
    assert len(data.train) == 3 and len(data.gallery) == 3


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda root: shutil.rmtree(root / "train"), "missing train/; found in shop/: gallery/, query/"),
        (lambda root: shutil.rmtree(root / "gallery"), "missing gallery/"),
        (lambda root: shutil.rmtree(root / "query"), "missing query/"),
        (
            lambda root: (root / "train/1.jpg").write_bytes(b""),
            "train: frames .1.jpg. lie where folders should",
        ),
        (
            lambda root: (root / "gallery/bob/1.jpg").write_bytes(b""),
            "bob: frames .1.jpg. lie where folders should",
        ),
        (
            lambda root: (root / "gallery/bob/cam2_c").rename(root / "gallery/bob/c"),
            "gallery/bob/c: no camera in the name .* add it to either",
        ),
        (
            lambda root: [path.unlink() for path in (root / "train").glob("*/*")],
            "train: nothing but 3 tracklet",
        ),
        (
            lambda root: shutil.rmtree(root / "train") or (root / "train").mkdir(),
            "train: no tracklets; expected",
        ),
    ],
)
def test_damaged(labelled_folder: Path, break_it: Callable[[Path], object], message: str) -> None:
    break_it(labelled_folder)
    with pytest.raises(DataError, match=message):
        load_folder(labelled_folder)


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied"), FileNotFoundError(2, "No such file")]
)
def test_folder_that_cannot_be_listed(
    user_folder: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    real = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "C1_0010":
            raise error
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=rf"C1_0010: cannot be listed \({error.strerror}\)"):
        load_folder(user_folder)


def test_a_link_back_to_a_folder_above_is_named(user_folder: Path) -> None:
    (user_folder / "train" / "C1_0002" / "again").symlink_to(user_folder / "train")
    with pytest.raises(DataError, match=r"C1_0002/again: a link to a folder that it lies in .*; remove it"):
        load_folder(user_folder)


def test_a_link_to_other_folders_is_followed(user_folder: Path, tmp_path: Path) -> None:
    shutil.move(user_folder / "train" / "C2_0001", tmp_path / "elsewhere")
    (user_folder / "train" / "C2_0001").symlink_to(tmp_path / "elsewhere")
    assert len(load_folder(user_folder).train) == 3


@pytest.mark.parametrize("digits", ["1" * 19, "１２"])
def test_people_named_by_numbers_that_are_none_are_counted_like_names(
    labelled_folder: Path, digits: str
) -> None:
    for name, new in (
        ("query/ann", "query/7"),
        ("gallery/ann", "gallery/7"),
        ("gallery/bob", f"gallery/{digits}"),
    ):
        shutil.move(labelled_folder / name, labelled_folder / new)
    test = load_folder(labelled_folder).test
    assert test is not None and test.identities is not None
    assert sorted(set(test.identities.tolist())) == [1, 2]


def test_a_camera_of_too_many_digits_is_none(labelled_folder: Path) -> None:
    bob = labelled_folder / "gallery" / "bob"
    (bob / "cam2_c").rename(bob / f"cam{'2' * 19}")
    with pytest.raises(DataError, match=r"cam2+: no camera in the name"):
        load_folder(labelled_folder)

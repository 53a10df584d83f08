"""MARS in both layouts, and every way in which a copy of it can be damaged."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from dcreid.data.readers.mars import load_mars
from dcreid.data.tracklets import DISTRACTOR, JUNK, DataError


def test_official_layout(official_mars: Path) -> None:
    data = load_mars(official_mars)
    assert data.train.identities is not None and data.test is not None and data.test.identities is not None
    assert data.train.lengths.tolist() == [3, 2, 4]
    assert data.train.identities.tolist() == [1, 1, 3] and data.train.cameras.tolist() == [1, 2, 1]
    assert data.test.identities.tolist() == [JUNK, DISTRACTOR, 2, 2, 4, 4]
    assert data.query.tolist() == [2, 4] and data.gallery.tolist() == [0, 1, 2, 3, 4, 5]
    assert list(data.train.names) == ["0001C1T0001", "0001C2T0002", "0003C1T0003"]
    assert data.problems == () and data.protocol == "MARS official gallery (6 rows, junk ignored)"


def test_frames_are_read_from_their_files(official_mars: Path) -> None:
    data = load_mars(official_mars)
    assert data.train.frames.name(5) == str(official_mars / "bbox_train/0003/0003C1T0003F001.jpg")
    pixels, readable = data.train.frames.read(np.arange(9), 16, 8)
    assert pixels.shape == (9, 16, 8, 3) and readable.all()


def test_split_layout_gets_the_official_numbers_of_junk_and_distractors(split_mars: Path) -> None:
    data = load_mars(split_mars)
    assert data.test is not None and data.test.identities is not None
    assert data.test.identities[data.gallery].tolist() == [JUNK, DISTRACTOR, 1001]
    assert data.test.identities[data.query].tolist() == [1001]
    assert data.test.cameras.tolist() == [1, 2, 3, 1]
    assert "3 rows, 0 of 1 queries among them" in data.protocol


def test_split_layout_reads_junk_from_frame_names_too(split_mars: Path) -> None:
    for old, new in (("0999", "00-1"), ("1000", "0000"), ("1001", "0002")):
        (split_mars / "gallery_split" / old).rename(split_mars / "gallery_split" / new)
    (split_mars / "query_split/1001").rename(split_mars / "query_split/0002")
    test = load_mars(split_mars).test
    assert test is not None and test.identities is not None
    assert test.identities.tolist() == [DISTRACTOR, JUNK, 2, 2]


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda root: shutil.rmtree(root / "query_split"), "missing query_split/"),
        (lambda root: os.remove(root / "train_split/0001/00001/0001C1T0001F002.jpg"), None),
        (lambda root: (root / "train_split/0001/00009").mkdir(), "train_split/0001/00009; copy them again"),
        (lambda root: (root / "train_split/0009").mkdir(), "without frames .*train_split/0009/"),
        (lambda root: (root / "gallery_split/bob/1").mkdir(parents=True), "gallery_split/bob/1"),
        (
            lambda root: (root / "train_split/0001").rename(root / "train_split/ann"),
            "ann: identity folders are",
        ),
        (
            lambda root: (root / "train_split/0001/00001/x.jpg").write_bytes(b""),
            "x.jpg: name is not like 0001C1T",
        ),
    ],
)
def test_damaged_split_layout(
    split_mars: Path, break_it: Callable[[Path], None], message: str | None
) -> None:
    break_it(split_mars)
    if message is None:
        assert load_mars(split_mars).train.lengths.tolist() == [1, 2]
        return
    with pytest.raises(DataError, match=message):
        load_mars(split_mars)


def _write_names(root: Path, change: Callable[[list[str]], list[str]]) -> None:
    path = root / "info" / "train_name.txt"
    path.write_text("\n".join(change(path.read_text().split())) + "\n")


def _write_tracks(root: Path, row: int, column: int, value: float) -> None:
    path = root / "info" / "tracks_train_info.mat"
    table = scipy.io.loadmat(path)["track_train_info"].astype(float)
    table[row, column] = value
    scipy.io.savemat(path, {"track_train_info": table})


def _nest(root: Path, folder: str) -> None:
    """Unpacked one folder too deep: bbox_train/bbox_train/0001."""
    (root / folder).rename(root / "moved")
    (root / folder).mkdir()
    (root / "moved").rename(root / folder / folder)


def _write_mat(root: Path, name: str, variables: dict[str, object]) -> None:
    scipy.io.savemat(root / "info" / name, variables)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (
            lambda root: shutil.rmtree(root / "bbox_test"),
            "missing bbox_test/; found in MARS/: bbox_train/, info/",
        ),
        (
            lambda root: os.remove(root / "info/query_IDX.mat"),
            "missing info/query_IDX.mat; found in info/: test_",
        ),
        (
            lambda root: (root / "info/query_IDX.mat").write_text("3 5\n"),
            "query_IDX.mat: not a readable .mat",
        ),
        (lambda root: (root / "info/query_IDX.mat").write_bytes(b""), "query_IDX.mat: not a readable .mat"),
        (lambda root: _write_mat(root, "query_IDX.mat", {"q": [[3, 7]]}), "entry 2 is 7, .* rows 1 to 6"),
        (lambda root: _write_mat(root, "query_IDX.mat", {"q": [[0]]}), "entry 1 is 0"),
        (lambda root: _write_mat(root, "query_IDX.mat", {"q": np.zeros((1, 0))}), "lists no query"),
        (
            lambda root: _write_mat(root, "query_IDX.mat", {"q": [[1]], "p": [[1]]}),
            "one variable, found p, q",
        ),
        (lambda root: _write_mat(root, "query_IDX.mat", {"q": "three"}), "q is not a table of whole numbers"),
        (
            lambda root: _write_mat(root, "query_IDX.mat", {"q": [[np.nan]]}),
            "q is not a table of whole numbers",
        ),
        (lambda root: _write_mat(root, "tracks_test_info.mat", {"t": [[1, 2, 3]]}), r"found shape \(1, 3\)"),
        (
            lambda root: _write_tracks(root, 2, 1, 12),
            "row 3 spans frames 6 to 12, which is outside .* 9 frames",
        ),
        (lambda root: _write_tracks(root, 0, 0, 0), "row 1 spans frames 0 to 3, which is outside"),
        (lambda root: _write_tracks(root, 1, 0, 6), "row 2 spans frames 6 to 5, which is empty"),
        (lambda root: _write_tracks(root, 1, 2, 7), "0001C2T0002F001.jpg .1 of 3 tracklets"),
        (lambda root: _write_tracks(root, 1, 3, 1), "identity or camera differ from the names of the frames"),
        (
            lambda root: _write_names(root, lambda names: [*names[:4], "face.png", *names[5:]]),
            "line 5 is 'face.png'",
        ),
        (lambda root: _write_names(root, lambda names: []), "outside the name list's 0 frames"),
        (
            lambda root: (root / "info/train_name.txt").write_bytes(b"\xff\xfe\x00"),
            "train_name.txt: cannot be read",
        ),
        (
            lambda root: shutil.rmtree(root / "bbox_train/0003"),
            "1 tracklets have none of their frames on disk: 0003C",
        ),
        (
            lambda root: _nest(root, "bbox_train"),
            "3 tracklets have none .* found in bbox_train/: bbox_train/ ",
        ),
    ],
)
def test_damaged_official_layout(official_mars: Path, break_it: Callable[[Path], None], message: str) -> None:
    break_it(official_mars)
    with pytest.raises(DataError, match=message):
        load_mars(official_mars)


def test_folder_that_cannot_be_listed(official_mars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.listdir

    def refuse(path: str | Path) -> list[str]:
        if Path(path).name == "0003":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(DataError, match=r"bbox_train/0003: cannot be listed \(Permission denied\)"):
        load_mars(official_mars)


def test_other_folders_get_a_hint(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match=r"neither the official layout .* found: photos/"):
        load_mars(tmp_path)
    with pytest.raises(DataError, match="no such folder; --data-root"):
        load_mars(tmp_path / "gone")


def test_missing_frame_is_left_out_and_counted(official_mars: Path) -> None:
    (official_mars / "bbox_train/0003/0003C1T0003F002.jpg").unlink()
    data = load_mars(official_mars)
    assert data.train.lengths.tolist() == [3, 2, 3]
    assert data.problems == (
        "1 listed frames are not on disk and left out: bbox_train/0003/0003C1T0003F002.jpg",
    )
    assert "F002" not in data.train.frames.name(6)


def test_frames_outside_the_list_are_ignored_and_counted(official_mars: Path) -> None:
    (official_mars / "bbox_test/0002/0002C1T0003F009.jpg").write_bytes(b"")
    (official_mars / "bbox_test/0002/Thumbs.db").write_bytes(b"")
    (official_mars / "bbox_test/.DS_Store").write_bytes(b"")
    (problem,) = load_mars(official_mars).problems
    assert problem.startswith(
        "1 frames on disk are in no name list and ignored: bbox_test/0002/0002C1T0003F009"
    )


def test_frames_in_no_track_are_counted(official_mars: Path) -> None:
    _write_tracks(official_mars, 2, 0, 7)
    data = load_mars(official_mars)
    assert data.problems == (
        "1 listed frames belong to no track of tracks_train_info.mat: bbox_train/0003/0003C1T0003F001.jpg",
    )
    assert data.train.lengths.tolist() == [3, 2, 3]


def test_overlapping_tracks_are_counted(official_mars: Path) -> None:
    table = [[1, 3, 1, 1], [4, 5, 1, 2], [6, 9, 3, 1], [8, 9, 3, 1]]
    _write_mat(official_mars, "tracks_train_info.mat", {"t": table})
    (problem,) = load_mars(official_mars).problems
    assert problem.startswith("2 listed frames belong to several tracks of tracks_train_info.mat")


def test_one_mislabelled_track_in_a_hundred_is_a_problem_line(
    official_mars: Path, write_frames: Callable[..., None]
) -> None:
    names = [f"0005C1T{tracklet:04d}F001.jpg" for tracklet in range(1, 101)]
    write_frames(official_mars / "bbox_train" / "0005", names)
    _write_names(official_mars, lambda before: names)
    rows = [(line, line, 5, 1) for line in range(1, 101)]
    rows[41] = (42, 42, 5, 2)
    _write_mat(official_mars, "tracks_train_info.mat", {"t": rows})
    for person in ("0001", "0003"):
        shutil.rmtree(official_mars / "bbox_train" / person)
    data = load_mars(official_mars)
    assert data.problems == (
        "identity or camera differ from the names of the frames: "
        "bbox_train/0005/0005C1T0042F001.jpg (1 of 100 tracklets)",
    )
    assert data.train.cameras[41] == 2  # the table, from which the protocol is defined, decides


@pytest.mark.real
def test_mars_mini(mars_mini: Path) -> None:
    data = load_mars(mars_mini)
    if len(data.train) != 1251:
        pytest.skip(f"{mars_mini} is another MARS than mars-mini")
    assert data.train.identities is not None and data.test is not None and data.test.identities is not None
    assert len(np.unique(data.train.identities)) == 110 and len(data.test) == 551
    assert len(data.query) == 184 and len(np.unique(data.test.identities)) == 70
    assert data.problems == ()

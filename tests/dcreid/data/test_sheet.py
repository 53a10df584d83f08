"""`python -m dcreid.data sheet`: people as columns, cameras as rows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision.io import read_image

from dcreid.config import SyntheticConfig
from dcreid.data.__main__ import main
from dcreid.data.readers.folder import load_folder
from dcreid.data.sheet import contact_sheet
from dcreid.data.synthetic.dataset import load_synthetic
from dcreid.data.tracklets import DataError


def test_a_cell_is_the_middle_frame_of_the_first_tracklet() -> None:
    split = load_synthetic(SyntheticConfig(train_identities=4, cameras=3)).train
    sheet = contact_sheet(split, 3, 32, 16)
    assert sheet.shape == (3, 3 * 32, 3 * 16)
    expected, _ = split.frames.read(split.offsets[:1] + split.lengths[:1] // 2, 32, 16)
    row = int(split.cameras[0]) - 1
    cell = sheet[:, row * 32 : row * 32 + 32, :16]
    assert torch.equal(cell, torch.from_numpy(expected[0]).permute(2, 0, 1))


def test_command(tmp_path: Path, capsys) -> None:
    path = tmp_path / "people.png"
    assert main(["sheet", "--dataset", "synthetic", "--people", "4", "--out", str(path)]) == 0
    assert read_image(str(path)).shape == (3, 4 * 128, 4 * 64)
    assert "train split" in capsys.readouterr().out


def test_unlabelled_tracklets_are_rows(tmp_path: Path, user_folder: Path) -> None:
    path = tmp_path / "tracklets.png"
    assert main(["sheet", str(user_folder), "--dataset", "folder", "--people", "2", "--out", str(path)]) == 0
    assert read_image(str(path)).shape == (3, 2 * 128, 8 * 64)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, capsys) -> None:
    path = tmp_path / "nowhere" / "people.png"
    assert main(["sheet", "--dataset", "synthetic", "--out", str(path)]) == 2
    assert f"--out {path}" in capsys.readouterr().err


def test_frames_that_cannot_be_read_are_grey_and_named(
    tmp_path: Path, user_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = user_folder / "train" / "C1_0002" / "1.jpg"
    bad.write_bytes(b"")
    split = load_folder(user_folder).train
    sheet = contact_sheet(split, 1, 16, 8)
    assert (sheet[:, :, :8] == 128).all() and not (sheet[:, :, -8:] == 128).all()
    assert caplog.messages == [f"1 frame(s) cannot be read and are grey: {bad}"]


def test_a_picture_too_large_is_refused_before_a_frame_is_read(user_folder: Path) -> None:
    split = load_folder(user_folder).train
    for frame in (user_folder / "train").rglob("*.jpg"):
        frame.unlink()
    with pytest.raises(DataError, match="--people, --height, --width: a picture of 100,663,296 pixels"):
        contact_sheet(split, 3, 2048, 2048)
    with pytest.raises(SystemExit, match="2"):
        main(["sheet", "--dataset", "synthetic", "--out", "x.png", "--height", "2049"])


def test_the_embedded_data_have_no_folder(user_folder: Path, capsys) -> None:
    assert main(["inspect", str(user_folder), "--dataset", "synthetic"]) == 2
    assert f"{user_folder}: the embedded data set is drawn" in capsys.readouterr().err

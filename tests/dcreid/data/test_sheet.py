"""`python -m dcreid.data sheet`: people as columns, cameras as rows."""

from __future__ import annotations

from pathlib import Path

import torch
from torchvision.io import read_image

from dcreid.config import SyntheticConfig
from dcreid.data.__main__ import main
from dcreid.data.sheet import contact_sheet
from dcreid.data.synthetic.dataset import load_synthetic


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

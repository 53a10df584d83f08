"""`python -m dcreid.data inspect`: the page it prints and its exit status."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dcreid.data.__main__ import main
from dcreid.data.inspection import (
    FrameCheck,
    Summary,
    check_frames,
    queries_left_out,
    report,
    summarise,
    unmatched_queries,
)
from dcreid.data.readers.folder import load_folder
from dcreid.data.readers.mars import load_mars
from dcreid.data.tracklets import DataError


def test_summaries(official_mars: Path) -> None:
    assert summarise(load_mars(official_mars)) == [
        Summary("train", 3, 2, 2, 9, 2, 3.0, 4),
        Summary("query", 2, 2, 1, 5, 2, 2.5, 3),
        Summary("gallery", 6, 2, 3, 12, 1, 2.0, 3),
        Summary("test", 6, 2, 3, 12, 1, 2.0, 3),
    ]


def test_queries_of_which_none_can_be_counted_are_refused_before_anything_is_trained(
    labelled_folder: Path,
) -> None:
    assert queries_left_out(load_folder(labelled_folder)) == ""
    shutil.rmtree(labelled_folder / "gallery" / "ann" / "cam2_b")
    with pytest.raises(DataError, match=r"shop: no query can be counted \(1\): no other camera"):
        queries_left_out(load_folder(labelled_folder))


def test_unmatched_queries(official_mars: Path) -> None:
    data = load_mars(official_mars)
    assert unmatched_queries(data) == 1  # identity 4 is seen by camera 1 only
    assert unmatched_queries(data.with_gallery("no_queries")) == 1


def test_every_frame_readable(official_mars: Path) -> None:
    data = load_mars(official_mars)
    assert check_frames(data, None) == FrameCheck(21, 21)
    assert check_frames(data, 5) == FrameCheck(5, 21)
    assert check_frames(data, 0) == FrameCheck(0, 21)
    assert check_frames(data, 10**9) == FrameCheck(21, 21)


def test_progress_reaches_the_end(official_mars: Path) -> None:
    seen: list[tuple[int, int]] = []
    check_frames(load_mars(official_mars), None, lambda done, total: seen.append((done, total)))
    assert seen == [(21, 21)]


def test_bad_frames_are_named_with_their_reason(official_mars: Path, jpeg: bytes) -> None:
    empty = official_mars / "bbox_train/0001/0001C1T0001F002.jpg"
    cut = official_mars / "bbox_test/0002/0002C1T0003F001.jpg"
    empty.write_bytes(b"")
    cut.write_bytes(jpeg[:200])
    data = load_mars(official_mars)
    check = check_frames(data, None)
    assert check.unreadable == ((str(empty), "zero bytes"), (str(cut), "truncated JPEG"))
    assert check.lost == ()
    page = report(data, check)
    assert "21 of 21 frames decoded: 2 cannot be read" in page
    assert f"1 zero bytes: {empty}" in page and f"1 truncated JPEG: {cut}" in page
    assert "usable all the same" in page


def test_tracklet_without_a_readable_frame(official_mars: Path) -> None:
    for frame in (1, 2):
        (official_mars / f"bbox_train/0001/0001C2T0002F00{frame}.jpg").write_bytes(b"")
    assert check_frames(load_mars(official_mars), None).lost == ("train 0001C2T0002",)


def test_page(official_mars: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(official_mars), "--frames", "all"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "layout    mars (guessed; --dataset overrides)"
    assert lines[1].startswith("MARS, fingerprint ")
    assert " ".join(lines[3].split()) == "split tracklets identities cameras frames length min median max"
    assert " ".join(lines[4].split()) == "train 3 2 2 9 2 3 4"
    assert lines[9] == "protocol  MARS official gallery (6 rows, junk ignored)"
    assert (
        lines[10].strip()
        == "gallery rows: 1 junk (ignored), 1 distractors (match no query), 4 of known people"
    )
    assert lines[11].strip().startswith("1 of 2 queries are not counted")
    assert lines[-1] == "problems  none in folders, names and tables"


def test_page_of_unlabelled_tracklets(user_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (user_folder / "train" / "nothing").mkdir()
    assert main(["inspect", str(user_folder), "--frames", "3"]) == 0
    out = capsys.readouterr().out
    assert "layout    folder" in out and "no test split" in out and "clustering only" in out
    assert "train          3           -        2" in out
    assert "3 of 16 frames decoded, evenly spread (--frames all decodes every one): all readable" in out
    assert "problems  left out: 1 tracklet folder(s)" in out


def test_page_of_duke(duke: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(duke), "--gallery", "no_queries"]) == 0
    out = capsys.readouterr().out
    assert "layout    duke" in out and "DukeMTMC-VideoReID, gallery no_queries (2 rows)" in out


def test_embedded_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--dataset", "synthetic"]) == 0
    assert "frames are drawn" in capsys.readouterr().out


def test_unusable_data_is_one_line_on_stderr(
    official_mars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, message in (
        ([str(tmp_path / "gone")], "gone: no such folder"),
        ([], "give the folder of the data set"),
        ([str(official_mars.parent)], "MARS holds mars"),
        ([str(Path(__file__).parent)], "MARS would have bbox_train/ or train_split/ here"),
        ([str(official_mars), "--dataset", "duke"], "holds mars, not duke"),
    ):
        assert main(["inspect", *arguments]) == 2
        captured = capsys.readouterr()
        assert captured.err.startswith("python -m dcreid.data: error: ") and message in captured.err
        assert captured.err.count("\n") == 1


def test_lost_tracklet_ends_with_status_2(official_mars: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (official_mars / "bbox_test/00-1/00-1C1T0001F001.jpg").write_bytes(b"not a picture")
    assert main(["inspect", str(official_mars)]) == 2
    captured = capsys.readouterr()
    assert "1 neither JPEG nor PNG: " in captured.out
    assert "1 tracklet(s) without a single readable frame: test 00-1C1T0001; restore" in captured.err


@pytest.mark.parametrize("frames", ["-1", "some", "1.5"])
def test_frames_must_be_a_number_or_all(frames: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["inspect", ".", "--frames", frames])
    assert (
        "expected one argument" in (err := capsys.readouterr().err)
        or "neither a number of frames nor all" in err
    )


def test_interrupted(official_mars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dcreid.data.__main__.load_dataset", interrupt)
    assert main(["inspect", str(official_mars)]) == 130


@pytest.mark.slow
def test_module_runs(official_mars: Path) -> None:
    command = [sys.executable, "-m", "dcreid.data", "inspect", str(official_mars)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False)
    assert done.returncode == 0 and done.stderr == "" and "protocol  MARS official" in done.stdout


@pytest.mark.real
def test_mars_mini(mars_mini: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(mars_mini)]) == 0
    assert "protocol  MARS official gallery" in capsys.readouterr().out

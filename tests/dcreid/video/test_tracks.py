"""A tracker's file: every way in which it is written, what is wrong with it, and tracks cut in pieces."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from dcreid.data.tracklets import DataError
from dcreid.video.tracks import Tracks, read_tracks, tracklets_of

PLAIN = "2,7,10.5,-20,30,60.25,0.9,-1,-1,-1\n1,7,9,-21,30,60,1,-1,-1,-1\n"


def read(folder: Path, content: str | bytes) -> Tracks:
    path = folder / "t.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_tracks(path)


def test_boxes_come_in_order_of_frames(tmp_path: Path):
    found = read(tmp_path, PLAIN)
    assert found.frames.tolist() == [1, 2] and found.ids.tolist() == [7, 7]
    assert found.boxes.tolist() == [[9, -21, 30, 60], [10.5, -20, 30, 60.25]]
    assert found.confidence.tolist() == [1, 0.9]


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.replace(",", ", "),
        PLAIN.replace(",", " ,\t"),
        PLAIN.replace("\n", "\r\n"),
        "# frame,id,…\n\n" + PLAIN + "\n",
        "\ufeff" + PLAIN,
        PLAIN.replace(",7,", ",7.0,").replace("2,7", "2.0,7").replace("60,1,", "6e1,1,"),
        PLAIN.replace("-1\n", "person # sure\n"),
        PLAIN.rstrip(),
    ],
    ids=["spaces", "tabs", "Windows", "comments", "a mark of order", "floats", "a class in words", "no end"],
)
def test_other_spellings_are_the_same(tmp_path: Path, content: str):
    plain, other = read(tmp_path, PLAIN), read(tmp_path, content)
    for name in ("frames", "ids", "boxes", "confidence"):
        assert getattr(other, name).tolist() == getattr(plain, name).tolist()


def test_without_a_confidence_there_is_none(tmp_path: Path):
    assert read(tmp_path, "1,0,1,2,3,4\n").confidence.tolist() == [-1]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1,7,9,21,30", "5 column(s) between commas; expected frame,id,left,top,width,height,confidence"),
        ("1 7 9 21 30 60 1 -1 -1 -1", "1 column(s) between commas"),
        ("1,7,9,21,30,60,1,-1,-1", "9 columns, but the first line has 10; was the file cut off?"),
        ("1,7,9,21,30,60,1,-1,-1,-1,-1", "11 columns, but the first line has 10"),
        ("frame,id,x,y,w,h,c,-1,-1,-1", "'frame' is not a number"),
        ("1,7,nan,21,30,60,1,-1,-1,-1", "'nan' is not a number"),
        ("1,7,9,inf,30,60,1,-1,-1,-1", "'inf' is not a number"),
        ("1,7,9,,30,60,1,-1,-1,-1", "'' is not a number"),
        ("1,7,9,1e400,30,60,1,-1,-1,-1", "top inf: must be a number of pixels"),
        ("0,7,9,21,30,60,1,-1,-1,-1", "frame 0: must be a whole number from 1 on; if your tracker counts"),
        ("1.5,7,9,21,30,60,1,-1,-1,-1", "frame 1.5: must be a whole number"),
        ("1,-1,9,21,30,60,1,-1,-1,-1", "id -1: must be a whole number from 0 on; -1 is a box without"),
        ("1,7.5,9,21,30,60,1,-1,-1,-1", "id 7.5: must be a whole number"),
        ("1,7,9,21,-30,60,1,-1,-1,-1", "width -30: must be above 0"),
        ("1,7,9,21,30,0,1,-1,-1,-1", "height 0: must be above 0"),
        ("1,7,9,21,30,60,-1e99,-1,-1,-1", "confidence -1e+99: must be a number, or -1"),
        ("2,7,0,0,1,1,1,-1,-1,-1", "frame 2 has a box of id 7 on line 1 already; remove one of them"),
        ("1" * 2000, "longer than 1000 characters"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, said: str):
    with pytest.raises(DataError) as error:
        read(tmp_path, PLAIN.splitlines()[0] + f"\n\n{line}\n4,7,9,21,30,60,1,-1,-1,-1\n")
    assert f"t.txt: line 3: {said}" in str(error.value)


def test_wrong_lines_are_all_named_up_to_a_few(tmp_path: Path):
    with pytest.raises(DataError, match=r"line 3: width .* \(wrong too: line 4, 6, 7, 8, 9, …\)$"):
        read(tmp_path, PLAIN + "".join(f"{k},7,1,2,{3 - 9 * (k != 5)},4,1,-1,-1,-1\n" for k in range(3, 12)))
    with pytest.raises(DataError, match=r"line 1: .*\(wrong too: line 2, 3, 4, 5, 6, …\)$"):
        read(tmp_path, b"\x00\xff\xfe\n" * 100_000)


@pytest.mark.parametrize("content", ["", "\n# nobody came\n"])
def test_a_file_without_a_box(tmp_path: Path, content: str):
    with pytest.raises(DataError, match=r"t\.txt: holds no box; expected lines of frame,id"):
        read(tmp_path, content)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    for name, said in (("pipe", "not a file"), (".", "not a file"), ("none", "No such file")):
        with pytest.raises(DataError, match=said):
            read_tracks(tmp_path / name)


# --- pieces


def of(*boxes: tuple[int, int]) -> Tracks:
    """Boxes of (frame, id)."""
    frames, ids = np.array(boxes, dtype=np.int64).T.copy()
    return Tracks(frames, ids, np.ones((len(boxes), 4)), np.ones(len(boxes)))


def test_a_track_is_cut_where_it_has_too_long_a_gap():
    tracks = of((1, 7), (2, 3), (2, 7), (6, 7), (6, 9), (11, 7), (12, 7))
    tracklet, names = tracklets_of(tracks, max_gap=3)
    assert [names[k] for k in tracklet] == ["0007_1", "0003", "0007_1", "0007_1", "0009", "0007_2", "0007_2"]
    assert tracklets_of(tracks, max_gap=4)[1] == ["0003", "0007", "0009"]
    assert len(tracklets_of(tracks, max_gap=0)[1]) == 5


@pytest.mark.parametrize("seed", range(3))
def test_pieces_are_those_of_a_loop(seed: int):
    rng = np.random.default_rng(seed)
    boxes = sorted({(int(f), int(i)) for f, i in rng.integers(1, (60, 5), size=(90, 2))})
    pieces: dict[int, list[list[int]]] = {}
    for frame, track in boxes:
        own = pieces.setdefault(track, [[]])
        if own[-1] and frame - own[-1][-1] - 1 > 4:
            own.append([])
        own[-1].append(frame)
    tracklet, names = tracklets_of(of(*boxes), max_gap=4)
    found: dict[str, list[int]] = {}
    for (frame, _), k in zip(boxes, tracklet.tolist(), strict=True):
        found.setdefault(names[k], []).append(frame)
    expected = {
        f"{track:04d}_{k}" if len(own) > 1 else f"{track:04d}": piece
        for track, own in pieces.items()
        for k, piece in enumerate(own, start=1)
    }
    assert found == expected and len(names) == len(expected)

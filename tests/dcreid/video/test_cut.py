"""What is cut out of frames, against boxes made by hand and a plain loop over all of them."""

from __future__ import annotations

import dataclasses
import errno
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin
from walking import write_frames

import dcreid.video.cut as module
from dcreid.data.tracklets import DataError
from dcreid.video.cut import (
    BETWEEN,
    MISSING,
    OUTSIDE,
    SHORT,
    SMALL,
    UNREADABLE,
    UNSURE,
    Outcome,
    Source,
    check_place,
    cut_video,
)
from dcreid.video.frames import BrokenOff
from dcreid.video.rules import Rules
from dcreid.video.tracks import Tracks

HEIGHT, WIDTH = 40, 60
ALL = Rules(min_height=1, min_width=1, inside=0.0, min_frames=1)  # leaves nothing out
# Smooth, so that JPEG loses little: red tells the column, green the row, blue the frame.
PICTURES = np.stack(
    [
        np.stack(
            np.broadcast_arrays(4 * np.arange(WIDTH)[None, :], 6 * np.arange(HEIGHT)[:, None], 20 * k), axis=2
        )
        for k in range(1, 9)
    ]
).astype(np.uint8)


def tracks(*boxes: tuple[float, ...]) -> Tracks:
    """Boxes of (frame, id, left, top, width, height), and a confidence where there is one."""
    table = np.array([(*box, -1.0)[:7] for box in boxes], dtype=np.float64)
    whole = table[:, :2].astype(np.int64)
    return Tracks(whole[:, 0].copy(), whole[:, 1].copy(), table[:, 2:6], table[:, 6])


def cut(folder: Path, found: Tracks, rules: Rules = ALL, frames: int = 8) -> tuple[Outcome, list[str]]:
    """Cuts from the pictures, as camera 2; what became of it, and the files."""
    if not (folder / "img1").exists():
        write_frames(folder / "img1", PICTURES[:frames])
    outcome = cut_video(Source(folder / "img1", found, 2), folder / "d", rules)
    root = folder / "d/train/c2"
    return outcome, sorted(str(path.relative_to(root)) for path in root.rglob("*.jpg"))


def changed(**fields: float) -> Rules:
    return dataclasses.replace(ALL, **fields)  # type: ignore[arg-type]


def test_a_box_is_cut_where_it_lies(tmp_path: Path):
    outcome, names = cut(tmp_path, tracks((3, 7, 10, 5, 12, 20), (3, 8, 20.6, 7.4, 9.2, 20.2)))
    assert names == ["0007/c2_f0000003.jpg", "0008/c2_f0000003.jpg"]
    assert outcome == Outcome(tracklets=2, frames=2, seen=3)
    for name, place in (
        (names[0], np.s_[5:25, 10:22]),
        (names[1], np.s_[7:28, 21:30]),  # 7.4 to 27.6, 20.6 to 29.8
    ):
        with Image.open(tmp_path / "d/train/c2" / name) as image:
            found, wanted = np.asarray(image).astype(int), PICTURES[2][place].astype(int)
            assert found.shape == wanted.shape and np.abs(found - wanted).mean() < 1.5
            assert JpegImagePlugin.get_sampling(image) == 0  # 4:4:4


def test_a_box_that_leaves_the_picture_is_cut_to_it(tmp_path: Path):
    _, names = cut(tmp_path, tracks((1, 1, -4, -3, 12, 20), (2, 2, 55, 30, 12, 20)))
    sizes = [Image.open(tmp_path / "d/train/c2" / name).size for name in names]
    assert sizes == [(8, 17), (5, 10)]


@pytest.mark.parametrize(
    ("box", "rules", "why"),
    [
        ((1, 1, -3, 0, 10, 20), changed(inside=0.7), None),
        ((1, 1, -3, 0, 10, 20), changed(inside=0.71), OUTSIDE),
        ((1, 1, -3, 30, 10, 20), changed(inside=0.36), OUTSIDE),  # 0.7 × 0.5
        ((1, 1, 80, 0, 10, 20), ALL, SMALL),  # not in the picture at all
        ((1, 1, 0, 30, 10, 20), changed(min_height=10), None),
        ((1, 1, 0, 30, 10, 20), changed(min_height=11), SMALL),
        ((1, 1, -3, 0, 10, 20), changed(min_width=7), None),
        ((1, 1, -3, 0, 10, 20), changed(min_width=8), SMALL),
        ((1, 1, 0, 0, 10, 20, 0.5), changed(min_confidence=0.5), None),
        ((1, 1, 0, 0, 10, 20, 0.49), changed(min_confidence=0.5), UNSURE),
        ((1, 1, 0, 0, 10, 20, -1), changed(min_confidence=0.5), None),
        ((9, 1, 0, 0, 10, 20), ALL, MISSING),
    ],
)
def test_what_is_left_out(tmp_path: Path, box: tuple[float, ...], rules: Rules, why: str | None):
    outcome, _ = cut(tmp_path, tracks((1, 99, 20, 0, 10, 20, 1), box), rules)
    assert outcome.left_out == ({why: 1} if why else {}) and outcome.frames == 2 - bool(why)


def test_every_third_frame_of_a_tracklet(tmp_path: Path):
    boxes = [(frame, 5, 0, 0, 10, 20) for frame in (1, 2, 4, 5, 6, 8)] + [(3, 6, 0, 0, 10, 20)]
    outcome, names = cut(tmp_path, tracks(*sorted(boxes)), changed(every=3))
    assert names == [f"0005/c2_f000000{frame}.jpg" for frame in (1, 5)] + ["0006/c2_f0000003.jpg"]
    assert outcome.left_out == {BETWEEN: 4}


def test_tracklets_of_few_frames_are_taken_back(tmp_path: Path):
    boxes = [(frame, 5, 0, 0, 10, 20) for frame in (1, 2, 3)] + [(frame, 6, 9, 0, 10, 20) for frame in (4, 5)]
    outcome, names = cut(tmp_path, tracks(*boxes), changed(min_frames=3))
    assert len(names) == 3 and outcome == Outcome(1, 3, Counter({SHORT: 2}), seen=5)
    assert not (tmp_path / "d/train/c2/0006").exists()


def test_frames_that_cannot_be_read_cost_their_boxes(tmp_path: Path):
    write_frames(tmp_path / "img1", PICTURES)
    (tmp_path / "img1/000002.png").write_bytes(b"")
    outcome, names = cut(tmp_path, tracks(*((frame, 5, 0, 0, 10, 20) for frame in (1, 2, 3))))
    assert [name[-6:-4] for name in names] == ["01", "03"] and outcome.left_out == {UNREADABLE: 1}


def test_what_a_video_showed_before_it_broke_off_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    @contextmanager
    def breaking(_: Path) -> Iterator[Iterator[object]]:
        def frames() -> Iterator[object]:
            yield from (lambda picture=picture: picture for picture in PICTURES[:3])
            raise BrokenOff("Invalid data")

        yield frames()

    monkeypatch.setattr(module, "opened", breaking)
    outcome, names = cut(tmp_path, tracks(*((frame, 5, 0, 0, 10, 20) for frame in range(2, 8))))
    assert len(names) == 2
    assert outcome == Outcome(1, 2, Counter({MISSING: 4}), seen=3, broken_off="Invalid data")
    with pytest.raises(DataError, match=r"1 in frames behind .*; which breaks off after frame 3 \(Invalid"):
        cut(tmp_path, tracks((4, 5, 0, 0, 10, 20)))


@pytest.mark.parametrize("seed", range(6))
def test_random_boxes_against_a_loop(tmp_path: Path, seed: int):
    rng = np.random.default_rng(seed)
    seen = sorted({(int(f), int(i)) for f, i in rng.integers(1, (11, 6), size=(60, 2))})
    boxes = [
        (*key, *rng.uniform((-15, -15), (50, 30)), *rng.uniform(4, 30, size=2), round(rng.uniform(), 2))
        for key in seen
    ]
    boxes += [(frame, 9, 20, 5, 30, 30, 1) for frame in range(1, 9)]  # always left
    boxes.sort()
    rules = Rules(
        min_height=int(rng.integers(1, 12)),
        min_width=int(rng.integers(1, 12)),
        inside=float(rng.uniform(0, 1)),
        min_confidence=float(rng.uniform(0, 0.4)),
        every=int(rng.integers(1, 3)),
        min_frames=int(rng.integers(1, 3)),
        max_gap=int(rng.integers(0, 4)),
    )
    wanted, lengths = by_a_loop(boxes, rules)
    outcome, names = cut(tmp_path, tracks(*boxes), rules)
    assert names == wanted and outcome.frames == len(wanted) and outcome.tracklets == lengths
    assert outcome.frames + sum(outcome.left_out.values()) == len(boxes)


def by_a_loop(boxes: list[tuple[float, ...]], rules: Rules) -> tuple[list[str], int]:
    """Files of the tracklets of eight frames, a track after the other; how many tracklets."""
    files, tracklets = [], 0
    for track in sorted({box[1] for box in boxes}):
        pieces: list[list[tuple[float, ...]]] = []
        for box in (box for box in boxes if box[1] == track):
            if not pieces or box[0] - pieces[-1][-1][0] > rules.max_gap + 1:
                pieces.append([])
            pieces[-1].append(box)
        for number, piece in enumerate(pieces, start=1):
            good = [int(box[0]) for box in piece if box[0] <= 8 and fits(box, rules)][:: rules.every]
            if good and len(good) >= rules.min_frames:
                tracklets += 1
                name = f"{int(track):04d}" + (f"_{number}" if len(pieces) > 1 else "")
                files += [f"{name}/c2_f{frame:07d}.jpg" for frame in good]
    return sorted(files), tracklets


def fits(box: tuple[float, ...], rules: Rules) -> bool:
    _, _, left, top, width, height, confidence = box
    right, bottom = min(left + width, WIDTH), min(top + height, HEIGHT)
    left, top = max(left, 0.0), max(top, 0.0)
    across, down = max(right - left, 0.0), max(bottom - top, 0.0)
    if across * down / (width * height) < rules.inside or confidence < rules.min_confidence:
        return False
    return (
        across > 0
        and down > 0
        and round(right) - round(left) >= rules.min_width
        and round(bottom) - round(top) >= rules.min_height
    )


# --- the folder


BOX = tracks((1, 5, 0, 0, 10, 20))


def test_nothing_left_is_an_error_and_leaves_nothing(tmp_path: Path):
    with pytest.raises(DataError, match=r"img1: no tracklet is left of 1 boxes: 1 lower than --min-height"):
        cut(tmp_path, BOX, changed(min_height=30))
    assert not (tmp_path / "d").exists()


def test_a_camera_is_replaced_once_the_new_one_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    cut(tmp_path, BOX)
    other = tracks((1, 5, 0, 0, 10, 20), (2, 6, 0, 0, 10, 20))

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_exchange", stopped)
        with pytest.raises(KeyboardInterrupt):
            cut(tmp_path, other)
    train = tmp_path / "d/train"
    assert [path.name for path in train.iterdir()] == ["c2"]
    assert [path.name for path in (train / "c2").iterdir()] == ["0005"]
    (train / ".c2.partial/0077").mkdir(parents=True)  # as a killed process leaves it
    assert len(cut(tmp_path, other)[1]) == 2
    assert [path.name for path in train.iterdir()] == ["c2"]
    assert sorted(path.name for path in (train / "c2").iterdir()) == ["0005", "0006"]


def test_where_tracklets_may_go(tmp_path: Path):
    out = tmp_path / "d"
    one, two, later = (Source(tmp_path, BOX, *numbers) for numbers in ((1,), (2,), (2, 90_001)))
    check_place(out, [one, two], replace=False)
    two.folder(out).mkdir(parents=True)
    check_place(out, [one, later], replace=False)
    check_place(out, [one, two], replace=True)
    with pytest.raises(DataError, match=r"train/c2 is there already; --camera N .* --force cuts it anew"):
        check_place(out, [one, two], replace=False)
    (tmp_path / "mars/bbox_train").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    for name, said in (("mars", "holds mars"), ("file", "not a folder")):
        with pytest.raises(DataError, match=f"--out .*{name}: {said}"):
            check_place(tmp_path / name, [one], replace=False)


def test_a_later_video_of_a_camera_goes_on_with_its_clock(tmp_path: Path):
    write_frames(tmp_path / "img1", PICTURES)
    for start in (1, 90_001):
        cut_video(Source(tmp_path / "img1", BOX, 2, start), tmp_path / "d", ALL)
    found = sorted(str(path.relative_to(tmp_path / "d/train")) for path in tmp_path.rglob("*.jpg"))
    assert found == ["c2/0005/c2_f0000001.jpg", "c2_f0090001/0005/c2_f0090001.jpg"]


def test_frames_that_are_cut_from_are_counted_aloud(tmp_path: Path):
    write_frames(tmp_path / "img1", PICTURES)
    heard: list[int] = []
    found = tracks((2, 5, 0, 0, 10, 20), (4, 5, 0, 0, 10, 20), (4, 6, 9, 0, 10, 20))
    cut_video(Source(tmp_path / "img1", found, 1), tmp_path / "d", ALL, heard.append)
    assert heard == [2, 4]


def test_a_full_disk_names_the_file_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"No space left on device \(.* needed, .* free\)") as error:
        cut(tmp_path, BOX)
    assert str(error.value.filename).endswith("0005/c2_f0000001.jpg") and not (tmp_path / "d").exists()

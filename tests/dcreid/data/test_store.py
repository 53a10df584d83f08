"""The frame store: what is packed, shared, left out and refused."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.io import write_jpeg

from dcreid.data.store import open_store, store_bytes
from dcreid.data.tracklets import DataError, JpegFrames, Split


def make_split(root: Path, lengths: list[int], broken: dict[int, bytes] | None = None) -> Split:
    """Tracklets of one-colour JPEGs, colour = 10 · frame; `broken` overwrites frames with these bytes."""
    paths = []
    for frame in range(sum(lengths)):
        name = f"{frame:04d}.jpg"
        write_jpeg(torch.full((3, 16, 8), 10 * frame, dtype=torch.uint8), str(root / name), quality=100)
        paths.append(name)
    for frame, content in (broken or {}).items():
        (root / paths[frame]).write_bytes(content)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    n = len(lengths)
    names = [f"tracklet {i}" for i in range(n)]
    return Split("train", JpegFrames(root, paths, offsets[:-1]), offsets, np.zeros(n, int), None, names)


def test_packs_every_frame_once_and_maps_it(tmp_path: Path) -> None:
    split = make_split(tmp_path, [2, 3])
    store = open_store(split, 16, 8, tmp_path / "cache")
    assert store.frames.shape == (5, 16, 8, 3)
    assert store.starts.tolist() == [0, 2]
    assert store.lengths.tolist() == [2, 3]
    assert [int(frame.float().mean().round()) for frame in store.frames] == [0, 10, 20, 30, 40]
    for name in ("0001.jpg", "0003.jpg", "0004.jpg"):
        (tmp_path / name).unlink()  # the second opening decodes nothing
    again = open_store(split, 16, 8, tmp_path / "cache")
    assert torch.equal(again.frames, store.frames)
    assert store_bytes(split, 16, 8) == 5 * 16 * 8 * 3


def test_memory_and_disk_agree_at_any_size(tmp_path: Path) -> None:
    split = make_split(tmp_path, [2, 1])
    for size in ((16, 8), (8, 8), (33, 21)):
        packed, kept = open_store(split, *size, tmp_path / "cache"), open_store(split, *size, None)
        assert torch.equal(packed.frames, kept.frames)
        assert packed.frames.shape[1:3] == size


def test_frames_read_in_several_chunks_lie_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = make_split(tmp_path, [3, 4], broken={1: b"", 5: b"\xff\xd8"})
    monkeypatch.setattr("dcreid.data.store._FRAMES_AT_ONCE", 2)
    for cache in (tmp_path / "cache", None):
        store = open_store(split, 16, 8, cache)
        assert store.starts.tolist() == [0, 2] and store.lengths.tolist() == [2, 3]
        assert [int(frame.float().mean().round()) for frame in store.frames] == [0, 20, 30, 40, 60]


def test_sizes_of_one_height_have_stores_of_their_own(tmp_path: Path) -> None:
    split = make_split(tmp_path, [2])
    for width in (12, 8):
        packed, kept = open_store(split, 16, width, tmp_path / "cache"), open_store(split, 16, width, None)
        assert torch.equal(packed.frames, kept.frames)


def test_unreadable_frames_are_left_out_and_reported(tmp_path: Path) -> None:
    split = make_split(tmp_path, [3, 2], broken={1: b""})
    data = (tmp_path / "0004.jpg").read_bytes()
    (tmp_path / "0004.jpg").write_bytes(data[: len(data) // 2])
    store = open_store(split, 16, 8, tmp_path / "cache")
    assert store.lengths.tolist() == [2, 1]
    assert [int(frame.float().mean().round()) for frame in store.frames] == [0, 20, 30]
    (problem,) = store.problems
    assert "2 of 5 frames cannot be read" in problem
    assert f"{tmp_path / '0001.jpg'} (zero bytes)" in problem
    assert f"{tmp_path / '0004.jpg'} (truncated JPEG)" in problem
    assert open_store(split, 16, 8, tmp_path / "cache").problems == store.problems  # reported by every run


def test_a_mended_frame_comes_back(tmp_path: Path) -> None:
    split = make_split(tmp_path, [3, 2], broken={1: b""})
    assert open_store(split, 16, 8, tmp_path / "cache").lengths.tolist() == [2, 2]
    write_jpeg(torch.full((3, 16, 8), 10, dtype=torch.uint8), str(tmp_path / "0001.jpg"), quality=100)
    store = open_store(split, 16, 8, tmp_path / "cache")
    assert store.lengths.tolist() == [3, 2] and not store.problems


def test_of_several_frames_left_out_a_single_mended_one_comes_back(tmp_path: Path) -> None:
    split = make_split(tmp_path, [3, 3], broken={1: b"", 4: b""})
    assert open_store(split, 16, 8, tmp_path / "cache").lengths.tolist() == [2, 2]
    write_jpeg(torch.full((3, 16, 8), 10, dtype=torch.uint8), str(tmp_path / "0001.jpg"), quality=100)
    store = open_store(split, 16, 8, tmp_path / "cache")
    assert store.lengths.tolist() == [3, 2] and "1 of 6 frames" in store.problems[0]


def test_a_tracklet_without_a_readable_frame_is_an_error(tmp_path: Path) -> None:
    split = make_split(tmp_path, [2, 1], broken={2: b"\xff\xd8 not a picture"})
    with pytest.raises(DataError, match=r"tracklet 1 has no readable frame.*0002\.jpg"):
        open_store(split, 16, 8, tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("index.json"))


@pytest.mark.parametrize(
    ("total", "free", "refused"),
    [
        (1 << 40, (1 << 30) + 768, False),  # 1 GiB is kept spare
        (1 << 40, (1 << 30) + 767, True),
        (20_000, 1768, False),  # a twentieth, of a small disk
        (20_000, 1767, True),
    ],
)
def test_a_full_disk_is_reported_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, total: int, free: int, refused: bool
) -> None:
    split = make_split(tmp_path, [2])
    usage = type("usage", (), {"total": total, "free": free})
    monkeypatch.setattr("dcreid.data.store.shutil.disk_usage", lambda path: usage)
    said = rf"2 frames at 16×8: {tmp_path}/cache/frames: 768 bytes needed, .* free \(.* spare\); .*--cache"
    told = None
    try:
        open_store(split, 16, 8, tmp_path / "cache")
    except DataError as error:
        told = re.search(said, str(error))
    assert (told is not None) == refused
    assert bool(list((tmp_path / "cache").rglob("*.bin"))) != refused


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.ENOSPC])
def test_a_quota_is_told_before_a_frame_is_read_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(file: int, start: int, size: int) -> None:
        raise OSError(number, os.strerror(number))

    split = make_split(tmp_path, [2])
    monkeypatch.setattr("os.posix_fallocate", refuse)
    monkeypatch.setattr(JpegFrames, "read", lambda *arguments: pytest.fail("read"))
    said = rf"{tmp_path}/cache/.*frames\.bin: {os.strerror(number)} \(768 bytes needed, .* free\); .*--cache"
    with pytest.raises(DataError, match=said):
        open_store(split, 16, 8, tmp_path / "cache")
    assert [path.suffix for path in (tmp_path / "cache" / "frames").iterdir()] == [".lock"]


def test_a_disk_that_fills_up_meanwhile_is_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system that cannot allocate in advance."""
    monkeypatch.setattr("dcreid.data.store.allocate", lambda file, size: None)
    monkeypatch.setattr("dcreid.data.store._sync", full)
    split = make_split(tmp_path, [2])
    with pytest.raises(DataError, match=r"frames\.bin: No space left on device \(768 bytes needed"):
        open_store(split, 16, 8, tmp_path / "cache")
    assert [path.suffix for path in (tmp_path / "cache" / "frames").iterdir()] == [".lock"]


def full(file: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_frames_that_are_left_out_take_no_room(tmp_path: Path) -> None:
    split = make_split(tmp_path, [3, 2], broken={1: b""})
    open_store(split, 16, 8, tmp_path / "cache")
    (path,) = (tmp_path / "cache").rglob("frames.bin")
    assert path.stat().st_size == 4 * 16 * 8 * 3


def test_a_half_built_store_is_built_again(tmp_path: Path) -> None:
    split = make_split(tmp_path, [2, 3])
    frames = open_store(split, 16, 8, tmp_path / "cache").frames.clone()
    folder = next((tmp_path / "cache" / "frames").glob("train-*-16x8"))
    (folder / "index.json").unlink()
    (folder / "frames.bin").write_bytes(b"half")
    assert torch.equal(open_store(split, 16, 8, tmp_path / "cache").frames, frames)


def test_a_cut_store_is_an_error_that_names_the_folder_to_delete(tmp_path: Path) -> None:
    split = make_split(tmp_path, [2, 3])
    open_store(split, 16, 8, tmp_path / "cache")
    folder = next((tmp_path / "cache" / "frames").glob("train-*-16x8"))
    (folder / "frames.bin").write_bytes(b"half")
    with pytest.raises(DataError, match=f"delete {folder}"):
        open_store(split, 16, 8, tmp_path / "cache")


def test_changed_frames_get_a_store_of_their_own(tmp_path: Path) -> None:
    split = make_split(tmp_path, [2, 3])
    open_store(split, 16, 8, tmp_path / "cache")
    other = make_split(tmp_path, [3, 2])
    assert open_store(other, 16, 8, tmp_path / "cache").lengths.tolist() == [3, 2]


def test_other_frames_of_the_same_tracklets_get_a_store_of_their_own(tmp_path: Path) -> None:
    for colour, name in ((90, "one"), (30, "two")):
        (tmp_path / name).mkdir()
        split = make_split(tmp_path / name, [2, 3])
        noise = torch.randint(0, colour, (3, 16, 8), dtype=torch.uint8)
        write_jpeg(noise, str(tmp_path / name / "0002.jpg"), quality=colour)  # of another size in bytes
        packed = open_store(split, 16, 8, tmp_path / "cache")
        assert torch.equal(packed.frames, open_store(split, 16, 8, None).frames)


def test_reordering_moves_tracklets_not_frames(tmp_path: Path) -> None:
    store = open_store(make_split(tmp_path, [2, 3, 1]), 16, 8, None)
    moved = store.reordered(np.array([2, 0, 1]))
    assert moved.starts.tolist() == [5, 0, 2]
    assert moved.lengths.tolist() == [1, 2, 3]
    assert moved.frames is store.frames

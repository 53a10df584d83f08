"""The frame store: what is packed, shared, left out and refused."""

from __future__ import annotations

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


def test_a_full_disk_is_reported_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = make_split(tmp_path, [2])
    usage = type("usage", (), {"free": 1 << 30})
    monkeypatch.setattr("dcreid.data.store.shutil.disk_usage", lambda path: usage)
    with pytest.raises(DataError, match=r"2 frames at 16×8.*1\.0 GiB free.*--cache"):
        open_store(split, 16, 8, tmp_path / "cache")


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

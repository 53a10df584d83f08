"""The files in MARS's info/: damaged ones, and what the real ones hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dcreid.data.inspection import unmatched_queries
from dcreid.data.readers.mars_info import parse_name, read_names, read_query_rows, read_tracks
from dcreid.data.tracklets import DISTRACTOR, JUNK, DataError, JpegFrames, Split, TrackletDataset


def test_damaged_mat_at_any_length_is_one_clear_error(official_mars: Path) -> None:
    path = official_mars / "info" / "tracks_train_info.mat"
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match="tracks_train_info"):
            read_tracks(path)


def test_matlab_73_files_are_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "tracks_train_info.mat"
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF")
    with pytest.raises(DataError, match="save it again with -v7"):
        read_tracks(path)


def test_name_list_may_have_windows_line_ends_and_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "train_name.txt"
    path.write_bytes(b"\xef\xbb\xbf0001C1T0001F001.jpg\r\n00-1C6T0009F012.jpg\r\n\r\n")
    names, labels = read_names(path)
    assert names == ["0001C1T0001F001.jpg", "00-1C6T0009F012.jpg"]
    assert labels.tolist() == [[1, 1], [JUNK, 6]]


@pytest.mark.parametrize(
    "name", ["0001C1T0001F001.jpeg", "001C1T0001F001.jpg", "0001C1T0001.jpg", "x0001C1T1F1.jpg"]
)
def test_names_of_another_pattern(name: str) -> None:
    assert parse_name(name) is None


@pytest.mark.real
def test_real_training_tracks(mars_info: Path) -> None:
    tracks = read_tracks(mars_info / "tracks_train_info.mat")
    lengths = tracks[:, 1] - tracks[:, 0] + 1
    assert len(tracks) == 8298 and len(np.unique(tracks[:, 2])) == 625
    assert lengths.sum() == tracks[:, 1].max() == 509_914
    assert (lengths.min(), np.median(lengths), lengths.max()) == (5, 36, 900)
    assert np.bincount(tracks[:, 2]).max() == 271 and np.unique(tracks[:, 3]).tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.real
def test_real_test_tracks(mars_info: Path) -> None:
    tracks = read_tracks(mars_info / "tracks_test_info.mat")
    assert len(tracks) == 12_180
    assert (tracks[:, 2] == JUNK).sum() == 870 and (tracks[:, 2] == DISTRACTOR).sum() == 3248
    assert (tracks[:, 1] - tracks[:, 0] + 1).sum() == tracks[:, 1].max() == 681_089


@pytest.mark.real
@pytest.mark.parametrize(
    ("gallery", "rows", "unmatched"),
    [("official", 12_180, 0), ("no_junk", 11_310, 0), ("no_queries", 10_200, 140), ("neither", 9330, 140)],
)
def test_real_galleries(mars_info: Path, gallery: str, rows: int, unmatched: int) -> None:
    tracks = read_tracks(mars_info / "tracks_test_info.mat")
    query = read_query_rows(mars_info / "query_IDX.mat", len(tracks))
    offsets = np.concatenate([[0], tracks[:, 1]]).astype(np.int64)
    names = [str(row) for row in range(len(tracks))]
    frames = JpegFrames(mars_info, names, offsets[:-1])
    split = Split("test", frames, offsets, tracks[:, 3].copy(), tracks[:, 2].copy(), names)
    data = TrackletDataset("MARS", split, split, query, np.arange(len(tracks)), "official")
    chosen = data.with_gallery(gallery)
    assert len(query) == 1980 and len(chosen.gallery) == rows
    assert unmatched_queries(chosen) == unmatched

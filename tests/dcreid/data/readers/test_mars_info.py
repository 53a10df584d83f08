"""The files in MARS's info/: damaged ones, and what the real ones hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from dcreid.data.inspection import unmatched_queries
from dcreid.data.readers.mars import load_mars
from dcreid.data.readers.mars_info import check_ranges, parse_name, read_names, read_query_rows, read_tracks
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


# What a .mat file may hold in place of a table.
_ARRAYS = arrays(
    st.sampled_from(
        [np.float64, np.float32, np.int64, np.uint64, np.int8, np.bool_, np.complex128, "U3", "O"]
    ),
    array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
)
_TABLES = st.lists(st.tuples(*[st.integers(-2, 12)] * 4), min_size=1, max_size=8).map(np.array)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(name=st.sampled_from(["tracks_train_info", "tracks_test_info", "query_IDX"]), table=_ARRAYS | _TABLES)
def test_any_array_is_refused_in_one_line_or_makes_a_data_set(
    official_mars: Path, name: str, table: np.ndarray
) -> None:
    path = official_mars / "info" / f"{name}.mat"
    whole = path.read_bytes()
    try:
        scipy.io.savemat(path, {"t": table})
        _is_refused_or_read(official_mars, f"{name}.mat")
    finally:
        path.write_bytes(whole)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    packed=st.booleans(),
    changes=st.lists(st.tuples(st.integers(0, 10**4), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_any_changed_bytes_are_refused_in_one_line_or_make_a_data_set(
    official_mars: Path, packed: bool, changes: list[tuple[int, int]]
) -> None:
    path = official_mars / "info" / "tracks_train_info.mat"
    whole = path.read_bytes()
    if not packed:  # what is changed is not hidden from the reader by a checksum
        scipy.io.savemat(path, {"t": read_tracks(path)})
    content = bytearray(path.read_bytes())
    for place, value in changes:
        content[place % len(content)] = value
    try:
        path.write_bytes(bytes(content))
        _is_refused_or_read(official_mars, path.name)
    finally:
        path.write_bytes(whole)


def _is_refused_or_read(root: Path, named: str) -> None:
    try:
        data = load_mars(root)
    except DataError as error:
        # A table that fits the others but not the frames on disk is named by the folder of those.
        assert named in str(error) or "of their frames on disk" in str(error)
        assert str(error).count("\n") == 0 and len(str(error)) < 900
    else:
        assert len(data.fingerprint()) == 16 and len(np.unique(data.query)) == len(data.query)


def test_a_query_that_stands_there_twice_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "query_IDX.mat"
    scipy.io.savemat(path, {"q": [[5, 3, 5, 1, 3]]})
    rows, (problem,) = read_query_rows(path, 6)
    assert rows.tolist() == [4, 2, 0]  # in the order of their first mention
    assert problem == "query_IDX.mat lists 2 tracks more than once (first: row 5); each counts once"


def test_tracks_that_take_in_everything_again_and_again_do_not_fill_the_memory() -> None:
    tracks = np.tile(np.array([[1, 500_000, 1, 1]]), (10_000, 1))
    with pytest.raises(DataError, match=r"t\.mat: its rows take 5,000,000,000 frames out of a name list of"):
        check_ranges(tracks, 500_000, Path("t.mat"))


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
    query, _ = read_query_rows(mars_info / "query_IDX.mat", len(tracks))
    offsets = np.concatenate([[0], tracks[:, 1]]).astype(np.int64)
    names = [str(row) for row in range(len(tracks))]
    frames = JpegFrames(mars_info, names, offsets[:-1])
    split = Split("test", frames, offsets, tracks[:, 3].copy(), tracks[:, 2].copy(), names)
    data = TrackletDataset("MARS", split, split, query, np.arange(len(tracks)), "official")
    chosen = data.with_gallery(gallery)
    assert len(query) == 1980 and len(chosen.gallery) == rows
    assert unmatched_queries(chosen) == unmatched

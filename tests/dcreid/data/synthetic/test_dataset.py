"""The embedded data set: the same pixels whoever asks, the shape that was asked for, people who differ."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcreid.config import ConfigError, SyntheticConfig
from dcreid.data.readers.mars import read_tracks
from dcreid.data.synthetic.dataset import load_synthetic, mars_counts
from dcreid.data.synthetic.pedestrians import TRAITS, draw_people
from dcreid.data.tracklets import DISTRACTOR, JUNK, DataError, Split, TrackletDataset

SMALL = SyntheticConfig(train_identities=5, test_identities=6, tracklets=4, frames=4, difficulty=0.8)


@pytest.fixture(scope="module")
def small() -> TrackletDataset:
    return load_synthetic(SMALL)


def pixels(split: Split, height: int = 32, width: int = 16) -> np.ndarray:
    return split.frames.read(np.arange(len(split.frames)), height, width)[0]


def test_same_configuration_same_data(small: TrackletDataset) -> None:
    again = load_synthetic(SMALL)
    assert again.fingerprint() == small.fingerprint()
    assert np.array_equal(pixels(again.train), pixels(small.train))
    assert np.array_equal(pixels(again.test), pixels(small.test))


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"shape": "mars"},
        {"train_identities": 6},
        {"test_identities": 7},
        {"tracklets": 5},
        {"cameras": 3},
        {"frames": 6},
        {"difficulty": 0.7},
        {"lookalikes": 1.0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_setting_changes_the_data(small: TrackletDataset, change: dict) -> None:
    other = load_synthetic(dataclasses.replace(SMALL, **change))
    assert other.fingerprint() != small.fingerprint()
    frames = np.arange(8)
    differ = [
        not np.array_equal(a.frames.read(frames, 32, 16)[0], b.frames.read(frames, 32, 16)[0])
        for a, b in ((small.train, other.train), (small.test, other.test))
    ]
    assert any(differ) or len(other.train) != len(small.train)


@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_a_frame_does_not_depend_on_its_company(small: TrackletDataset, data: st.DataObject) -> None:
    frames = small.test.frames
    height, width = data.draw(st.sampled_from([(64, 32), (48, 31), (16, 8)]))
    asked = np.array(data.draw(st.lists(st.integers(0, len(frames) - 1), min_size=1, max_size=24)))
    together, ok = frames.read(asked, height, width)
    alone = np.concatenate([frames.read(asked[i : i + 1], height, width)[0] for i in range(len(asked))])
    assert ok.all()
    assert np.array_equal(together, alone)


@pytest.mark.parametrize("size", [(16, 8), (64, 32), (33, 47), (256, 128), (600, 300)])
def test_any_size(small: TrackletDataset, size: tuple[int, int]) -> None:
    images, ok = small.train.frames.read(np.array([3, 0]), *size)
    assert images.shape == (2, *size, 3) and images.dtype == np.uint8 and ok.tolist() == [True, True]


def test_sizes_show_the_same_picture(small: TrackletDataset) -> None:
    large = pixels(small.train, 128, 64).astype(float)
    shrunk = large.reshape(len(large), 32, 4, 16, 4, 3).mean(axis=(2, 4))
    assert np.abs(shrunk - pixels(small.train)).mean() < 12


def test_no_frames_and_frames_that_are_not_there(small: TrackletDataset) -> None:
    frames = small.train.frames
    assert frames.read(np.array([], dtype=np.int64), 32, 16)[0].shape == (0, 32, 16, 3)
    for wrong in (-1, len(frames)):
        with pytest.raises(IndexError, match="numbered 0 to"):
            frames.read(np.array([0, wrong]), 32, 16)


def test_pictures_use_the_range_of_bytes() -> None:
    images = pixels(load_synthetic(SyntheticConfig(train_identities=20)).train, 64, 32)
    assert images.min() < 20 and images.max() > 235
    assert 60 < images.mean() < 180
    assert images.std(axis=(1, 2)).mean(axis=1).min() > 8  # no blank frame


def test_frames_of_a_tracklet_differ_but_less_than_tracklets(small: TrackletDataset) -> None:
    train, images = small.train, pixels(small.train).astype(float)
    within, between = [], []
    for start, end in zip(train.offsets[:-1], train.offsets[1:], strict=True):
        within.append(np.abs(images[start] - images[end - 1]).mean())
        between.append(np.abs(images[start] - images[end % len(images)]).mean())
    assert min(within) > 1
    assert np.mean(within) < 0.7 * np.mean(between)


def test_even_shape(small: TrackletDataset) -> None:
    train = small.train
    identities, counts = np.unique(train.identities, return_counts=True)
    assert identities.tolist() == [1, 2, 3, 4, 5] and set(counts) == {4}
    assert train.lengths.min() >= 2 and train.lengths.max() <= 6  # 4 frames, by half more or less
    assert set(train.cameras) <= {1, 2, 3, 4}
    for identity in identities:  # two tracklets in each of two cameras
        _, seen = np.unique(train.cameras[train.identities == identity], return_counts=True)
        assert seen.tolist() == [2, 2]


def test_mars_shape() -> None:
    train = load_synthetic(dataclasses.replace(SMALL, shape="mars", cameras=6)).train
    identities, counts = np.unique(train.identities, return_counts=True)
    assert (len(train), len(identities), counts.max(), np.median(counts)) == (8298, 625, 271, 10)
    assert set(train.cameras) == {1, 2, 3, 4, 5, 6}


@pytest.mark.real
def test_mars_counts_are_those_of_mars(mars_info: Path) -> None:
    identity = read_tracks(mars_info / "tracks_train_info.mat")[:, 2]
    assert np.array_equal(mars_counts(), np.sort(np.unique(identity, return_counts=True)[1]))


def test_protocol(small: TrackletDataset) -> None:
    test = small.test
    labelled = test.identities[test.identities > 0]
    assert sorted(set(labelled)) == [6, 7, 8, 9, 10, 11]
    assert (test.identities == DISTRACTOR).sum() == round(0.40 * 24)
    assert (test.identities == JUNK).sum() == round(0.11 * 24)
    assert np.array_equal(small.gallery, np.arange(len(test)))
    asked = list(zip(test.identities[small.query], test.cameras[small.query], strict=True))
    everyone = zip(test.identities, test.cameras, strict=True)
    assert len(asked) == len(set(asked)) and set(asked) == {pair for pair in everyone if pair[0] > 0}
    for identity, camera in asked:  # every query has something to be found in another camera
        assert ((test.identities == identity) & (test.cameras != camera)).any()
    assert small.protocol == f"synthetic gallery ({len(test)} rows, junk ignored)"


def test_names(small: TrackletDataset) -> None:
    train, test = small.train, small.test
    frame = int(train.offsets[5]) + 2
    name = f"person 2, camera {train.cameras[5]}, tracklet 2"
    assert train.names[5] == name and train.frames.name(frame) == f"synthetic {name}, frame 3"
    assert test.names[-1].startswith("junk 3,") and test.names[24].startswith("distractor 1,")
    assert len(set(test.names)) == len(test)


@given(n=st.integers(2, 60), share=st.floats(0, 1), seed=st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_lookalikes_differ_in_one_trait(n: int, share: float, seed: int) -> None:
    people = draw_people(n, share, np.random.default_rng(seed))
    differing = (people.traits[:, None] != people.traits[None]).sum(axis=2)
    assert np.all(differing[~np.eye(n, dtype=bool)] >= 1)  # nobody twice
    pairs = int((np.triu(differing == 1)).sum())
    assert pairs >= int(share * n / 2)
    assert np.all((people.traits >= 0) & (people.traits < list(TRAITS.values())))


def test_every_trait_is_seen() -> None:
    """Two people who differ in one trait look different from the front, in the same frame."""
    data = load_synthetic(dataclasses.replace(SMALL, difficulty=0.0, lookalikes=1.0, test_identities=40))
    frames = data.test.frames
    start = data.test.offsets[0]
    seen = []
    for person in range(40):
        frames.walks.person[0] = person
        seen.append(frames.read(np.array([start]), 64, 32)[0].astype(int))
    traits = frames.people.traits[:40]
    differing = (traits[:, None] != traits[None]).sum(axis=2)
    for a, b in zip(*np.nonzero(np.triu(differing == 1)), strict=True):
        assert np.abs(seen[a] - seen[b]).max() > 12


def test_difficulty_moves_cameras_apart() -> None:
    """The same people at three difficulties: mean colours of the cameras' frames spread out."""
    spread = []
    for difficulty in (0.0, 0.5, 1.0):
        config = SyntheticConfig(difficulty=difficulty, train_identities=30, frames=1)
        train = load_synthetic(config).train
        means = pixels(train).mean(axis=(1, 2))
        cameras = [means[train.cameras == camera].mean(axis=0) for camera in range(1, config.cameras + 1)]
        spread.append(np.std(cameras, axis=0).mean())
    assert spread[0] < spread[1] < spread[2]


@pytest.mark.parametrize(
    "wrong", [{"difficulty": 1.1}, {"cameras": 1}, {"frames": 0}, {"lookalikes": -0.1}, {"shape": "duke"}]
)
def test_settings_out_of_range(wrong: dict) -> None:
    with pytest.raises(ConfigError, match=f"SyntheticConfig.{next(iter(wrong))}"):
        SyntheticConfig(**wrong)


def test_smallest_data_set() -> None:
    data = load_synthetic(
        SyntheticConfig(train_identities=2, test_identities=2, tracklets=2, cameras=2, frames=1)
    )
    assert len(data.train) == 4 and len(data.query) == 4 and set(data.train.lengths) == {1}


@pytest.mark.parametrize("sizes", [{"frames": 1_000_000}, {"train_identities": 200_000}])
def test_what_no_memory_holds_is_refused_before_it_is_drawn(sizes: dict[str, int]):
    with pytest.raises(DataError, match="lower --synthetic-train-identities"):
        load_synthetic(SyntheticConfig(**sizes))

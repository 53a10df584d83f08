"""Development halves: who is in them, what is measured on whom, and that a run's data follow the option."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_runs import tiny

from dcreid.algorithm import Algorithm
from dcreid.config import Config, DataConfig
from dcreid.data import load_dataset
from dcreid.data.__main__ import main
from dcreid.data.halves import HALVES, on_half
from dcreid.data.store import open_store
from dcreid.data.tracklets import DISTRACTOR, JUNK, DataError, JpegFrames, Split, TrackletDataset

Tracklet = tuple[int, int, int]  # identity, camera, frames
MADE: list[Tracklet] = [(1 + i % 9, 1 + i % 4, 1 + i % 3) for i in range(40)]


def made(tracklets: Sequence[Tracklet], labelled: bool = True) -> TrackletDataset:
    """A data set whose frames are called after tracklet and place; its test split is of other people."""
    identities, cameras, lengths = (
        np.array(column, dtype=np.int64) for column in zip(*tracklets, strict=True)
    )
    names = [f"t{i}" for i in range(len(tracklets))]
    paths = [f"{name}/{place}" for name, n in zip(names, lengths, strict=True) for place in range(n)]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    frames = JpegFrames(Path("/nowhere"), paths, offsets[:-1])
    train = Split("train", frames, offsets, cameras, identities if labelled else None, names)
    test = dataclasses.replace(train, name="test", identities=identities + 1000)
    rows = np.arange(len(tracklets), dtype=np.int64)
    return TrackletDataset("made", train, test, rows[:1], rows, "made gallery", ("a problem",))


def people(split: Split | None) -> set[int]:
    assert split is not None and split.identities is not None
    return set(split.identities.tolist())


def shown(split: Split) -> list[tuple[str, int, int, list[str]]]:
    """Name, identity, camera and frames of every tracklet."""
    assert split.identities is not None
    return [
        (name, int(split.identities[i]), int(split.cameras[i]), [split.frames.name(f) for f in range(a, b)])
        for i, (name, a, b) in enumerate(zip(split.names, split.offsets, split.offsets[1:], strict=False))
    ]


@given(
    st.lists(st.tuples(st.integers(-1, 12), st.integers(1, 3), st.integers(1, 3)), min_size=4, max_size=40),
    st.randoms(use_true_random=False),
)
def test_the_halves_part_the_people_alike_in_every_order(tracklets: list[Tracklet], random: object) -> None:
    everyone = {identity for identity, _, _ in tracklets} - {JUNK}
    if len(everyone) < 4:
        with pytest.raises(DataError, match=f"made has {len(everyone)} training identities"):
            on_half(made(tracklets), HALVES[0])
        return
    first, second = (on_half(made(tracklets), half) for half in HALVES)
    shift = DISTRACTOR in everyone
    assert people(first.train) | people(second.train) == {identity + shift for identity in everyone}
    assert not people(first.train) & people(second.train)
    assert len(people(first.train)) == len(everyone) // 2
    mixed = list(tracklets)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert people(on_half(made(mixed), HALVES[0]).train) == people(first.train)


def test_each_half_is_trained_on_once_and_measured_on_once() -> None:
    first, second = (on_half(made(MADE), half) for half in HALVES)
    assert first.test is not None and second.test is not None
    assert shown(first.train) == shown(second.test) and shown(second.train) == shown(first.test)
    whole = {name: rest for name, *rest in shown(made(MADE).train)}
    assert {name: rest for name, *rest in (*shown(first.train), *shown(second.train))} == whole
    assert [name for name, *_ in shown(first.train)] == [
        f"t{i}" for i, (who, _, _) in enumerate(MADE) if who in people(first.train)
    ]


def test_the_halves_stay_what_they_are() -> None:
    """Of the people 1 to 9; another generator or seed would make studies that cannot be compared."""
    assert people(on_half(made(MADE), "first_half").train) == {3, 5, 6, 7}


def test_one_query_for_each_person_and_camera_against_all_of_the_other_half() -> None:
    data = on_half(made(MADE), "second_half")
    assert data.test is not None
    first_seen: dict[tuple[int, int], int] = {}
    for row, (_, identity, camera, _) in enumerate(shown(data.test)):
        first_seen.setdefault((identity, camera), row)
    assert data.query.tolist() == list(first_seen.values())
    assert data.gallery.tolist() == list(range(len(data.test)))
    assert data.problems == ("a problem",) and data.labelled


def test_junk_is_in_neither_half_and_somebody_called_0_is_no_distractor() -> None:
    data = on_half(
        made([(JUNK, 1, 1), *((who, camera, 2) for who in range(4) for camera in (1, 2))]), HALVES[0]
    )
    assert people(data.train) | people(data.test) == {1, 2, 3, 4}
    assert len(data.train) == len(data.query) == len(data.gallery) == 4


def test_the_protocol_names_split_and_gallery() -> None:
    data = on_half(made(MADE), "first_half")
    assert data.name == "made, split first_half"
    assert data.protocol == "made, split first_half: the other half of the training identities (23 rows)"
    fewer = data.with_gallery("no_queries")
    assert fewer.protocol == f"made, split first_half, gallery no_queries ({len(fewer.gallery)} rows)"
    assert sorted([*fewer.gallery, *fewer.query]) == list(range(23))


def test_tracklets_without_identities_cannot_be_parted() -> None:
    with pytest.raises(
        DataError, match=r"--split second_half: nobody has labelled .* of made.*leave --split out"
    ):
        on_half(made(MADE, labelled=False), "second_half")


def test_three_people_are_too_few() -> None:
    with pytest.raises(DataError, match=r"--split first_half: made has 3 training identities.* 4 or more"):
        on_half(made([(who, 1, 1) for who in (1, 2, 3)]), "first_half")


# --- as a choice of a run


def drawn(split: str, **changes: object) -> Config:
    return tiny(**{"data.split": split, **changes})


def test_every_split_is_other_data_and_the_official_one_what_it_was() -> None:
    official, *halves = (load_dataset(drawn(s).data, None) for s in ("official", *HALVES))
    assert len({data.fingerprint() for data in (official, *halves)}) == 3
    assert official.name == "synthetic" and len(official.train) == sum(len(data.train) for data in halves)


def test_drawn_frames_are_those_of_the_whole_training_split() -> None:
    whole, data = load_dataset(tiny().data, None).train, load_dataset(drawn("first_half").data, None)
    half = data.train
    frame = {name: whole.offsets[i] for i, name in enumerate(whole.names)}
    wanted = np.array([frame[name] for name in half.names])
    ours, good = half.frames.read(half.offsets[:-1], 16, 8)
    assert np.array_equal(ours, whole.frames.read(wanted, 16, 8)[0]) and good.all()
    assert data.test is not None and half.frames.fingerprint() != data.test.frames.fingerprint()
    assert half.frames.name(0) == whole.frames.name(int(wanted[0]))
    assert len(half.frames) == half.lengths.sum()


def test_seed_and_split_are_chosen_apart() -> None:
    config = drawn("second_half")
    one, two = (load_dataset(config.replace(seed=seed).data, None).fingerprint() for seed in (0, 7))
    assert one == two


def test_both_halves_use_the_same_packed_frames(tmp_path: Path) -> None:
    for half in HALVES:
        data = load_dataset(drawn(half).data, None)
        for split in (data.train, data.test):
            assert split is not None and len(open_store(split, 16, 8, tmp_path)) == len(split)
    assert len(list((tmp_path / "frames").glob("*/index.json"))) == 2


def test_a_run_trains_on_one_half_and_is_measured_on_the_other() -> None:
    config = drawn("first_half", **{"train.first_epochs": 0, "train.later_epochs": 0, "merge.max_steps": 1})
    data = load_dataset(config.data, None)
    algorithm = Algorithm(config, data)
    (step,) = list(algorithm)
    whole = load_dataset(tiny().data, None).train
    assert len(algorithm.store) == len(data.train) < len(whole)
    seen = [tuple(pair) for pair in np.stack([data.test.identities, data.test.cameras], 1).tolist()]  # type: ignore[union-attr]
    counted = sum(any(i == who and c != camera for i, c in seen) for who, camera in set(seen))
    assert step.queries == counted and step.queries_skipped == len(set(seen)) - counted


def test_inspect_shows_a_half(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["inspect", "--dataset", "synthetic", "--split", "second_half", "--gallery", "no_queries"]) == 0
    )
    out = capsys.readouterr().out
    data = load_dataset(DataConfig(split="second_half", gallery="no_queries"), None)
    assert out.startswith(f"synthetic, split second_half, fingerprint {data.fingerprint()}\n")
    assert f"protocol  {data.protocol}\n" in out and "gallery no_queries (48 rows)" in out


def test_inspect_refuses_to_part_what_nobody_labelled(
    user_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(user_folder), "--split", "first_half"]) == 2
    assert "--split first_half: nobody has labelled the training tracklets of shop" in capsys.readouterr().err

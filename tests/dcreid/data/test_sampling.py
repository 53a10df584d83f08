"""Which frames are drawn, which are evenly spaced, and the batches of an epoch, by classes too."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dcreid.data.sampling import batches_of, draws_by_class, evenly_spaced, sample_frames
from dcreid.data.store import FrameStore


@given(
    st.lists(st.integers(1, 900), min_size=1, max_size=20),
    st.integers(1, 16),
    st.sampled_from(["segments", "random", "distinct"]),
    st.integers(0, 9),
)
def test_drawn_frames_lie_in_their_tracklet_in_time_order(
    lengths: list[int], count: int, sampling: str, seed: int
) -> None:
    sizes = np.array(lengths)
    drawn = sample_frames(sizes, count, sampling, np.random.default_rng(seed))
    assert drawn.shape == (len(lengths), count)
    assert (drawn >= 0).all() and (drawn < sizes[:, None]).all()
    assert (np.diff(drawn, axis=1) >= 0).all()


def test_segments_draw_one_frame_from_each_part() -> None:
    rng = np.random.default_rng(0)
    drawn = np.stack([sample_frames(np.array([40]), 4, "segments", rng)[0] for _ in range(500)])
    for part in range(4):
        assert set(drawn[:, part]) == set(range(10 * part, 10 * part + 10))


@pytest.mark.parametrize("sampling", ["segments", "random", "distinct"])
def test_every_tracklet_draws_for_itself(sampling: str) -> None:
    drawn = sample_frames(np.full(2000, 40), 4, sampling, np.random.default_rng(0))
    assert len(np.unique(drawn, axis=0)) > 1500
    # 8,000 frames of 40: 200 times each, give or take four deviations of 14.
    assert np.abs(np.bincount(drawn.ravel(), minlength=40) - 200).max() < 56


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20), st.integers(1, 16), st.integers(0, 9))
def test_distinct_frames_never_repeat_where_there_are_enough(
    lengths: list[int], count: int, seed: int
) -> None:
    drawn = sample_frames(np.array(lengths), count, "distinct", np.random.default_rng(seed))
    for own, length in zip(drawn, lengths, strict=True):
        assert len(set(own)) == count or length < count


def test_every_set_of_distinct_frames_is_as_likely() -> None:
    drawn = sample_frames(np.full(35 * 400, 7), 4, "distinct", np.random.default_rng(0))
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    # 35 sets of 4 of 7, 400 times each, give or take four deviations of 20.
    assert len(counts) == 35 and np.abs(counts - 400).max() < 80


def test_tracklets_with_too_few_frames_are_drawn_from_with_replacement() -> None:
    drawn = sample_frames(np.full(15 * 400, 3), 4, "distinct", np.random.default_rng(0))
    rows, counts = np.unique(drawn, axis=0, return_counts=True)
    # 4 draws of 3 frames, sorted: as often as a multinomial says.
    wanted = np.array([math.factorial(4) / math.prod(map(math.factorial, np.bincount(row))) for row in rows])
    expected = 15 * 400 * wanted / 3**4
    assert len(rows) == 15 and (np.abs(counts - expected) < 4 * np.sqrt(expected)).all()


@pytest.mark.parametrize(
    ("sampling", "wanted"),
    [
        ("segments", [[3, 7, 12, 18], [1, 2, 3, 4], [0, 0, 0, 0]]),
        ("random", [[0, 1, 6, 15], [3, 3, 4, 4], [0, 0, 0, 0]]),
    ],
)
def test_draws_are_those_of_every_version(sampling: str, wanted: list[list[int]]) -> None:
    drawn = sample_frames(np.array([25, 5, 1]), 4, sampling, np.random.default_rng(0))
    assert drawn.tolist() == wanted


def test_unknown_sampling_is_refused() -> None:
    with pytest.raises(ValueError, match="segments, random or distinct"):
        sample_frames(np.array([3]), 2, "first", np.random.default_rng(0))


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.integers(0, 20))
def test_evenly_spaced_frames(lengths: list[int], most: int) -> None:
    store = FrameStore(
        torch.zeros(sum(lengths), 1, 1, 3, dtype=torch.uint8),
        np.cumsum(lengths) - lengths,
        np.array(lengths, dtype=np.int64),
    )
    rows, kept = evenly_spaced(store, most)
    assert kept.tolist() == [min(length, most) if most else length for length in lengths]
    position = 0
    for start, length, count in zip(store.starts, lengths, kept, strict=True):
        own = rows[position : position + count] - start
        position += count
        assert len(set(own)) == count and own.min() >= 0 and own.max() < length
        assert abs((own.mean() + 0.5) - length / 2) <= 0.5 + 1e-9  # centred
        if count > 1:
            assert np.diff(own).max() - np.diff(own).min() <= 1


@given(st.integers(1, 200), st.integers(2, 64))
def test_batches_hold_everything_and_none_holds_one(n: int, size: int) -> None:
    batches = batches_of(np.arange(n), size)
    assert np.concatenate(batches).tolist() == list(range(n))
    assert n == 1 or min(len(batch) for batch in batches) > 1


@given(st.integers(1, 200), st.integers(2, 64))
def test_what_does_not_fill_a_batch_may_be_left_out(n: int, size: int) -> None:
    batches = batches_of(np.arange(n), size, drop_last=True)
    assert [len(batch) for batch in batches] == [size] * (n // size)
    assert [i for batch in batches for i in batch] == list(range(n // size * size))


# --- batches by classes


@st.composite
def classes_and_cameras(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Labels 0 … C-1 of some tracklets in any order, and their cameras."""
    sizes = draw(st.lists(st.integers(1, 7), min_size=1, max_size=12))
    labels = draw(st.permutations([c for c, size in enumerate(sizes) for _ in range(size)]))
    cameras = draw(st.lists(st.sampled_from([1, 2, 5, 10**17]), min_size=len(labels), max_size=len(labels)))
    return np.array(labels), np.array(cameras)


def turns_of(draws: np.ndarray, k: int) -> Iterator[list[int]]:
    """The draws of one class after the other; the last may be cut."""
    for start in range(0, len(draws), k):
        yield draws[start : start + k].tolist()


@given(classes_and_cameras(), st.integers(1, 5), st.integers(1, 6), st.integers(0, 2**31))
def test_an_epoch_is_n_draws_and_all_classes_have_their_turn_before_any_has_its_next(
    made: tuple[np.ndarray, np.ndarray], k: int, p: int, seed: int
) -> None:
    labels, cameras = made
    rng = np.random.default_rng(seed)
    draws = draws_by_class(labels, cameras, per_class=k, classes_per_batch=p, rng=rng)
    assert len(draws) == len(labels) and draws.min() >= 0
    turns = [{int(labels[i]) for i in turn} for turn in turns_of(draws, k)]
    assert all(len(classes) == 1 for classes in turns)
    order = [classes.pop() for classes in turns]
    n_classes = labels.max() + 1
    for start in range(0, len(order), n_classes):
        part = order[start : start + n_classes]
        assert len(set(part)) == len(part)
    for start in range(0, len(order), p):
        batch = order[start : start + p]
        assert len(set(batch)) == len(batch) or n_classes < p
        assert len(set(batch)) == min(len(batch), n_classes)


@given(classes_and_cameras(), st.booleans(), st.integers(1, 5), st.integers(0, 2**31))
def test_a_turn_repeats_nothing_while_there_are_enough_and_takes_other_cameras_first(
    made: tuple[np.ndarray, np.ndarray], known: bool, k: int, seed: int
) -> None:
    labels, cameras = made
    rng = np.random.default_rng(seed)
    draws = draws_by_class(labels, cameras if known else None, per_class=k, classes_per_batch=3, rng=rng)
    for turn in turns_of(draws, k):
        members = np.flatnonzero(labels == labels[turn[0]]).tolist()
        assert len(set(turn)) == min(len(members), len(turn))
        assert turn[len(members) :] == turn[: max(0, len(turn) - len(members))]
        if not known:
            continue
        seen = [cameras[i] for i in turn[: len(members)]]
        others = Counter(cameras[i] for i in members if cameras[i] != seen[0])
        partners = seen[1 : 1 + sum(others.values())]
        assert seen[0] not in partners
        # Every other camera once, then every one that has a second, and so on.
        for k_th in range(1, 8):
            having = [camera for camera, count in others.items() if count >= k_th]
            part, partners = partners[: len(having)], partners[len(having) :]
            assert len(set(part)) == len(part) and set(part) <= set(having)


def test_first_tracklets_partners_and_order_of_classes_are_drawn_at_random() -> None:
    """Of eight in two cameras each is first, and each of the other camera's second, alike often."""
    labels, cameras = np.repeat([0, 1], 8), np.tile([3, 3, 3, 3, 4, 4, 4, 4], 2)
    rng, firsts, partners, orders = np.random.default_rng(0), Counter(), Counter(), Counter()
    for _ in range(2000):
        draws = draws_by_class(labels, cameras, per_class=8, classes_per_batch=1, rng=rng)
        turn = draws[:8] if labels[draws[0]] == 0 else draws[8:]
        firsts[int(turn[0])] += 1
        partners[int(turn[0]), int(turn[1])] += 1
        orders[int(labels[draws[0]])] += 1
    assert all(abs(firsts[i] - 250) < 60 for i in range(8)) and len(firsts) == 8  # four deviations of 15
    assert len(partners) == 32 and all(abs(count - 62.5) < 32 for count in partners.values())
    assert abs(orders[0] - 1000) < 90


def test_a_class_that_ended_a_round_comes_at_any_place_of_the_next_but_in_the_same_batch() -> None:
    """Three classes in batches of two: the round ends within the second batch."""
    labels, rng, places = np.repeat([0, 1, 2], 10), np.random.default_rng(0), Counter()
    for _ in range(600):
        draws = draws_by_class(labels, None, per_class=5, classes_per_batch=2, rng=rng)
        order = labels[draws[::5]].tolist()
        places[order[3:].index(order[2])] += 1
    assert places[0] == 0 and min(places[1], places[2]) > 100

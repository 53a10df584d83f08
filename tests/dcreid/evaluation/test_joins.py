"""What merges joined and what they missed: by hand, against plain loops, and the laws of the record."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
import reference
import torch
from hypothesis import given
from hypothesis import strategies as st

from dcreid.clustering import merge_labels, merging
from dcreid.clustering.distances import pairwise_distances
from dcreid.config import MergeConfig
from dcreid.data.tracklets import Ints, Split
from dcreid.evaluation.joins import RIGHT, UNKNOWN, WRONG, JoinRecorder, Joins

L1, L2 = 0.06, 0.003


class _NoFrames:
    def __len__(self) -> int:
        return 0

    def read(self, frames: Ints, height: int, width: int) -> Any:
        raise AssertionError

    def name(self, frame: int) -> str:
        return ""

    def fingerprint(self) -> str:
        return ""


def split_of(people: list[int] | None, cameras: list[int]) -> Split:
    """A training split of which only identities and cameras matter."""
    n = len(cameras)
    identities = None if people is None else np.array(people)
    return Split("train", _NoFrames(), np.arange(n + 1), np.array(cameras), identities, [""] * n)


def record(
    features: torch.Tensor,
    labels: torch.Tensor,
    split: Split,
    m: int,
    *,
    method: str = "once",
    linkage: str = "average",
    order: Ints | None = None,
) -> Joins:
    """The joins of one step as Algorithm writes them down."""
    order = np.arange(len(labels)) if order is None else order
    merge = MergeConfig(lambda1=L1, lambda2=L2, method=method, linkage=linkage)
    recorder = JoinRecorder(labels, order, split, merge)
    merged = merge_labels(features, labels, merge, m, on_join=recorder)
    assert torch.equal(merged, merge_labels(features, labels, merge, m))
    return recorder.joins()


def rows(joins: Joins) -> list[tuple[float, ...]]:
    """One tuple per join."""
    return list(zip(*(column.tolist() for column in vars(joins).values()), strict=True))


def on_a_line(*places: float) -> torch.Tensor:
    return torch.tensor(places, dtype=torch.float64)[:, None]


def random_features(rng: np.random.Generator, n: int) -> torch.Tensor:
    return torch.from_numpy(rng.normal(size=(n, 3)))


def test_by_hand() -> None:
    #   person  1    2    1    2    3          0-1 is wrong, 0-2 was missed; then 3-4 is wrong, 3-1 missed
    v = on_a_line(0.0, 1.0, 3.0, 9.0, 10.5)
    split = split_of([1, 2, 1, 2, 3], [1, 1, 2, 2, 2])
    first, second = rows(record(v, torch.arange(5), split, 2))
    assert first == pytest.approx((0, 1, 1.0, 0.0, 2, WRONG, 1, 3.0, 0.0, 2))
    assert second == pytest.approx((3, 4, 1.5, 0.0, 2, WRONG, 1, 8.0, 0.0, 2))


def test_classes_of_several_tracklets() -> None:
    v = on_a_line(0.0, 2.0, 3.0, 4.0, 20.0)
    split = split_of([1, 1, 2, 2, 1], [1, 2, 1, 1, 1])
    (one,) = rows(record(v, torch.tensor([0, 0, 1, 1, 2]), split, 1))
    # d = 2 and 1 over ordered pairs / n; d_ab = (3 + 4 + 1 + 2) / 4; missed: the class of tracklet 4
    assert one == pytest.approx((0, 2, 2.5, 2 + 1, 4, WRONG, 0, 19.0, 2, 3))


def test_a_right_join_misses_nothing_and_the_last_of_a_person_has_nothing_to_miss() -> None:
    v = on_a_line(0.0, 1.0, 5.0, 7.0)
    right, wrong = rows(record(v, torch.arange(4), split_of([1, 1, 2, 3], [1, 2, 3, 3]), 2))
    assert right[5:7] == (RIGHT, 0) and wrong[5:7] == (WRONG, 1)
    assert all(math.isnan(value) for row in (right, wrong) for value in row[7:])


def test_what_was_absorbed_is_open_to_nobody() -> None:
    # 0-1 is right; 2-3 is wrong: class 1 would be the nearest of person 1 to class 2, but it is in 0 already,
    # whose distance stays as it was.
    v = on_a_line(0.0, 2.0, 8.0, 11.0, 30.0)
    split = split_of([1, 1, 1, 2, 3], [1, 1, 1, 1, 1])
    chained = rows(record(v, torch.arange(5), split, 2))[1]
    starred = rows(record(v, torch.arange(5), split, 2, method="star"))[1]
    assert chained == pytest.approx((2, 3, 3.0, 0.0, 2, WRONG, 1, 6.0, 0.0, 2))
    assert starred == pytest.approx((2, 3, 3.0, 0.0, 2, WRONG, 1, 8.0, 0.0, 2))


def test_of_nearest_pairs_the_distance_is_recorded() -> None:
    v = on_a_line(0.0, 2.0, 3.0, 4.0, 20.0)
    split = split_of([1, 1, 2, 2, 1], [1, 2, 1, 1, 1])
    (one,) = rows(record(v, torch.tensor([0, 0, 1, 1, 2]), split, 1, linkage="nearest"))
    assert one == pytest.approx((0, 2, 1.0, 2 + 1, 4, WRONG, 0, 18.0, 2, 3))


def test_classes_made_anew_have_no_joins() -> None:
    joins = record(
        on_a_line(0.0, 1.0, 3.0), torch.arange(3), split_of([1, 2, 1], [1, 1, 1]), 1, method="anew"
    )
    assert rows(joins) == []


@pytest.mark.parametrize("method", ["once", "star", "exact"])
def test_without_identities_no_join_is_right_or_wrong(method: str) -> None:
    v, cameras = on_a_line(0.0, 1.0, 5.0, 7.0), [1, 1, 2, 3]
    unlabelled = record(v, torch.arange(4), split_of(None, cameras), 2, method=method)
    labelled = record(v, torch.arange(4), split_of([1, 2, 2, 1], cameras), 2, method=method)
    assert unlabelled.right.tolist() == [UNKNOWN] * 2 and bool(unlabelled.missed_inter.isnan().all())
    for name in ("a", "b", "inter", "intra", "size", "one_camera"):
        assert torch.equal(getattr(unlabelled, name), getattr(labelled, name))


def test_no_joins() -> None:
    joins = record(on_a_line(0.0, 1.0), torch.arange(2), split_of([1, 1], [1, 1]), 0)
    assert rows(joins) == [] and joins.a.dtype == torch.int32 and joins.inter.dtype == torch.float32


def slow_rows(
    dist: np.ndarray,
    labels: list[int],
    people: list[int],
    cameras: list[int],
    m: int,
    method: str,
    linkage: str,
) -> list[tuple[float, ...]]:
    """The record by loops over pairs of classes."""
    classes: list[list[int]] = [list(c) for c in reference.members(labels)]
    group = list(range(len(classes)))
    gone: set[int] = set()

    def person(c: int) -> int:
        counts = Counter(people[i] for i in classes[c])
        return min(counts, key=lambda who: (-counts[who], who))

    def terms(a: int, b: int) -> tuple[float, float, int]:
        a, b = min(a, b), max(a, b)
        spread = reference.intra(dist, classes[a]) + reference.intra(dist, classes[b])
        return (
            reference.inter(dist, classes[a], classes[b], linkage),
            spread,
            len(classes[a]) + len(classes[b]),
        )

    def cost(a: int, b: int) -> float:
        inter, intra, size = terms(a, b)
        return inter + L1 * intra + L2 * size

    found = []
    for _ in range(m):
        alive = [c for c in range(len(classes)) if c not in gone]
        _, a, b = min((cost(a, b), a, b) for a in alive for b in alive if a < b and group[a] != group[b])
        missed: tuple[float, ...] = (math.nan,) * 3
        if person(a) != person(b):
            open_to = [
                (x, c) for x in (a, b) for c in alive if person(c) == person(x) and group[c] != group[x]
            ]
            if open_to:
                missed = terms(*min(open_to, key=lambda pair: cost(*pair)))
        seen = {cameras[i] for i in classes[a] + classes[b]}
        judged = RIGHT if person(a) == person(b) else WRONG
        found.append((min(classes[a]), min(classes[b]), *terms(a, b), judged, int(len(seen) == 1), *missed))
        group = [group[a] if g == group[b] else g for g in group]
        if method == "exact":
            classes[a] = classes[a] + classes[b]
        if method != "once":
            gone.add(b)
    return found


kinds = st.tuples(st.sampled_from(["once", "star", "exact"]), st.sampled_from(["average", "nearest"]))


@given(st.integers(2, 14), kinds, st.integers(0, 2**31))
def test_the_record_is_that_of_plain_loops(n: int, kind: tuple[str, str], seed: int) -> None:
    rng = np.random.default_rng(seed)
    c = int(rng.integers(2, n + 1))
    m = int(rng.integers(1, c))
    v = random_features(rng, n)
    labels = rng.permutation(np.concatenate([np.arange(c), rng.integers(0, c, n - c)]))
    people, cameras = rng.integers(1, 4, n).tolist(), rng.integers(1, 3, n).tolist()
    method, linkage = kind
    split = split_of(people, cameras)
    made = rows(record(v, torch.from_numpy(labels), split, m, method=method, linkage=linkage))
    wanted = slow_rows(pairwise_distances(v).numpy(), labels.tolist(), people, cameras, m, method, linkage)
    for row, expected in zip(made, wanted, strict=True):
        assert row == pytest.approx(expected, rel=1e-5, abs=1e-6, nan_ok=True)


@given(kinds, st.integers(0, 2**31))
def test_a_missed_join_never_cost_less(kind: tuple[str, str], seed: int) -> None:
    rng = np.random.default_rng(seed)
    v, labels = random_features(rng, 40), torch.from_numpy(rng.integers(0, 25, 40))
    split = split_of(rng.integers(1, 9, 40).tolist(), [1] * 40)
    joins = record(v, labels, split, 15, method=kind[0], linkage=kind[1])
    margin = (joins.missed_inter - joins.inter) + L1 * (joins.missed_intra - joins.intra)
    margin += L2 * (joins.missed_size - joins.size)
    assert bool((margin[~margin.isnan()] >= -1e-5).all())
    assert bool(joins.missed_inter[joins.right == RIGHT].isnan().all())


def test_classes_go_by_their_first_tracklet_of_the_split_whatever_the_order_of_rows() -> None:
    rng = np.random.default_rng(0)
    v, labels = random_features(rng, 20), rng.integers(0, 12, 20)
    split = split_of(rng.integers(1, 6, 20).tolist(), rng.integers(1, 4, 20).tolist())
    order = rng.permutation(20)
    straight = rows(record(v, torch.from_numpy(labels), split, 6))
    moved = record(v[order], torch.from_numpy(labels[order]), split, 6, order=order)
    for row, other in zip(straight, rows(moved), strict=True):
        assert row == pytest.approx(other, nan_ok=True)


def test_a_merge_in_blocks_records_the_same_but_for_what_was_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    v, labels = random_features(rng, 40), torch.from_numpy(rng.integers(0, 25, 40))
    split = split_of(rng.integers(1, 9, 40).tolist(), rng.integers(1, 3, 40).tolist())
    whole = record(v, labels, split, 15)
    monkeypatch.setattr(merging, "free_bytes", lambda device: 0.0)
    blocked = record(v, labels, split, 15)
    for name, column in vars(whole).items():
        if name.startswith("missed"):
            assert not column.isnan().all() and getattr(blocked, name).isnan().all()
        else:
            torch.testing.assert_close(getattr(blocked, name), column)

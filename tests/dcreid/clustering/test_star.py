"""The joins of one matrix of costs as stars: against the sorted loop, by hand, and with many candidates."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import reference
import torch
from drawn_classes import integer_distances, problems, random_distances, random_labels
from hypothesis import given

from dcreid.clustering import kruskal, star
from dcreid.clustering.kruskal import lightest_joins
from dcreid.clustering.merging import joined_labels
from dcreid.clustering.star import stars


def merged(labels: torch.Tensor, cost: torch.Tensor, m: int) -> list[int]:
    """Labels after m joins."""
    return joined_labels(labels, *lightest_joins(cost, m, stars)).tolist()


@pytest.fixture(autouse=True, scope="module")
def _few_at_once() -> None:
    """Few edges are looked at at once, so that small inputs have many such parts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(star, "_AT_ONCE", 5)
        yield


@given(problems())
def test_the_joins_are_those_of_the_sorted_loop(problem):
    n, c, m, seed = problem
    labels, cost = random_labels(n, c, seed), random_distances(c, seed)
    assert merged(labels, cost, m) == reference.merge_star(labels.tolist(), cost.tolist(), m)


@given(problems())
def test_ties_go_by_smaller_a_then_smaller_b(problem):
    n, c, m, seed = problem
    labels, cost = random_labels(n, c, seed), integer_distances(c, seed)
    assert merged(labels, cost, m) == reference.merge_star(labels.tolist(), cost.tolist(), m)


@pytest.mark.parametrize("m", [1, 2, 17, 60, 119])
@pytest.mark.parametrize("make", [random_distances, integer_distances])
def test_the_threshold_does_not_change_the_joins(
    make: Callable[..., torch.Tensor], m: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(kruskal, "_CANDIDATES_PER_JOIN", 1)
    monkeypatch.setattr(kruskal, "_SAMPLE", 64)
    cost, labels = make(120, m), torch.arange(120)
    assert merged(labels, cost, m) == reference.merge_star(labels.tolist(), cost.tolist(), m)


def costs(pairs: dict[tuple[int, int], float], c: int) -> torch.Tensor:
    """(c, c), 100 where no pair is named."""
    cost = torch.full((c, c), 100.0)
    for (a, b), value in pairs.items():
        cost[a, b] = cost[b, a] = value
    return cost.fill_diagonal_(torch.inf)


def test_the_later_class_is_absorbed_and_the_earlier_one_may_absorb_more():
    cost = costs({(0, 1): 1.0, (1, 2): 2.0, (0, 3): 3.0, (2, 3): 4.0}, 5)
    assert merged(torch.arange(5), cost, 1) == [0, 0, 1, 2, 3]
    assert merged(torch.arange(5), cost, 2) == [0, 0, 1, 0, 2]  # not 1-2: class 1 is gone
    assert merged(torch.arange(5), cost, 3) == [0, 0, 0, 0, 1]  # not 2-3 either: the first of the rest


def test_a_class_that_has_absorbed_others_takes_them_along():
    cost = costs({(2, 3): 1.0, (0, 2): 2.0, (0, 3): 2.5, (1, 3): 3.0}, 5)
    assert merged(torch.arange(5), cost, 2) == [0, 1, 0, 0, 2]
    first, second = lightest_joins(cost, 2, stars)
    assert (first.tolist(), second.tolist()) == ([2, 0], [3, 2])


def test_infinite_costs_forbid_a_join():
    cost = costs({(0, 1): 1.0}, 4)
    cost[cost == 100.0] = torch.inf
    with pytest.raises(ValueError, match="only 1 of m = 2 joins are possible"):
        lightest_joins(cost, 2, stars)

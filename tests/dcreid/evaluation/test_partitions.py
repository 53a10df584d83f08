"""Partitions: their quality against plain loops and its laws; their names and sizes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import reference
import torch
from hypothesis import given
from hypothesis import strategies as st

from dcreid.evaluation.partitions import Partition, clustering_quality, partition_name

labellings = st.integers(1, 20).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(0, 4), min_size=n, max_size=n)] * 2)
)


@given(labellings)
def test_clustering_quality_is_the_loops(pair: tuple[list[int], list[int]]):
    labels, people = pair
    got = clustering_quality(labels, people)
    assert got.purity == pytest.approx(reference.purity(labels, people))
    assert got.nmi == pytest.approx(reference.nmi(labels, people), abs=1e-9)
    assert got.ari == pytest.approx(reference.ari(labels, people), abs=1e-9)
    assert got.pairwise_f == pytest.approx(reference.pairwise_f(labels, people))


@given(labellings)
def test_nmi_ari_and_f_are_symmetric_and_bounded(pair: tuple[list[int], list[int]]):
    labels, people = pair
    there, back = clustering_quality(labels, people), clustering_quality(people, labels)
    for name in ("nmi", "ari", "pairwise_f"):
        assert getattr(there, name) == pytest.approx(getattr(back, name), abs=1e-12)
    assert 0 < there.purity <= 1 and 0 <= there.nmi <= 1 and -1 <= there.ari <= 1


def test_names_of_classes_do_not_matter():
    people = [0, 0, 1, 1, 2]
    got = clustering_quality(torch.tensor([7, 7, -3, -3, 100]), people)
    assert dataclasses.astuple(got) == pytest.approx((1.0, 1.0, 1.0, 1.0))


def test_one_class_for_all_and_one_class_each():
    people = [0, 0, 1, 1]
    merged, apart = clustering_quality([0] * 4, people), clustering_quality(range(4), people)
    assert dataclasses.astuple(merged) == pytest.approx((0.5, 0.0, 0.0, 2 * 2 / (6 + 2)))
    assert dataclasses.astuple(apart) == pytest.approx((1.0, 2 / 3, 0.0, 0.0))


def test_labels_and_identities_must_be_as_many():
    with pytest.raises(ValueError, match="2 labels for 3 identities"):
        clustering_quality([0, 1], [0, 1, 2])
    with pytest.raises(ValueError, match="0 labels"):
        clustering_quality([], [])


def test_a_partition_is_named_by_who_is_together_not_by_what_classes_are_called() -> None:
    name = partition_name(np.array([0, 0, 1, 2]))
    assert partition_name(np.array([7, 7, 3, 5])) == name == partition_name(np.array([2, 2, 0, 1]))
    assert len({name, *(partition_name(np.array(other)) for other in ([0, 1, 1, 2], [0, 0, 1, 1]))}) == 3


def test_a_partition_is_that_of_the_split_whatever_the_order_of_rows() -> None:
    order, people = np.array([2, 0, 3, 1]), np.array([5, 6, 5, 6])
    found = Partition.of(torch.tensor([0, 0, 1, 2]), order, people)  # tracklets 0 and 2 share a class
    assert found.name == partition_name(np.array([0, 2, 0, 1])) and found.classes == 3
    assert found.quality == clustering_quality([0, 2, 0, 1], people)
    assert found.values() == {
        "class_size_max": 2,
        "class_size_median": 1.0,
        **dataclasses.asdict(found.quality),
    }
    assert Partition.of(torch.tensor([0, 0, 1, 2]), order, None).quality is None

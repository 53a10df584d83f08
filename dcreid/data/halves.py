"""Development halves: a configuration is chosen on training identities alone.

The training identities are parted into two halves at random, always alike. A run trains on the tracklets of
one half, without its identities as ever, and is measured on the other half's: people that it has not seen.
What does well both ways is chosen before anything has been measured on the test split.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from dcreid.data.tracklets import (
    DISTRACTOR,
    JUNK,
    DataError,
    Ints,
    Split,
    TrackletDataset,
    first_per_identity_and_camera,
)

HALVES = ("first_half", "second_half")
_FEWEST = 4  # training identities: with one person in a gallery every answer is right
_SEED = 0  # of the parting, whatever the seed of a run


def on_half(data: TrackletDataset, half: str) -> TrackletDataset:
    """The data set that trains on `half` of HALVES of the training identities and is measured on the other.

    The first tracklet of each identity in each camera is a query; the gallery is all tracklets of that half.
    Splits are called by their half, so that both data sets share their packed frames. Raises DataError
    where training tracklets have no identities, or fewer than four.
    """
    identities = data.train.identities
    if identities is None:
        raise DataError(
            f"--split {half}: nobody has labelled the training tracklets of {data.name}, so they cannot be "
            "parted by identity; leave --split out"
        )
    people = np.unique(identities[identities != JUNK])
    if len(people) < _FEWEST:
        raise DataError(
            f"--split {half}: {data.name} has {len(people)} training identities, and two halves need "
            f"{_FEWEST} or more; leave --split out"
        )
    if people[0] == DISTRACTOR:  # numbered from 0, which is nobody in a test split
        identities, people = identities + 1, people + 1
    members = np.split(np.random.default_rng(_SEED).permutation(people), [len(people) // 2])
    parts = {
        name: _part(data.train, identities, own, name) for name, own in zip(HALVES, members, strict=True)
    }
    train = parts.pop(half)
    (test,) = parts.values()
    assert test.identities is not None
    name = f"{data.name}, split {half}"
    return dataclasses.replace(
        data,
        name=name,
        train=train,
        test=test,
        query=first_per_identity_and_camera(test.identities, test.cameras),
        gallery=np.arange(len(test), dtype=np.int64),
        protocol=f"{name}: the other half of the training identities ({len(test):,} rows)",
    )


def _part(split: Split, identities: Ints, people: Ints, name: str) -> Split:
    """The tracklets of some people, in their order, as a split of its own."""
    return dataclasses.replace(split, identities=identities).of_rows(
        np.flatnonzero(np.isin(identities, people)), name
    )

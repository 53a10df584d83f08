"""Which frames of which tracklets: at random for training, evenly spaced for features.

Notation: n tracklets of C classes 0 … C-1, batches of b, k clips of a class (K of P×K).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from dcreid.data.store import FrameStore


def sample_frames(
    lengths: Int[ndarray, " b"], count: int, sampling: str, rng: np.random.Generator
) -> Int[ndarray, "b f"]:
    """Positions of `count` frames in tracklets of these lengths, in time order.

    segments: the tracklet is cut into `count` equal parts and one frame drawn from each; random:
    each frame drawn from all; distinct: from all, but none twice in tracklets of `count` frames or more.
    Shorter tracklets repeat frames.
    """
    share = rng.random((len(lengths), count))
    if sampling == "distinct":
        return _distinct(lengths, share)
    if sampling == "segments":
        share = (np.arange(count) + share) / count
    elif sampling == "random":
        share.sort(axis=1)
    else:
        raise ValueError(f"sampling = {sampling!r}: must be segments, random or distinct")
    return np.asarray(np.minimum((share * lengths[:, None]).astype(np.int64), lengths[:, None] - 1))


def _distinct(lengths: Int[ndarray, " b"], share: Float[ndarray, "b f"]) -> Int[ndarray, "b f"]:
    """Floyd's algorithm: every set of f places is as likely as any other. share: uniform in [0, 1)."""
    count = share.shape[1]
    drawn = np.full(share.shape, -1)
    for k in range(count):
        last = np.where(lengths < count, lengths - 1, lengths - count + k)
        place = (share[:, k] * (last + 1)).astype(np.int64)  # of 0 … last; where it is taken, last is not
        taken = (drawn[:, :k] == place[:, None]).any(axis=1) & (lengths >= count)
        drawn[:, k] = np.where(taken, last, place)
    return np.sort(drawn, axis=1)


def evenly_spaced(store: FrameStore, most: int) -> tuple[Int[ndarray, " k"], Int[ndarray, " n"]]:
    """Rows of at most `most` evenly spaced frames of every tracklet (0 = all), and how many each has."""
    starts, lengths = store.starts, store.lengths
    kept = lengths if most == 0 else np.minimum(lengths, most)
    owner = np.repeat(np.arange(len(lengths)), kept)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(kept) - kept, kept)
    return starts[owner] + (2 * place + 1) * lengths[owner] // (2 * kept[owner]), kept


def batches_of(order: Int[ndarray, " n"], size: int, *, drop_last: bool = False) -> list[Int[ndarray, " _"]]:
    """Cuts an epoch into batches; a last batch of one (batch norm needs two) joins the one before.

    drop_last: a last batch that is not full is left out instead.
    """
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    if drop_last and len(order) % size:
        batches.pop()
    elif len(batches) > 1 and len(batches[-1]) == 1:
        last = batches.pop()
        batches[-1] = np.concatenate([batches[-1], last])
    return batches


def draws_by_class(
    labels: Int[ndarray, " n"],
    cameras: Int[ndarray, " n"] | None,
    *,
    per_class: int,
    classes_per_batch: int,
    rng: np.random.Generator,
) -> Int[ndarray, " n"]:
    """The tracklets of an epoch of P×K batches: n draws, `per_class` = K of a class in a row.

    Every class has its turn once before any has its next. P = `classes_per_batch` turns in a row make a
    batch, and are of different classes where there are as many; with fewer classes than P a batch holds
    them more than once. n draws end within a turn, or a batch, where they must. Within a turn see
    `_turn_of_every_class`. cameras: None = unknown.
    """
    n = len(labels)
    turns, clips = np.zeros(0, dtype=np.int64), []
    while len(turns) * per_class < n:
        order = rng.permutation(int(labels.max()) + 1)
        begun = turns[len(turns) - len(turns) % classes_per_batch :]  # classes of a batch that is not full
        first = order[~np.isin(order, begun)][: classes_per_batch - len(begun)]
        order = np.concatenate([first, order[~np.isin(order, first)]])
        turns = np.concatenate([turns, order])
        clips.append(_turn_of_every_class(labels, cameras, per_class, rng)[order])
    return np.concatenate(clips).flatten()[:n]


def _turn_of_every_class(
    labels: Int[ndarray, " n"], cameras: Int[ndarray, " n"] | None, k: int, rng: np.random.Generator
) -> Int[ndarray, "c k"]:
    """k tracklets of each class: a first one at random, then others in random order.

    Those of other cameras come before those of the first one's camera, and of these each camera's first
    before any camera's second. None comes twice while the class has enough; else all come again.
    """
    order = np.lexsort((rng.random(len(labels)), labels))  # class by class
    sizes = np.bincount(labels)
    starts = np.cumsum(sizes) - sizes
    if cameras is not None:
        classes, seen_by = labels[order], cameras[order]
        of_class_and_camera = classes * len(order) + np.unique(seen_by, return_inverse=True)[1]
        again = _earlier(of_class_and_camera)
        as_first = (seen_by == seen_by[starts][classes]) & (np.arange(len(order)) != starts[classes])
        order = order[np.lexsort((again, as_first, classes))]
    return order[starts[:, None] + np.arange(k) % sizes[:, None]]


def _earlier(values: Int[ndarray, " n"]) -> Int[ndarray, " n"]:
    """How many equal values stand before each."""
    order = np.argsort(values, kind="stable")
    earlier = np.empty_like(order)
    earlier[order] = np.arange(len(order)) - np.searchsorted(values[order], values[order])
    return earlier

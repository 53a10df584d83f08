"""Which frames of which tracklets: at random for training, evenly spaced for features."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from dcreid.data.store import FrameStore


def sample_frames(
    lengths: Int[ndarray, " b"], count: int, sampling: str, rng: np.random.Generator
) -> Int[ndarray, "b f"]:
    """Positions of `count` frames in tracklets of these lengths, in time order.

    segments: the tracklet is cut into `count` equal parts and one frame drawn from each; random:
    each frame drawn from all. Tracklets shorter than `count` repeat frames.
    """
    share = rng.random((len(lengths), count))
    if sampling == "segments":
        share = (np.arange(count) + share) / count
    elif sampling == "random":
        share.sort(axis=1)
    else:
        raise ValueError(f"sampling = {sampling!r}: must be segments or random")
    return np.asarray(np.minimum((share * lengths[:, None]).astype(np.int64), lengths[:, None] - 1))


def evenly_spaced(store: FrameStore, most: int) -> tuple[Int[ndarray, " k"], Int[ndarray, " n"]]:
    """Rows of at most `most` evenly spaced frames of every tracklet (0 = all), and how many each has."""
    starts, lengths = store.starts, store.lengths
    kept = lengths if most == 0 else np.minimum(lengths, most)
    owner = np.repeat(np.arange(len(lengths)), kept)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(kept) - kept, kept)
    return starts[owner] + (2 * place + 1) * lengths[owner] // (2 * kept[owner]), kept


def batches_of(order: Int[ndarray, " n"], size: int) -> list[Int[ndarray, " b"]]:
    """Cuts an epoch into batches; a last batch of one (batch norm needs two) joins the one before."""
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    if len(batches) > 1 and len(batches[-1]) == 1:
        last = batches.pop()
        batches[-1] = np.concatenate([batches[-1], last])
    return batches

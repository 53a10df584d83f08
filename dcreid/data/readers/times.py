"""When a camera saw a tracklet, from the frame numbers in its frames' names."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dcreid.data.readers.walk import TrackletFolder
from dcreid.data.tracklets import Ints

_MOST = 0.5  # of the tracklets


def times_in_names(
    tracklets: Sequence[TrackletFolder], cameras: Ints, number: Callable[[str], int | None]
) -> Ints | None:
    """(n, 2) numbers of each tracklet's first and last frame; None where they are no clock of its camera.

    number: that of a frame's file name, None where it has none. Numbers are no clock where a tracklet lacks
    them, or where they begin anew in each: more than half of the tracklets start at the number at which most
    of their camera's do. Cameras that saw one tracklet say nothing of that.
    """
    found = [[number(tracklet.frames[place]) for place in (0, -1)] for tracklet in tracklets]
    if any(frame is None for frames in found for frame in frames):
        return None
    times: Ints = np.sort(np.array(found, dtype=np.int64), axis=1)
    starts = (np.unique(times[cameras == c, 0], return_counts=True)[1] for c in np.unique(cameras))
    told = [(counts.sum(), counts.max()) for counts in starts if counts.sum() > 1]
    total, alike = np.sum(told, axis=0) if told else (0, 0)
    return None if alike > _MOST * total else times

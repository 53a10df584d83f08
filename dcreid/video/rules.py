"""Which boxes of a tracker's file become frames of tracklets."""

from __future__ import annotations

from dataclasses import dataclass

from dcreid.checked import Checked, setting

_MANY = 1_000_000_000


@dataclass(frozen=True)
class Rules(Checked):
    """What is left out, and where a track is cut in two."""

    min_height: int = setting(
        64, "smallest height of a box, in pixels that lie in the picture", low=1, high=_MANY
    )
    min_width: int = setting(24, "smallest width", low=1, high=_MANY)
    inside: float = setting(0.7, "smallest share of a box that lies in the picture", low=0.0, high=1.0)
    min_confidence: float = setting(
        0.0,
        "smallest confidence of a box; one below 0, such as -1, tells nothing and is kept",
        low=0.0,
        high=_MANY,
    )
    every: int = setting(1, "of the boxes of a tracklet that are left, keep every k-th", low=1, high=_MANY)
    min_frames: int = setting(5, "fewest frames of a tracklet", low=1, high=_MANY)
    max_gap: int = setting(
        30,
        "longest gap in a track, in frames without a box; behind a longer one a new tracklet begins",
        low=0,
        high=_MANY,
    )

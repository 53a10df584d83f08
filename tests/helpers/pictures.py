"""Frames that a test has made, as a split's frame source."""

from __future__ import annotations

import numpy as np

from dcreid.data.tracklets import Ints


class Pictures:
    """A frame source in memory."""

    def __init__(self, frames: np.ndarray):
        self.frames = frames

    def __len__(self) -> int:
        return len(self.frames)

    def read(self, frames: Ints, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        return self.frames[frames], np.ones(len(frames), dtype=np.bool_)

    def name(self, frame: int) -> str:
        return f"frame {frame}"

    def fingerprint(self) -> str:
        return "pictures"

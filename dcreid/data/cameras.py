"""What acts per camera is off where the cameras are not known; a run says so by name, once.

A made-up camera, or one for those that have none, would be taken for a real one: tracklets of several
cameras would be normalised as if one had seen them. So the camera of every tracklet counts, or of none.
With a single camera nothing is off: normalisation then standardises each dimension over all tracklets,
and the loss over camera proxies is that over the classes.
"""

from __future__ import annotations

from collections.abc import Collection

from dcreid.config import Config
from dcreid.data.tracklets import TrackletDataset

# Fields, and the values with which they act per camera of the training tracklets, or of the test tracklets.
_IN_TRAINING = {"merge.camera_normalise": True, "train.camera_proxies": True, "train.sampler": "classes"}
_IN_TESTS = {"evaluate.camera_normalise": True}
PER_CAMERA = (*_IN_TRAINING, *_IN_TESTS)


def acting_per_camera(config: Config) -> list[str]:
    """The fields of a configuration that act per camera."""
    values = config.flat()
    return [name for name, acting in (_IN_TRAINING | _IN_TESTS).items() if values[name] == acting]


def switched_off(asked: Collection[str], data: TrackletDataset) -> tuple[str, ...]:
    """What of the fields `asked`, of `PER_CAMERA`, is off on this data, and why: a line for each reason."""
    in_training = [name for name in _IN_TRAINING if name in asked]
    lines = []
    if in_training and not data.train.cameras_known:
        lines.append(
            f"the cameras of {data.train.unknown_cameras:,} of {len(data.train):,} training tracklets are "
            f"unknown: nothing is done per camera by {', '.join(in_training)}"
        )
    if not data.labelled and (in_tests := [name for name in _IN_TESTS if name in asked]):
        lines.append(f"without a labelled test split nothing is done by {', '.join(in_tests)}")
    return tuple(lines)

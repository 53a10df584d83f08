"""Features with what each camera adds to them taken out (arXiv 2502.10195).

    f ← (f − mean_cam) / std_cam, dimension by dimension, then L2
with mean and deviation over the tracklets of f's own camera. Whether the deviation divides by n or n − 1
makes no difference: the factor is the same for all dimensions of a camera, and L2 takes it out.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional


def camera_normalised(features: Float[Tensor, "n d"], cameras: Int[Tensor, " n"]) -> Float[Tensor, "n d"]:
    """Rows of length 1, with mean and deviation of their camera removed; `features` stay as they are.

    A dimension that is the same in all tracklets of a camera becomes 0 there. A camera whose tracklets
    are the same in every dimension, such as one with a single tracklet, says nothing about itself: the
    mean and deviation of all tracklets stand for its own. Rows are 0 only where all features are equal.
    """
    normalised = torch.empty_like(features)
    everyone = torch.std_mean(features, dim=0, correction=0)
    for camera in torch.unique(cameras).tolist():
        rows = torch.nonzero(cameras == camera).flatten().to(features.device)
        own = features[rows]
        deviation, mean = torch.std_mean(own, dim=0, correction=0)
        if not bool(deviation.any()):
            deviation, mean = everyone
        scaled = torch.where(deviation > 0, (own - mean) / deviation, 0.0)
        normalised[rows] = functional.normalize(scaled, dim=1)
    return normalised

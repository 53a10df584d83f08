"""Camera proxies: two losses beside Eq (2), over one row per class and camera (CAP, arXiv 2012.10674).

Notation
    P    rows (R, D): one per class and camera that has seen a tracklet of it
    v    (b, D) L2-normalised features of a batch, each of a class and a camera
    S    P v / τ, (b, R)

    intra   −log softmax of S over the rows of v's camera, at the row of v's class and camera
    inter   −mean, over the rows of v's class in other cameras, of log softmax of S over these rows and
            the NEAREST rows of other classes (the most similar to v, of any camera)

Both are averaged over the batch; a sample whose class no other camera has seen adds 0 to inter. The
constants are that paper's. Its public code differs: there v's own row is among those of inter, too, and
the losses are averaged within a camera and summed over cameras.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from dcreid.memory import FeatureMemory, class_means

TEMPERATURE = 0.07  # τ
INTER_WEIGHT = 0.5  # of inter; that of intra is 1
NEAREST = 50


class CameraProxies:
    """The rows of a stage, their losses and their update.

    labels, cameras: of all n tracklets, on the CPU. rows: as `proxy_rows` makes them, on the device; `row`
    says which is each tracklet's.
    """

    def __init__(self, labels: Int[Tensor, " n"], cameras: Int[Tensor, " n"], rows: Float[Tensor, "r d"]):
        pairs, self.row = _rows(labels, cameras)
        self.memory = FeatureMemory(rows, TEMPERATURE)
        self._classes, self._cameras = pairs.to(rows.device)
        self._elsewhere = torch.bincount(pairs[0])[labels] > 1  # (n,) whether another camera saw the class

    def loss(self, v: Float[Tensor, "b d"], tracklets: Int[Tensor, " b"]) -> Float[Tensor, ""]:
        """intra + ½ inter of a batch of these tracklets (on the CPU)."""
        own = self.row[tracklets].to(v.device, non_blocking=True)
        logits = self.memory.logits(v)
        same_class = self._classes[own][:, None] == self._classes
        same_camera = self._cameras[own][:, None] == self._cameras
        some = torch.nonzero(self._elsewhere[tracklets]).flatten().to(v.device, non_blocking=True)
        inter = inter_losses(logits[some], same_class[some], same_camera[some]).sum() / len(v)
        return intra_loss(logits, same_camera, own) + INTER_WEIGHT * inter

    def update(self, v: Float[Tensor, "b d"], tracklets: Int[Tensor, " b"], alpha: float) -> None:
        """Takes the batch in, each sample into the row of its class and camera (`FeatureMemory.update`)."""
        self.memory.update(v, self.row[tracklets], alpha)


def proxy_rows(
    features: Float[Tensor, "n d"], labels: Int[Tensor, " n"], cameras: Int[Tensor, " n"]
) -> Float[Tensor, "r d"]:
    """The L2-normalised mean of the features of each class and camera, by class, then camera."""
    pairs, row = _rows(labels, cameras)
    return class_means(features, row.to(features.device), pairs.shape[1])


def intra_loss(
    logits: Float[Tensor, "b r"], same_camera: Bool[Tensor, "b r"], own: Int[Tensor, " b"]
) -> Float[Tensor, ""]:
    """Mean of intra; own: the row of each sample."""
    return functional.cross_entropy(logits.masked_fill(~same_camera, -math.inf), own)


def inter_losses(
    logits: Float[Tensor, "s r"], same_class: Bool[Tensor, "s r"], same_camera: Bool[Tensor, "s r"]
) -> Float[Tensor, " s"]:
    """inter of each sample; all must have a row of their class in another camera."""
    positive = same_class & ~same_camera
    nearest = logits.masked_fill(same_class, -math.inf).topk(min(NEAREST, logits.shape[1]), dim=1).values
    compared = torch.cat([logits.masked_fill(~positive, -math.inf), nearest], dim=1)
    of_positives = logits.masked_fill(~positive, 0.0).sum(dim=1) / positive.sum(dim=1)
    return compared.logsumexp(dim=1) - of_positives


def _rows(
    labels: Int[Tensor, " n"], cameras: Int[Tensor, " n"]
) -> tuple[Int[Tensor, "2 r"], Int[Tensor, " n"]]:
    """Class and camera of every row, in ascending order, and the row of every tracklet."""
    pairs, row = torch.stack([labels, cameras]).unique(dim=1, return_inverse=True)  # type: ignore[no-untyped-call]
    return pairs, row

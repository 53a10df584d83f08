"""Frames, training and features as public re-identification code has them, written from their description.

Every frame is decoded whenever it is needed, in the worker processes of a DataLoader. Training goes
through PIL and a transform per frame, reads the loss in every iteration and updates the memory one
sample at a time while it goes back; features are made one tracklet at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.io import ImageReadMode, decode_jpeg, read_file

from dcreid.data.tracklets import JpegFrames, Split

_MEAN, _STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def paths_of(split: Split) -> list[str]:
    assert isinstance(split.frames, JpegFrames)
    return [split.frames.name(frame) for frame in range(len(split.frames))]


def decode(path: str, height: int, width: int) -> Tensor:
    """uint8 (h, w, 3), as the frame store has it."""
    frame = decode_jpeg(read_file(path), mode=ImageReadMode.RGB)
    if frame.shape[1:] != (height, width):
        frame = functional.interpolate(frame[None], size=(height, width), mode="bilinear", antialias=True)[0]
    return frame.permute(1, 2, 0)


class DecodedFrames(Dataset[Tensor]):
    """One frame after the other."""

    def __init__(self, split: Split, height: int, width: int):
        self.paths, self.size = paths_of(split), (height, width)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, frame: int) -> Tensor:
        return decode(self.paths[frame], *self.size)


class DecodedTracklets(Dataset[Tensor]):
    """A tracklet at a time, as some of its frames (f, h, w, 3): one drawn from each of f equal parts."""

    def __init__(self, split: Split, frames: int, height: int, width: int):
        self.paths, self.offsets = paths_of(split), split.offsets
        self.frames, self.size = frames, (height, width)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, tracklet: int) -> Tensor:
        return torch.stack([decode(self.paths[row], *self.size) for row in self._rows(tracklet)])

    def _rows(self, tracklet: int) -> Sequence[int]:
        start, stop = self.offsets[tracklet], self.offsets[tracklet + 1]
        share = (np.arange(self.frames) + torch.rand(self.frames).numpy()) / self.frames
        rows: list[int] = (start + (share * (stop - start)).astype(np.int64)).tolist()
        return rows


class TransformedTracklets(DecodedTracklets):
    """The same through PIL and torchvision's transforms: normalised float32 (f, 3, h, w)."""

    def __init__(self, split: Split, frames: int, height: int, width: int, *, train: bool):
        super().__init__(split, frames, height, width)
        flip = [transforms.RandomHorizontalFlip()] if train else []
        self.transform = transforms.Compose(
            [
                transforms.Resize((height, width)),
                *flip,
                transforms.ToTensor(),
                transforms.Normalize(_MEAN, _STD),
            ]
        )
        self.train = train

    def __getitem__(self, tracklet: int) -> Any:
        start, stop = self.offsets[tracklet], self.offsets[tracklet + 1]
        rows = self._rows(tracklet) if self.train else range(int(start), int(stop))
        frames = torch.stack([self.transform(_open(self.paths[row])) for row in rows])
        return (frames, tracklet) if self.train else frames


def _open(path: str) -> Image.Image:
    with Image.open(Path(path)) as picture:
        return picture.convert("RGB")


class _MemoryLoss(torch.autograd.Function):
    """Scores against the memory; its rows move in the backward pass, one sample after the other."""

    @staticmethod
    def forward(context: Any, v: Tensor, labels: Tensor, rows: Tensor, alpha: float) -> Tensor:
        context.save_for_backward(v, labels)
        context.rows, context.alpha = rows, alpha
        return v @ rows.T

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Any:
        v, labels = context.saved_tensors
        rows, alpha = context.rows, context.alpha
        going_back = gradients[0] @ rows
        for sample, label in zip(v, labels, strict=True):
            mixed = alpha * rows[label] + (1.0 - alpha) * sample
            rows[label] = mixed / mixed.norm()
        return going_back, None, None, None


def train_epoch(
    backbone: nn.Module,
    optimiser: torch.optim.Optimizer,
    loader: DataLoader[Any],
    rows: Tensor,
    device: torch.device,
    temperature: float,
) -> float:
    """An epoch over (frames, classes); returns the mean loss."""
    backbone.train()
    losses = []
    for frames, labels in loader:
        frames, labels = frames.to(device), labels.to(device)
        v = backbone(frames.flatten(0, 1)).view(*frames.shape[:2], -1).mean(dim=1)
        scores = _MemoryLoss.apply(functional.normalize(v, dim=1), labels, rows, 0.5)
        loss = functional.cross_entropy(scores / temperature, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return float(np.mean(losses))


@torch.no_grad()
def tracklet_features(backbone: nn.Module, loader: DataLoader[Any], device: torch.device) -> Tensor:
    """Mean features (n, d) of tracklets that come one by one with all their frames."""
    backbone.eval()
    return torch.stack([backbone(frames[0].to(device)).mean(dim=0).cpu() for frames in loader])

"""Algorithm 1 with its training stages in slow float64, one tracklet after the other.

Of `dcreid` it takes the configuration and the seeded generator only; all else is written from the
paper, the README and what the fields of the configuration say of themselves. torch gives exact
gradients of the forward pass that stands here. Random numbers are drawn in this order:

    order of the tracklets: one permutation from the stream "order"
    stage (stream "stage"): the seed of torch's generator (dropout), then for every epoch its order of
    tracklets, shares for the frames of each batch, and batch by batch mirrored, down, right
    order of tracklets, by classes: for every round a permutation of the classes and a number for each
    tracklet, by which those of a class are ordered

The network is a row of blocks (3×3 convolution of stride 2, batch norm, ReLU) under the names that
torch gives `network.features`, and the mean over positions; the head is `layers`: linear, batch norm,
dropout.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import reference
import torch
from torch import Tensor

from dcreid.config import Config
from dcreid.seeding import generator

BLOCKS = 2
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels, red green blue
_EPSILON, _RUNNING = 1e-5, 0.1  # of batch norm


class ReferenceRun:
    """A run from the given state dicts of backbone and head on tracklets of uint8 frames (f, h, w, 3).

    Row i of everything is tracklet `order[i]`. cameras: of the tracklets as given.
    """

    def __init__(
        self,
        config: Config,
        tracklets: list[np.ndarray],
        cameras: list[int],
        backbone: dict[str, Tensor],
        head: dict[str, Tensor] | None,
    ):
        self.config, n = config, len(tracklets)
        self.order = generator(config.seed, "order").permutation(n).tolist()
        self.tracklets = [tracklets[i] for i in self.order]
        self.cameras = [cameras[i] for i in self.order]
        self.has_head = head is not None
        # Copies, or float64 weights would be stepped in place.
        self.weights = {
            name: value.to(torch.float64, copy=True)
            for name, value in (backbone | (head or {})).items()
            if "tracked" not in name
        }
        for name in self.weights:
            if "running" not in name and not self.frozen(name):
                self.weights[name].requires_grad_()
        self.labels = list(range(n))
        self.m = max(1, math.floor(n * config.merge.merge_rate))
        self.stage = 0
        self.rows = self.rows_of_classes(self.pooled_features(), self.labels)
        self.proxies = self.proxies_of_classes(self.pooled_features())
        if config.train.memory_init in ("zeros", "old_classes"):
            self.rows = 0 * self.rows
        self.losses: list[float] = []  # of every stage's last epoch
        self.rates: list[float] = []
        self.alphas: list[float] = []

    def frozen(self, name: str) -> bool:
        """Whether a weight or statistic belongs to a leading stage that is kept fixed."""
        return any(name.startswith(f"network.features.{k}.") for k in range(self.config.model.frozen_stages))

    # --- the network

    def features(self, frames: Tensor, training: bool) -> Tensor:
        """φ of normalised frames (k, 3, h, w), before any mean over a tracklet's frames: (k, d)."""
        x = frames
        for k in range(BLOCKS):
            block = f"network.features.{k}"
            x = convolved(x, self.weights[f"{block}.0.weight"])
            adapts = self.config.model.batch_norm == "adapt" and not self.frozen(f"{block}.1")
            x = self.batch_norm(x, f"{block}.1", training and adapts)
            x = x.clamp(min=0)
        return x.mean(dim=(2, 3))

    def embedded(self, pooled: Tensor, training: bool) -> Tensor:
        """v (b, e), behind the head: linear, batch norm, in training dropout, with the survivors scaled up.

        L2 comes last, or in BUC's head before dropout.
        """
        if not self.has_head:
            return unit(pooled)
        x = pooled @ self.weights["layers.0.weight"].T + self.weights["layers.0.bias"]
        x = self.batch_norm(x, "layers.1", training)
        kept = torch.nn.functional.dropout(torch.ones(x.shape), self.config.model.dropout, training)
        return unit(x) * kept if self.config.model.head == "buc" else unit(x * kept)

    def batch_norm(self, x: Tensor, name: str, training: bool) -> Tensor:
        """Of the batch's mean and variance in training, which the running ones follow; else of those."""
        column = (1, -1) + (1,) * (x.ndim - 2)
        mean, variance = self.weights[f"{name}.running_mean"], self.weights[f"{name}.running_var"]
        if training:
            channels = x.transpose(0, 1).flatten(1)
            samples = channels.shape[1]
            batch_mean = channels.sum(1) / samples
            squares = ((channels - batch_mean[:, None]) ** 2).sum(1)
            followed = {"mean": batch_mean, "var": squares / (samples - 1)}
            for kind, value in followed.items():
                old = self.weights[f"{name}.running_{kind}"]
                self.weights[f"{name}.running_{kind}"] = (1 - _RUNNING) * old + _RUNNING * value.detach()
            mean, variance = batch_mean, squares / samples
        scaled = (x - mean.view(column)) / torch.sqrt(variance.view(column) + _EPSILON)
        return scaled * self.weights[f"{name}.weight"].view(column) + self.weights[f"{name}.bias"].view(
            column
        )

    # --- features and memory

    @torch.no_grad()
    def pooled_features(self) -> Tensor:
        """(n, d): the mean over a tracklet's frames, of evenly spaced ones where there are too many."""
        means = []
        for frames in self.tracklets:
            length, most = len(frames), self.config.data.eval_frames
            kept = length if most == 0 else min(length, most)
            chosen = [(2 * j + 1) * length // (2 * kept) for j in range(kept)]
            seen = [frames[i] for i in chosen]
            if self.config.data.eval_mirror:
                seen += [varied(frame, mirrored=True, down=0, right=0) for frame in seen]
            means.append(self.features(normalised(seen), training=False).mean(0))
        return torch.stack(means)

    @torch.no_grad()
    def rows_of_classes(self, pooled: Tensor, labels: list[int]) -> np.ndarray:
        """(C, e): the mean of the members' unit features behind the head, scaled to length 1."""
        v = self.embedded(pooled, training=False)
        means = [torch.stack([v[i] for i in c]).mean(0) for c in reference.members(labels)]
        return unit(torch.stack(means)).numpy()

    def proxies_of_classes(self, pooled: Tensor) -> np.ndarray:
        """Rows of the memory if each camera's part of a class were a class; none where there are none."""
        if not self.config.train.camera_proxies:
            return np.zeros((0, 0))
        return self.rows_of_classes(pooled, self.proxy_labels())

    def proxy_labels(self) -> list[int]:
        """The row of each tracklet among the proxies."""
        keys = reference.proxy_keys(self.labels, self.cameras)
        return [keys.index(key) for key in zip(self.labels, self.cameras, strict=True)]

    def rows_after_merge(self, pooled: Tensor, before: list[int]) -> np.ndarray:
        """The memory's rows for the present classes."""
        kind = self.config.train.memory_init
        if kind == "carry":
            return np.stack([self.carried(c, before) for c in reference.members(self.labels)])
        rows = self.rows_of_classes(pooled, before if kind == "old_classes" else self.labels)
        return 0 * rows if kind == "zeros" else rows

    def carried(self, c: list[int], before: list[int]) -> np.ndarray:
        """The rows of the classes that were merged into c, weighted by how many tracklets each had."""
        merged = sorted({before[i] for i in c})
        row = sum(before.count(a) * self.rows[a] for a in merged) / len(c)
        return np.asarray(row / np.linalg.norm(row))

    # --- the algorithm

    def step(self, on_epoch: Callable[[int, int], None]) -> None:
        """Lines 3 to 7; `on_epoch(stage, epoch)` is called behind every epoch."""
        self.stage += 1
        self.train(on_epoch)
        pooled = self.pooled_features()
        dist = reference.distances(unit(pooled).numpy())
        merging = self.config.merge
        cost = reference.merge_cost(dist, self.labels, merging.lambda1, merging.lambda2)
        before, self.labels = self.labels, reference.merge(self.labels, cost, self.m)
        self.rows = self.rows_after_merge(pooled, before)
        self.proxies = self.proxies_of_classes(pooled)

    def train(self, on_epoch: Callable[[int, int], None]) -> None:
        """Line 3: SGD on Eq (2), the memory following behind every step."""
        train, alpha = self.config.train, self.alpha()
        rng = generator(self.config.seed, "stage", self.stage)
        velocity: dict[str, Tensor] = {}  # a new optimiser in every stage
        with torch.random.fork_rng([]):
            torch.manual_seed(int(rng.integers(2**63)))
            for epoch in range(1, (train.first_epochs if self.stage == 1 else train.later_epochs) + 1):
                total, plan = 0.0, self.plan(rng)
                rate = self.rate(epoch)
                for batch, frames in self.batches(plan, rng):
                    v = self.batch_features(batch, frames)
                    labels = [self.labels[i] for i in batch]
                    loss = self.loss(v, labels)
                    self.descend(loss + self.proxy_loss(v, batch), rate, velocity)
                    self.rows = reference.update(self.rows, v.detach().numpy(), labels, alpha)
                    if train.camera_proxies:
                        of_batch = [self.proxy_labels()[i] for i in batch]
                        self.proxies = reference.update(self.proxies, v.detach().numpy(), of_batch, alpha)
                    total += float(loss.detach()) * len(batch)
                on_epoch(self.stage, epoch)
        self.losses.append(total / sum(len(batch) for batch in plan))
        self.rates.append(rate)
        self.alphas.append(alpha)

    def alpha(self) -> float:
        """α of the stage: it grows from stage to stage up to its end value, or is fixed."""
        train, stages = self.config.train, self.stage - (self.config.train.alpha_schedule == "printed")
        share = min(1.0, stages * self.config.merge.merge_rate)
        cosine = (1 - math.cos(math.pi * share)) / 2
        factors = {"linear": share, "printed": share, "fixed": 1.0, "cosine": cosine}
        return train.alpha * factors[train.alpha_schedule]

    def rate(self, epoch: int) -> float:
        """Learning rate of new layers."""
        train = self.config.train
        late = epoch > train.lr_decay_epoch if self.stage == 1 else train.later_lr == "decayed"
        return train.lr * train.lr_decay if late else train.lr

    def plan(self, rng: np.random.Generator) -> list[list[int]]:
        """The tracklets of an epoch's batches. A last batch of one joins the one before."""
        train, n = self.config.train, len(self.tracklets)
        order = self.by_classes(rng) if train.sampler == "classes" else rng.permutation(n).tolist()
        plans: list[list[int]] = [order[i : i + train.batch_size] for i in range(0, n, train.batch_size)]
        if train.drop_last:
            return [batch for batch in plans if len(batch) == train.batch_size]
        if len(plans[-1]) == 1:
            plans[-2:] = [plans[-2] + plans[-1]]
        return plans

    def by_classes(self, rng: np.random.Generator) -> list[int]:
        """n draws: classes in rounds, K of each; a batch takes other classes before one that it has."""
        train, n, turns, order = self.config.train, len(self.tracklets), [], []
        k = train.tracklets_per_class
        while len(order) < n:
            waiting, chances = rng.permutation(max(self.labels) + 1).tolist(), rng.random(n)
            while waiting:
                started = turns[len(turns) // (train.batch_size // k) * (train.batch_size // k) :]
                c = next((c for c in waiting if c not in started), waiting[0])
                waiting.remove(c)
                turns.append(c)
                order += self.turn([i for i in range(n) if self.labels[i] == c], chances, k)
        return order[:n]

    def turn(self, members: list[int], chances: np.ndarray, k: int) -> list[int]:
        """K of a class: one, then other cameras', each camera once before any twice; then the rest."""
        first, *rest = sorted(members, key=lambda i: chances[i])
        taken, waiting = [first], [i for i in rest if self.cameras[i] != self.cameras[first]]
        while waiting:
            cameras: set[int] = set()
            for i in list(waiting):
                if self.cameras[i] not in cameras:
                    cameras.add(self.cameras[i])
                    taken.append(i)
                    waiting.remove(i)
        taken += [i for i in rest if self.cameras[i] == self.cameras[first]]
        return [taken[j % len(taken)] for j in range(k)]

    def batches(
        self, plans: list[list[int]], rng: np.random.Generator
    ) -> Iterator[tuple[list[int], list[list[np.ndarray]]]]:
        """One epoch: the tracklets of every batch and, varied, the frames drawn of each."""
        data = self.config.data
        places = [rng.random((len(batch), data.frames)) for batch in plans]
        for batch, shares in zip(plans, places, strict=True):
            # Numbers of each tracklet, or of each of its frames.
            count = (len(batch), 1 if data.augment_per == "tracklet" else data.frames)
            mirrored = rng.random(count) < data.flip
            most = [int(data.shift * size) for size in (data.height, data.width)]
            down, right = (rng.integers(-far, far, size=count, endpoint=True) for far in most)
            frames = []
            for k, i in enumerate(batch):
                frames.append([])
                for j, frame in enumerate(self.drawn(self.tracklets[i], shares[k])):
                    at = k, j % count[1]
                    frames[k].append(varied(frame, mirrored[at], down[at], right[at]))
            yield batch, frames

    def drawn(self, tracklet: np.ndarray, shares: np.ndarray) -> list[np.ndarray]:
        """Frames in time order: one of each equal part of the tracklet, or each of all of it."""
        segments, length = self.config.data.frame_sampling == "segments", len(tracklet)
        count = len(shares)
        at = [(j + shares[j]) / count for j in range(count)] if segments else sorted(shares)
        return [tracklet[math.floor(share * length)] for share in at]

    def batch_features(self, batch: list[int], frames: list[list[np.ndarray]]) -> Tensor:
        """v (b, e): batch norm sees all frames of the batch at once, the head the tracklets' means."""
        each = self.features(normalised([frame for drawn in frames for frame in drawn]), training=True)
        count = self.config.data.frames
        means = [each[k * count : (k + 1) * count].sum(0) / count for k in range(len(batch))]
        return self.embedded(torch.stack(means), training=True)

    def loss(self, v: Tensor, labels: list[int]) -> Tensor:
        """Eq (2), mean over the batch."""
        rows, losses = torch.from_numpy(self.rows), []
        for sample, label in zip(v, labels, strict=True):
            powers = [torch.exp((row * sample).sum() / self.config.train.temperature) for row in rows]
            losses.append(-torch.log(powers[label] / sum(powers)))
        return torch.stack(losses).mean()

    def proxy_loss(self, v: Tensor, batch: list[int]) -> Tensor | float:
        """What camera proxies add: its value and its gradient in v are the reference's."""
        if not self.config.train.camera_proxies:
            return 0.0
        keys, own = (
            reference.proxy_keys(self.labels, self.cameras),
            [(self.labels[i], self.cameras[i]) for i in batch],
        )
        value, gradient = reference.proxy_loss(self.proxies, keys, v.detach().numpy(), own)
        return value + ((v - v.detach()) * torch.from_numpy(gradient)).sum()

    def descend(self, loss: Tensor, rate: float, velocity: dict[str, Tensor]) -> None:
        """A step of SGD with weight decay and Nesterov's momentum; pre-trained layers get their share."""
        train = self.config.train
        pretrained = train.backbone_lr_factor if self.config.model.weights != "none" else 1.0
        trained = [name for name, weight in self.weights.items() if weight.requires_grad]
        gradients = list(torch.autograd.grad(loss, [self.weights[name] for name in trained]))
        if train.clip_norm:
            norm = math.sqrt(sum(float((gradient**2).sum()) for gradient in gradients))
            gradients = [gradient * min(1.0, train.clip_norm / norm) for gradient in gradients]
        for name, gradient in zip(trained, gradients, strict=True):
            weight = self.weights[name].detach()
            share = 1.0 if name.startswith("layers.") else pretrained
            slope = gradient + train.weight_decay * weight
            velocity[name] = train.momentum * velocity[name] + slope if name in velocity else slope
            ahead = slope + train.momentum * velocity[name]
            self.weights[name] = (weight - rate * share * ahead).requires_grad_()


def convolved(x: Tensor, kernel: Tensor) -> Tensor:
    """3×3 convolution of stride 2, a border of zeros around x (k, c, h, w), sides even."""
    k, c, h, w = x.shape
    bordered = x.new_zeros(k, c, h + 2, w + 2)
    bordered[:, :, 1:-1, 1:-1] = x
    total = x.new_zeros(k, len(kernel), h // 2, w // 2)
    for dy in range(3):
        for dx in range(3):
            seen = bordered[:, :, dy : dy + h : 2, dx : dx + w : 2]
            total = total + torch.einsum("kchw,oc->kohw", seen, kernel[:, :, dy, dx])
    return total


def unit(v: Tensor) -> Tensor:
    """v / ‖v‖ of every row."""
    return torch.stack([row / torch.sqrt((row**2).sum()) for row in v])


def normalised(frames: list[np.ndarray]) -> Tensor:
    """uint8 frames (h, w, 3) as the network's input (k, 3, h, w)."""
    pixels = np.stack(frames).astype(np.float64) / 255
    return torch.from_numpy(np.moveaxis((pixels - _MEAN) / _DEVIATION, 3, 1).copy())


def varied(frame: np.ndarray, mirrored: bool, down: int, right: int) -> np.ndarray:
    """Pixel (y, x) shows (y + down, x + right) of the frame, or its edge; mirrored then."""
    h, w, _ = frame.shape
    out = np.empty_like(frame)
    for y in range(h):
        for x in range(w):
            there = w - 1 - x if mirrored else x
            out[y, there] = frame[min(max(y + down, 0), h - 1), min(max(x + right, 0), w - 1)]
    return out

"""The feature memory as a dynamic classifier: Eqs (1) and (2), its rows and their update.

Notation
    M    rows (C, D): one L2-normalised row per class
    v    (b, D) L2-normalised features of a batch, y (b,) their classes
    τ    temperature, α update rate (the share of the old row that stays)

Its rows by `TrainConfig.memory_init`; means are L2-normalised and of the present network's features of
all tracklets, as the memory gets them:

    kind           at the start         after a merge
    members        means by class       means by new class
    zeros          zeros                zeros (BUC)
    carry          means by class       the rows of the classes merged, averaged by their sizes (line 6)
    old_classes    zeros                means by class before the merge: there are more rows than classes,
                                        and row c belongs to another class than label c (DBC's code)
    previous_rows  means by class       row c of before for label c, whatever class that was (a leak)
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from dcreid.precision import float32_linear


def class_means(
    features: Float[Tensor, "n d"], labels: Int[Tensor, " n"], n_classes: int
) -> Float[Tensor, "c d"]:
    """Row c = L2-normalised mean of the features of class c's members."""
    sums = features.new_zeros(n_classes, features.shape[1]).index_add_(0, labels, features)
    return functional.normalize(sums, dim=1)


def rows_after_merge(
    kind: str,
    features: Float[Tensor, "n d"],
    labels: Int[Tensor, " n"],
    n_classes: int,
    before: Int[Tensor, " n"],
    rows: Float[Tensor, "r d"],
) -> Float[Tensor, "c d"]:
    """The memory's rows for the classes `labels`, made by a merge of those `before`, which had `rows`.

    kind: `TrainConfig.memory_init`. features: of all tracklets, as the memory gets them.
    """
    if kind == "zeros":
        return features.new_zeros(n_classes, features.shape[1])
    if kind == "carry":
        return class_means(rows[before], labels, n_classes)  # each tracklet stands for its class's row
    if kind == "old_classes":
        return class_means(features, before, int(before.max()) + 1)
    if kind == "previous_rows":
        return rows[:n_classes]
    return class_means(features, labels, n_classes)


class FeatureMemory(nn.Module):
    """M and τ. `rows` is a buffer: it moves and is saved with the module, but has no gradient."""

    rows: Tensor

    def __init__(self, rows: Float[Tensor, "c d"], temperature: float):
        super().__init__()
        self.temperature = temperature
        self.register_buffer("rows", rows.float().clone())

    def logits(self, v: Float[Tensor, "b d"]) -> Float[Tensor, "b c"]:
        """M v / τ, whose softmax is Eq (1); in full float32, and so is its gradient."""
        return float32_linear(v, self.rows) / self.temperature

    def loss(self, v: Float[Tensor, "b d"], labels: Int[Tensor, " b"]) -> Float[Tensor, ""]:
        """Eq (2), averaged over the batch."""
        return functional.cross_entropy(self.logits(v), labels)

    @torch.no_grad()
    def update(self, v: Float[Tensor, "b d"], labels: Int[Tensor, " b"], alpha: float) -> None:
        """M[y_i] ← α M[y_i] + (1 − α) v_i, L2-normalised, for each sample i in batch order.

        Labels on the CPU avoid waiting for the GPU.
        """
        v, on_host = v.detach().float(), labels.cpu()
        # Samples of different classes do not affect each other, so all first samples of a class are
        # applied at once, then all second ones, and so on: as many rounds as the most frequent class of
        # the batch has samples.
        earlier = (on_host[:, None] == on_host[None, :]).tril_(-1).sum(dim=1)  # (b,) same class, before i
        for turn in range(int(earlier.max()) + 1 if len(on_host) else 0):
            chosen = torch.nonzero(earlier == turn).flatten()
            rows = on_host[chosen].to(self.rows.device, non_blocking=True)
            samples = v[chosen.to(v.device, non_blocking=True)]
            self.rows[rows] = functional.normalize(alpha * self.rows[rows] + (1.0 - alpha) * samples, dim=1)

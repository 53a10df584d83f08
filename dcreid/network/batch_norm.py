"""Batch norm whose statistics are those of the frames of all ranks, as in one process."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

from dcreid.parallel import Ranks


def synchronise_batch_norm(network: nn.Module, ranks: Ranks, device: torch.device) -> None:
    """Replaces the batch norm layers that follow the batches, in place. The state dict keeps its keys.

    network: in training mode; layers that are in evaluation mode all the same are left as they are.
    """
    if ranks.size == 1:
        return
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, _BatchNorm) and child.training:
                setattr(parent, name, _synchronised(child, device))


def _synchronised(plain: _BatchNorm, device: torch.device) -> nn.Module:
    kind = CudaBatchNorm if device.type == "cuda" else RankBatchNorm
    norm = kind(plain.num_features, plain.eps, plain.momentum, plain.affine, plain.track_running_stats)
    norm.to(next(plain.parameters())).load_state_dict(plain.state_dict())
    return norm


class CudaBatchNorm(nn.SyncBatchNorm):
    """torch's own, with a fix for a rank without a sample: it must send float32, as the others do."""

    def forward(self, input: Float[Tensor, "b c ..."]) -> Float[Tensor, "b c ..."]:
        return super().forward(input if input.numel() else input.float())


class RankBatchNorm(_BatchNorm):
    """For CPUs, where `nn.SyncBatchNorm` does not run. A rank may have no sample at all."""

    def forward(self, input: Float[Tensor, "b c ..."]) -> Float[Tensor, "b c ..."]:
        if not self.training:
            return super().forward(input)
        x = input.to(torch.promote_types(input.dtype, torch.float32))
        others, column = [0, *range(2, x.ndim)], (1, -1) + (1,) * (x.ndim - 2)
        # Deviations from the mean of all ranks in a second pass: squares of x itself would cancel.
        samples = x.new_full((1,), x.numel() // x.shape[1])
        sums = _sum_over_ranks(torch.cat([x.sum(others), samples]))
        count = sums[-1].detach()
        if count <= 1:
            raise ValueError("batch norm needs more than one sample per channel in training")
        mean = sums[:-1] / count
        centred = x - mean.view(column)
        variance = _sum_over_ranks(centred.square().sum(others)) / count
        self._update_running_statistics(mean, variance * (count / (count - 1)))
        y: Tensor = centred * torch.rsqrt(variance + self.eps).view(column)
        if self.affine:
            y = y * self.weight.view(column) + self.bias.view(column)
        return y.to(input.dtype)

    def _check_input_dim(self, input: Tensor) -> None:
        """Accepts any shape (b, c, …)."""

    @torch.no_grad()
    def _update_running_statistics(self, mean: Float[Tensor, " c"], variance: Float[Tensor, " c"]) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        rate = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), rate)
        self.running_var.lerp_(variance.to(self.running_var.dtype), rate)


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _sum_over_ranks(own: Tensor) -> Tensor:
    total: Tensor = _SumOverRanks.apply(own)
    return total


class _SumOverRanks(torch.autograd.Function):
    """Every rank computes a part of the loss from the sum, so gradients are summed over ranks as well."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        total = own.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

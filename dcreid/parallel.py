"""Several processes that run one algorithm in lock-step, one per device, and come to what one would.

Every rank holds the whole state and draws every random number of the whole batch; it reads and
computes its share of the frames only:

    training   the network sees a rank's share of the batch. Its features are gathered, and head, loss
               and memory update are each rank's own work on the whole batch (b rows: next to nothing).
               So the loss is that of one process, dropout masks of the head included, and a rank's
               gradients are what its frames add to those of the whole batch: their sum is the step.
    features   a rank's share of the frames adds to the sums of their tracklets.
    the rest   merging and evaluation are the first rank's work; the others are told what came of it.

Batch norm sees the whole batch (`synchronise_batch_norm`). Where a network draws random numbers of
its own (stochastic depth: EfficientNet, ConvNeXt, Swin, …) each rank draws for its share: the same
distribution as in one process, not the same numbers. All else is equal up to the order of sums.

torch.distributed carries it, gloo on CPUs and NCCL between GPUs. Each rank makes the same calls in
the same order; alone, all of them cost nothing and change nothing.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

# The others wait while the first rank merges, evaluates and writes checkpoints, however long it takes.
_PATIENCE = datetime.timedelta(days=7)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Ranks:
    """This process, number `rank` of the `size` that run together."""

    rank: int = 0
    size: int = 1

    def share(self, count: int) -> slice:
        """The part of 0 … count-1 that is this rank's: in rank order, of like size, perhaps empty."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def all_gather(self, rows: Float[Tensor, "s ..."], count: int) -> Float[Tensor, "n ..."]:
        """All ranks' rows, in order: `rows` are `share(count)` of them.

        Each rank goes on to the same result; what that owes to `rows` is what flows back to them.
        """
        if self.size == 1:
            return rows
        whole: Tensor = _Gathered.apply(rows, self.share(count), count)
        return whole

    def all_reduce(self, tensor: Tensor) -> Tensor:
        """The sum of all ranks' tensors of one shape, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    @torch.no_grad()
    def all_reduce_gradients(self, weights: Iterable[nn.Parameter]) -> None:
        """Every rank's gradients become their sum, in one message."""
        if self.size == 1:
            return
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        if not gradients:
            return
        whole = self.all_reduce(torch.cat([gradient.flatten() for gradient in gradients]))
        parts = torch.split(whole, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))

    @torch.no_grad()
    def broadcast(self, tensors: Iterable[Tensor | None]) -> None:
        """The first rank's values, in place on every rank: rounding must not let the ranks drift apart."""
        if self.size == 1:
            return
        for tensor in tensors:
            if tensor is not None:
                same = tensor.detach().contiguous()
                dist.broadcast(same, src=0)
                tensor.copy_(same)

    def on_rank_0(self, call: Callable[[], Result]) -> Result:
        """What `call` returns on the first rank, where alone it is called: plain values and CPU tensors."""
        if self.size == 1:
            return call()
        told: list[Any] = [call() if self.rank == 0 else None]
        dist.broadcast_object_list(told, src=0, device=torch.device("cpu"))
        result: Result = told[0]
        return result


ONE_PROCESS = Ranks()


@contextlib.contextmanager
def process_group(
    device: torch.device, init_method: str = "env://", rank: int = -1, size: int = -1
) -> Iterator[Ranks]:
    """Makes this process one of several, each with a device of its own, while the context lasts.

    init_method: where they meet, as `torch.distributed.init_process_group` takes it; the default is
    what torchrun sets up, rank and size included. A rank that fails must end its process, or the
    others wait for it.
    """
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # Objects and other tensors of the host go by gloo in any case.
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, init_method, _PATIENCE, world_size=size, rank=rank)
    yield Ranks(dist.get_rank(), dist.get_world_size())
    dist.destroy_process_group()  # not after an error, when it would wait for the others


def synchronise_batch_norm(network: nn.Module, ranks: Ranks, device: torch.device) -> None:
    """Lets batch norm that is trained take its statistics from the frames of all ranks, in place.

    The state dict stays that of the plain network.
    """
    if ranks.size == 1:
        return
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, _BatchNorm) and any(weight.requires_grad for weight in child.parameters()):
                setattr(parent, name, _synchronised(child, device))


def _synchronised(plain: _BatchNorm, device: torch.device) -> nn.Module:
    kind = _CudaBatchNorm if device.type == "cuda" else RankBatchNorm
    norm = kind(plain.num_features, plain.eps, plain.momentum, plain.affine, plain.track_running_stats)
    norm.to(next(plain.parameters())).load_state_dict(plain.state_dict())
    return norm


class _CudaBatchNorm(nn.SyncBatchNorm):
    """torch's own, mended for a rank without a sample: its message must be of the others' type."""

    def forward(self, input: Float[Tensor, "b c ..."]) -> Float[Tensor, "b c ..."]:
        return super().forward(input if input.numel() else input.float())


class RankBatchNorm(_BatchNorm):
    """Batch norm over the samples of all ranks, for CPUs, where `nn.SyncBatchNorm` does not run.

    A rank may have no sample at all.
    """

    def forward(self, input: Float[Tensor, "b c ..."]) -> Float[Tensor, "b c ..."]:
        if not self.training:
            return super().forward(input)
        x = input.to(torch.promote_types(input.dtype, torch.float32))
        others, column = [0, *range(2, x.ndim)], (1, -1) + (1,) * (x.ndim - 2)
        # Deviations from the mean of all ranks in a second pass: squares of x itself would cancel.
        samples = x.new_full((1,), x.numel() // x.shape[1])
        sums = _summed(torch.cat([x.sum(others), samples]))
        count = sums[-1].detach()
        if count <= 1:
            raise ValueError("batch norm needs more than one sample per channel in training")
        mean = sums[:-1] / count
        centred = x - mean.view(column)
        variance = _summed(centred.square().sum(others)) / count
        self._follow(mean, variance * (count / (count - 1)))
        y: Tensor = centred * torch.rsqrt(variance + self.eps).view(column)
        if self.affine:
            y = y * self.weight.view(column) + self.bias.view(column)
        return y.to(input.dtype)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any shape (b, c, …) will do."""

    @torch.no_grad()
    def _follow(self, mean: Float[Tensor, " c"], variance: Float[Tensor, " c"]) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        rate = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), rate)
        self.running_var.lerp_(variance.to(self.running_var.dtype), rate)


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _summed(own: Tensor) -> Tensor:
    whole: Tensor = _Summed.apply(own)
    return whole


class _Summed(torch.autograd.Function):
    """Σ over ranks of their tensors, for results of which each rank has a part: so have the gradients."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        whole = own.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(whole)
        return whole

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        whole = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(whole)
        return whole


class _Gathered(torch.autograd.Function):
    """Rows of all ranks, for a result that every rank has whole: so it has the gradient of its rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, share: slice, count: int) -> Tensor:
        ctx.share = share
        whole = rows.new_zeros(count, *rows.shape[1:])
        whole[share] = rows
        dist.all_reduce(whole)  # shares differ in size, which gathering would not take
        return whole

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient[ctx.share], None, None

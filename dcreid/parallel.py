"""Several processes that run one algorithm in lock-step, one per device, with the result of a single one.

Every rank holds the whole state and draws every random number of the whole batch; it reads and
computes its share of the frames only:

    training   each rank passes its share of the batch through the backbone. The features are gathered;
               head, loss and memory update are computed on the whole batch by every rank (b rows: next
               to nothing). So the loss and the head's dropout masks are those of one process, and a
               rank's gradients are its frames' part of those of the whole batch: their sum is used.
    features   each rank adds its share of the frames to the sums of their tracklets.
    the rest   rank 0 merges and evaluates, and sends the results to the others.

Batch norm sees the whole batch (`dcreid/network/batch_norm.py`). Where a backbone draws random numbers
itself (stochastic depth: EfficientNet, ConvNeXt, Swin, …) each rank draws for its share: the same
distribution as in one process, not the same numbers. All else is equal up to the order of sums.

Messages go through torch.distributed, gloo on CPUs and NCCL between GPUs. Each rank makes the same
calls in the same order; in a single process all of them return at once and change nothing.
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

# The others wait while rank 0 merges, evaluates and writes checkpoints, however long it takes.
_TIMEOUT = datetime.timedelta(days=7)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Ranks:
    """This process, number `rank` of `size` that run together."""

    rank: int = 0
    size: int = 1

    def share(self, count: int) -> slice:
        """This rank's part of 0 … count-1; parts are in rank order, of about equal size, perhaps empty."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def all_gather(self, rows: Float[Tensor, "s ..."], count: int) -> Float[Tensor, "n ..."]:
        """All ranks' rows, in order: `rows` are `share(count)` of them.

        Backward, `rows` get the gradient of their part of the result.
        """
        if self.size == 1:
            return rows
        whole: Tensor = _AllGather.apply(rows, self.share(count), count)
        return whole

    def all_reduce(self, tensor: Tensor) -> Tensor:
        """The sum of all ranks' tensors of one shape, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    @torch.no_grad()
    def all_reduce_gradients(self, weights: Iterable[nn.Parameter]) -> None:
        """Replaces every rank's gradients by their sum, in one message."""
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
        """Replaces the values on every rank by rank 0's, so that rounding lets no rank drift away."""
        if self.size == 1:
            return
        for tensor in tensors:
            if tensor is not None:
                same = tensor.detach().contiguous()
                dist.broadcast(same, src=0)
                tensor.copy_(same)

    def on_rank_0(self, call: Callable[[], Result]) -> Result:
        """Calls on rank 0 only, and returns the result (plain values and CPU tensors) on every rank."""
        if self.size == 1:
            return call()
        results: list[Any] = [call() if self.rank == 0 else None]
        dist.broadcast_object_list(results, src=0, device=torch.device("cpu"))
        result: Result = results[0]
        return result


ONE_PROCESS = Ranks()


@contextlib.contextmanager
def process_group(
    device: torch.device, init_method: str = "env://", rank: int = -1, size: int = -1
) -> Iterator[Ranks]:
    """Makes this process one of several, each with a device of its own, inside the context.

    init_method: where they meet, as in `torch.distributed.init_process_group`; the default is what
    torchrun sets up, rank and size included. A rank that fails must end its process, or the others
    wait for it.
    """
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # Objects and CPU tensors are sent by gloo in any case.
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, init_method, _TIMEOUT, world_size=size, rank=rank)
    yield Ranks(dist.get_rank(), dist.get_world_size())
    dist.destroy_process_group()  # not after an error, when it would wait for the others


class _AllGather(torch.autograd.Function):
    """Every rank computes the whole loss from all rows, so it has the whole gradient of its own rows."""

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

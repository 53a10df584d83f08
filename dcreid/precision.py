"""The precision of the backbone, and full float32 where rounding decides: distances, logits, the head."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """The context for the backbone's forward pass: auto is bf16 on CUDA and float32 elsewhere."""
    bf16 = precision == "bf16" or (precision == "auto" and device.type == "cuda")
    return torch.autocast(device.type, dtype=torch.bfloat16) if bf16 else contextlib.nullcontext()


def set_tf32(precision: str, device: torch.device) -> None:
    """Allows TF32 in cuDNN's convolutions if the precision is tf32, and nowhere else.

    This uses the older of torch's two interfaces, which sets the newer one too: `torch.compile` reads
    the older one, and that raises where the two disagree.
    """
    if device.type == "cuda":
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = precision == "tf32"


@contextlib.contextmanager
def full_float32(device: torch.device) -> Iterator[None]:
    """Inside, products of float32 matrices are computed in full float32, whatever is allowed outside.

    Autocast is off, and so are TF32 and bf16, which a process may have allowed through either of
    torch's interfaces. Where the two disagree, reading the older one raises, and so do some products
    on CUDA: both are set here, and both are put back.
    """
    backends: tuple[Any, ...] = (torch.backends.cuda, torch.backends.mkldnn)
    matmuls = [backend.matmul for backend in backends]
    allowed = [matmul.fp32_precision for matmul in matmuls]
    for matmul in matmuls:
        matmul.fp32_precision = "ieee"
    older = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(older)
        for matmul, precision in zip(matmuls, allowed, strict=True):
            matmul.fp32_precision = "none"  # takes over what `torch.backends.fp32_precision` says
            if matmul.fp32_precision != precision:
                matmul.fp32_precision = precision


def float32_linear(
    x: Float[Tensor, "b d"], weight: Float[Tensor, "c d"], bias: Float[Tensor, " c"] | None = None
) -> Float[Tensor, "b c"]:
    """x Wᵀ + b, forward and backward in full float32, whatever autocast and TF32 settings allow."""
    product: Tensor = _Linear.apply(x.to(weight.dtype), weight, bias)
    return product


class _Linear(torch.autograd.Function):
    """`functional.linear` whose backward pass, too, is computed in full float32."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        with full_float32(x.device):
            return functional.linear(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        with full_float32(gradient.device):
            return (
                gradient @ weight if of_x else None,
                gradient.T @ x if of_weight else None,
                gradient.sum(dim=0) if of_bias else None,
            )

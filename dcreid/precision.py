"""The precision that the backbone computes in; all else is full float32 (`dcreid/float32.py`)."""

from __future__ import annotations

import contextlib

import torch


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

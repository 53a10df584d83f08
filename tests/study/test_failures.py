"""Failures told apart: by what was raised and what it says. What a worker tells is what the driver hears."""

from __future__ import annotations

import pytest
import torch

from dcreid.network.backbone import BackboneError
from study.errors import GPUError, NodeError, StorageError
from study.failures import Failure, failure_of
from study.worker.ranks import RankError


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (NodeError("a cannot read the data"), "node"),
        (GPUError("CUDA does not start: no device"), "node"),
        (BackboneError("--weights w.pt: no such file"), "node"),
        (RuntimeError("CUDA error: uncorrectable ECC error encountered\nCUDA kernel errors"), "node"),
        (RuntimeError("CUDA error: unspecified launch failure"), "node"),
        (RuntimeError("Unexpected error from cudaGetDeviceCount(). CUDA unknown error"), "node"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), "node"),
        (RankError("rank 1 of 2 GPUError: CUDA does not start"), "node"),
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), "memory"),
        (RuntimeError("CUDA error: out of memory"), "memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), "memory"),
        (RankError("rank 1 of 2 OutOfMemoryError: CUDA out of memory."), "memory"),
        (OSError(28, "No space left on device"), "passing"),
        (TimeoutError("timed out"), "passing"),
        (StorageError("--storage s3://b: cannot be written"), "passing"),
        (RuntimeError("CUDA error: device-side assert triggered"), "trial"),
        (RankError("rank 1 of 2 was killed by SIGKILL"), "trial"),
        (RuntimeError("shapes do not match"), "trial"),
        (MemoryError(), "trial"),
    ],
)
def test_whose_fault_it_is(error: Exception, kind: str):
    failure = failure_of(error)
    assert failure.kind == kind and f"{type(error).__name__}: " in failure.reason
    assert "\n" not in failure.reason


def test_what_can_be_done_about_memory_is_said():
    assert "smaller --batch-size" in failure_of(torch.cuda.OutOfMemoryError("x")).reason
    assert "--concurrency" in failure_of(MemoryError("x")).reason


def test_a_gpu_is_told_from_its_node():
    assert failure_of(GPUError("x")).of_gpu and failure_of(RuntimeError("CUDA error: x")).of_gpu
    assert not failure_of(NodeError("x")).of_gpu and not failure_of(OSError("x")).of_gpu


def test_what_is_told_is_heard():
    failure = Failure("node", 'GPUError: "quoted" – τ', "1a2b", ("3", "GPU-4f"))
    assert Failure.heard(failure.told()) == failure and "\n" not in failure.told()
    assert Failure.heard("OSError: failure") is None

"""Whether GPUs work: a device that computes, one that does not start, one that computes wrong numbers."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch

from study.errors import GPUError
from study.worker import cuda
from study.worker.cuda import check_device, device_of, problem_of, problems_of

CPU = torch.device("cpu")
without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU that works")


def test_a_device_that_computes_has_no_problem():
    assert problem_of(CPU) is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_gpu_that_works_has_no_problem():
    assert problem_of(torch.device("cuda")) is None and problems_of(["0"]) == {"0": None}


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (RuntimeError("Found no NVIDIA driver\nPlease check"), "CUDA does not start: Found no NVIDIA driver"),
        (AssertionError("Torch not compiled with CUDA enabled"),
         "CUDA does not start: Torch not compiled with CUDA enabled"),
        (torch.cuda.OutOfMemoryError("CUDA out of memory"), None),
    ],
)  # fmt: skip
def test_what_starting_says(error: Exception, problem: str | None, monkeypatch: pytest.MonkeyPatch):
    def raising(*_: object) -> Any:
        raise error

    monkeypatch.setattr(cuda, "_product", raising)
    assert problem_of(CPU) == problem


def test_wrong_numbers_are_noticed(monkeypatch: pytest.MonkeyPatch):
    product = cuda._product

    def flipped(small: torch.Tensor, device: torch.device) -> torch.Tensor:
        found = product(small, device)
        found[17, 3] += 1.0
        return found

    monkeypatch.setattr(cuda, "_product", flipped)
    assert problem_of(CPU) == "the GPU computes wrong numbers"


@without_cuda
def test_a_trial_that_holds_a_gpu_never_computes_on_a_cpu(job):
    assert device_of(job, 0) == CPU
    check_device(job, 0)
    holding = replace(job, gpus=0.25)
    assert device_of(holding, 0).type == "cuda"
    assert device_of(replace(job, gpus=2.0, processes=2), 1) == torch.device("cuda", 1)
    with pytest.raises(GPUError, match=r"^CUDA does not start: "):
        check_device(holding, 0)


@without_cuda
def test_each_gpu_is_looked_at_in_a_process_of_its_own():
    assert problems_of([]) == {}
    found = problems_of(["0"])
    assert list(found) == ["0"] and str(found["0"]).startswith("CUDA does not start: ")


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("print('null')", None), ("print('noise'); print('\"too old\"')", "too old"),
        ("import os; os.abort()", "its check ended with status -6"), ("print('noise')", "its check ended"),
        ("import time; time.sleep(60)", "does not answer for 1 seconds"),
    ],
)  # fmt: skip
def test_what_such_a_process_may_answer(script: str, problem: str | None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cuda, "_TIMEOUT", 1.0)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    answer = cuda._answer(process)
    assert answer == problem or (problem is not None and str(answer).startswith(problem))
    process.wait(10)

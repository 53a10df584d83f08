"""Whether GPUs work: a few numbers multiplied there, and compared with what they must come to.

`python -m study.worker.cuda` does it for the first GPU that it sees and prints the problem, in JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable

import torch
from torch import Tensor

from study.errors import GPUError, first_line
from study.job import Job

_TIMEOUT = 180.0  # seconds for a GPU to answer, the import of PyTorch included


def device_of(job: Job, rank: int) -> torch.device:
    """Where this rank of a trial computes: on a GPU if and only if the trial holds one."""
    if not job.gpus:
        return torch.device("cpu")
    return torch.device("cuda", rank) if job.processes > 1 else torch.device("cuda")


def check_device(job: Job, rank: int) -> None:
    """Raises GPUError where a trial holds a GPU that does not work: it must not train on a CPU instead."""
    problem = problem_of(device_of(job, rank))
    if problem is not None:
        raise GPUError(problem)


def problem_of(device: torch.device) -> str | None:
    """Why nothing can be computed on a device; None where it works, or where all its memory is in use."""
    small = (torch.arange(64 * 64).reshape(64, 64) % 7 - 3).float()  # exact in every precision
    try:
        found = _product(small, device)
    except torch.cuda.OutOfMemoryError:
        return None
    except (RuntimeError, AssertionError) as error:  # the latter where PyTorch was built without CUDA
        return f"CUDA does not start: {first_line(error, type(error).__name__)}"
    return None if torch.equal(found, small @ small) else "the GPU computes wrong numbers"


def _product(small: Tensor, device: torch.device) -> Tensor:
    there = small.to(device)
    return (there @ there).cpu()


def problems_of(gpus: Iterable[str]) -> dict[str, str | None]:
    """The problem of each GPU of this machine, each in a process of its own that sees no other.

    gpus: as in CUDA_VISIBLE_DEVICES. A GPU that has fallen off the bus may keep CUDA from starting at all,
    and one that hangs would hang us.
    """
    started = {gpu: _start(gpu) for gpu in gpus}
    return {gpu: _answer(process) for gpu, process in started.items()}


def _start(gpu: str) -> subprocess.Popen[str]:
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "study.worker.cuda"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": gpu},
    )


def _answer(process: subprocess.Popen[str]) -> str | None:
    try:
        output, _ = process.communicate(timeout=_TIMEOUT)
        problem: str | None = json.loads(output.strip().splitlines()[-1])
        return problem
    except subprocess.TimeoutExpired:
        return f"does not answer for {_TIMEOUT:.0f} seconds"
    except (IndexError, ValueError):
        return f"its check ended with status {process.returncode}"
    finally:
        process.kill()


if __name__ == "__main__":
    print(json.dumps(problem_of(torch.device("cuda"))))

"""Failures told apart: whose fault one is decides what comes next.

    node      a machine's, or a GPU's: the trial goes on elsewhere, and the place is looked at
    memory    the GPU's memory was too small: once more with frugal settings that compute the same
    passing   a storage, disk or network that has not come back while it was waited for
    trial     anything else: the worker crashed, by its own fault as far as is known

A worker tells of its failure in words (`told`), which the driver reads (`heard`): an exception of a class
that the driver cannot import would never arrive.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from study.errors import StorageError, first_line

Kind: TypeAlias = Literal["node", "memory", "passing", "trial"]

_MARK = "failure "  # begins what a worker tells
_LONGEST = 500  # characters of a reason
# By the words of an error, which other ranks of a trial pass on too.
_OF_MEMORY = re.compile(r"OutOfMemoryError|CUDA out of memory|CUDA error: out of memory|STATUS_ALLOC_FAILED")
# A kernel's assertion is the program's fault; all other errors of CUDA are blamed on the GPU, so that another
# one shows who was right.
_OF_GPUS = re.compile(
    r"GPUError: |CUDA error: (?!device-side assert)|CUDA driver|NVIDIA driver|No CUDA GPUs|CUDA unknown error"
    r"|CUBLAS_STATUS_|CUDNN_STATUS_|ECC error|fallen off the bus"
)
_OF_NODES = re.compile(r"NodeError: |BackboneError: ")


@dataclass(frozen=True)
class Failure:
    """What went wrong with one attempt at a trial, and where."""

    kind: Kind
    reason: str  # one line
    node: str = ""  # Ray's name of the node; "" = not known
    gpus: tuple[str, ...] = ()  # of the node, that the worker had

    @property
    def of_gpu(self) -> bool:
        """Whether a GPU is to blame, as far as words go, and not the whole node."""
        return _OF_GPUS.search(self.reason) is not None

    def told(self) -> str:
        """In one line, for `heard`."""
        return _MARK + json.dumps(dataclasses.asdict(self))

    @classmethod
    def heard(cls, text: str) -> Failure | None:
        """What a worker has told; None where the text is something else."""
        if not text.startswith(_MARK):
            return None
        content = json.loads(text.removeprefix(_MARK))
        return cls(**content | {"gpus": tuple(content["gpus"])})


def failure_of(error: BaseException) -> Failure:
    """An exception in a worker as a failure, the place left out."""
    text = f"{type(error).__name__}: {first_line(error, 'no message')}"[:_LONGEST]
    if isinstance(error, MemoryError):
        advice = "the machine's memory is full (fewer trials at a time: --concurrency)"
        return Failure("trial", f"{advice}: {text}")
    if _OF_MEMORY.search(text):
        return Failure("memory", f"GPU out of memory (smaller --batch-size, or fewer trials a GPU): {text}")
    if _OF_GPUS.search(text) or _OF_NODES.search(text):
        return Failure("node", text)
    return Failure("passing" if isinstance(error, OSError | StorageError) else "trial", text)

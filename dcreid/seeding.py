"""Random numbers of a run: everything is drawn from (seed, purpose, stage).

So a stage repeats exactly wherever a run was cut, and one purpose never shifts the numbers of another.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import torch

_PURPOSES = {"order": 0, "network": 1, "stage": 2}


def generator(seed: int, purpose: str, stage: int = 0) -> np.random.Generator:
    """The generator of one purpose and stage, independent of all others."""
    return np.random.default_rng([seed, _PURPOSES[purpose], stage])


@contextlib.contextmanager
def torch_seed(rng: np.random.Generator, device: torch.device) -> Iterator[None]:
    """Seeds torch's generators (dropout, initial weights) inside; outside they stay as they were."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(int(rng.integers(2**63)))
        yield

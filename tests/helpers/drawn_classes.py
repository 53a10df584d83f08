"""Random features, distances and labels for the tests of clustering."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import strategies as st
from torch.nn import functional

from dcreid.clustering.distances import pairwise_distances

seeds = st.integers(0, 2**31)
weights = st.sampled_from([0.0, 0.003, 0.06, 0.5])
divisors = st.sampled_from(["samples", "pairs"])


def unit_features(n: int, seed: int, d: int = 4, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """(n, d) rows of length 1."""
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(n, d, generator=generator, dtype=torch.float64), dim=1).to(dtype)


def random_distances(n: int, seed: int) -> torch.Tensor:
    """(n, n) Euclidean distances."""
    generator = torch.Generator().manual_seed(seed)
    return pairwise_distances(torch.randn(n, 3, generator=generator, dtype=torch.float64))


def random_labels(n: int, classes: int, seed: int) -> torch.Tensor:
    """(n,) labels, every one of `classes` in use, neither consecutive nor in order."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)])
    return torch.from_numpy(rng.permutation(labels) * 3 - 5)


def integer_distances(n: int, seed: int) -> torch.Tensor:
    """Small whole numbers: many ties, and sums without rounding."""
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.integers(0, 4, (n, n)), 1)
    return torch.from_numpy((upper + upper.T).astype(np.float64))


def together(labels: torch.Tensor | np.ndarray) -> np.ndarray:
    """(n, n) which tracklets share a class: what a clustering is, whatever its classes are called."""
    labels = np.asarray(labels)
    return labels[:, None] == labels[None, :]


@st.composite
def problems(draw: st.DrawFn, most: int = 14) -> tuple[int, int, int, int]:
    """n tracklets in c classes, m joins, and a seed."""
    n = draw(st.integers(1, most))
    c = draw(st.integers(1, n))
    return n, c, draw(st.integers(0, c - 1)), draw(seeds)

"""The merge criterion, Eqs (5) and (7), for every pair of classes.

    D = d_ab + λ1 (d_a + d_b) + λ2 (|a| + |b|)

Its *terms* are d_ab, d_a + d_b and |a| + |b|. The latter two are sums over the two classes, so that
D = d_ab + p_a + p_b with the *penalty* p_a = λ1 d_a + λ2 |a| of a class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from dcreid.clustering.dispersion import class_distances, intra_dispersion

_CACHED = 1 << 17  # numbers that fit into a core's cache beside other things


class PairTerms(NamedTuple):
    """The terms of D, unweighted, of a pair of classes."""

    inter: float  # d_ab, Eq (4), or the smallest distance
    intra: float  # d_a + d_b, Eq (3)
    size: float  # |a| + |b|, Eq (6)


class ClassTerms(NamedTuple):
    """The terms of D, unweighted, of one class with each of c classes."""

    inter: NDArray[np.floating]  # (c,)
    intra: NDArray[np.floating]  # (c,)
    size: NDArray[np.floating]  # (c,)

    def with_class(self, b: int) -> PairTerms:
        """Those of the pair with class b."""
        return PairTerms(float(self.inter[b]), float(self.intra[b]), float(self.size[b]))


# Called before a join is made, with the classes a and b, their terms, and a function that gives the
# terms of any class with all others, or None where those are not at hand.
OnJoin: TypeAlias = Callable[[int, int, PairTerms, Callable[[int], ClassTerms] | None], None]


@dataclass(frozen=True)
class Costs:
    """D for every pair of classes, in ascending order of label, and what it is made of."""

    total: Float[Tensor, "c c"]  # D, +inf on the diagonal
    dispersion: Float[Tensor, " c"]  # d_a
    sizes: Int[Tensor, " c"]  # |a|
    lambda1: float
    lambda2: float

    def terms(self, a: int) -> ClassTerms:
        """Terms of class a with every class; d_ab up to D's rounding, infinite for a itself."""
        dispersion, sizes = self._on_cpu
        intra, size = dispersion[a] + dispersion, sizes[a] + sizes
        total = self.total[a].cpu().numpy().astype(np.float64)
        return ClassTerms(total - self.lambda1 * intra - self.lambda2 * size, intra, size)

    @cached_property
    def _on_cpu(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self.dispersion.cpu().numpy().astype(np.float64), self.sizes.cpu().numpy().astype(np.float64)


def merge_costs(
    distances: Float[Tensor, "n n"],
    labels: Int[Tensor, " n"],
    lambda1: float,
    lambda2: float,
    intra: str,
    linkage: str = "average",
) -> Costs:
    """D for every pair of classes, from symmetric distances with a zero diagonal."""
    between, divisor, within, sizes = class_distances(distances, labels, linkage)
    dispersion = intra_dispersion(within, sizes, intra)
    penalty = penalties(dispersion, sizes.to(within.dtype), lambda1, lambda2)
    # A few rows at a time stay in the cache for all steps.
    k = max(1, _CACHED // len(sizes))
    for rows, n_a, p_a in zip(*(torch.split(x, k) for x in (between, divisor, penalty)), strict=True):
        turn_into_costs(rows, (n_a, divisor), (p_a, penalty))
    return Costs(between.fill_diagonal_(torch.inf), dispersion, sizes, lambda1, lambda2)


def penalties(
    dispersion: Float[Tensor, " c"], count: Float[Tensor, " c"], lambda1: float, lambda2: float
) -> Float[Tensor, " c"]:
    """p_a of every class, from d_a and |a|."""
    return lambda1 * dispersion + lambda2 * count


def turn_into_costs(
    between: Float[Tensor, "k b"],
    divisor: tuple[Float[Tensor, " k"], Float[Tensor, " b"]],
    penalty: tuple[Float[Tensor, " k"], Float[Tensor, " b"]],
) -> None:
    """`ClassDistances.between` becomes D, in place; the others: of the rows' and of the columns' classes."""
    (n_a, n_b), (p_a, p_b) = divisor, penalty
    between.div_(n_a[:, None]).div_(n_b)  # d_ab, Eq (4)
    between.add_(p_a[:, None]).add_(p_b)

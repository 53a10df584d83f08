"""Distances against plain loops, and the precision of the products that they are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import reference
import torch
from torch.nn import functional

from dcreid.clustering.distances import cross_distances, pairwise_distances
from dcreid.precision import full_float32


def features(n: int, d: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator, dtype=dtype)


def test_pairwise_distances_are_the_loops():
    x = features(9, 5)
    np.testing.assert_allclose(pairwise_distances(x), reference.distances(x.numpy()), atol=1e-7)
    np.testing.assert_allclose(
        pairwise_distances(x, squared=True), reference.distances(x.numpy()) ** 2, atol=1e-12
    )


def test_float32_unit_rows_keep_six_digits():
    x = functional.normalize(features(60, 512), dim=1)
    exact = torch.cdist(x, x)
    assert (pairwise_distances(x.float()).double() - exact).abs().max() < 2e-6


def test_distances_are_bitwise_symmetric_with_zero_diagonal():
    for n, d in ((1, 3), (7, 5), (50, 64), (129, 333), (1100, 7)):
        distances = pairwise_distances(features(n, d, dtype=torch.float32))
        assert torch.equal(distances, distances.T)
        assert not distances.diagonal().any()


def test_distances_made_in_several_blocks_are_those_of_one_product():
    x = features(1100, 7)
    torch.testing.assert_close(pairwise_distances(x), cross_distances(x, x).fill_diagonal_(0.0))
    torch.testing.assert_close(
        pairwise_distances(x, squared=True), cross_distances(x, x, squared=True).fill_diagonal_(0.0)
    )


def test_identical_rows_are_no_farther_than_the_rounding_of_one():
    x = functional.normalize(features(1, 512, dtype=torch.float32), dim=1).expand(8, -1).contiguous()
    assert pairwise_distances(x).max() <= 1e-3
    assert torch.isfinite(pairwise_distances(x)).all()


def test_features_are_left_alone():
    x = features(6, 4)
    before = x.clone()
    pairwise_distances(x)
    cross_distances(x[:2], x)
    assert torch.equal(x, before)


def test_cross_distances_are_a_block_of_pairwise_distances():
    x = features(12, 6)
    whole = pairwise_distances(x)
    torch.testing.assert_close(cross_distances(x[:5], x[5:]), whole[:5, 5:])
    torch.testing.assert_close(cross_distances(x[:5], x[5:], squared=True), whole[:5, 5:].square())


def test_autocast_does_not_reach_the_distances():
    x = functional.normalize(features(20, 64, dtype=torch.float32), dim=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside, across = pairwise_distances(x), cross_distances(x[:3], x)
    assert torch.equal(inside, pairwise_distances(x))
    assert torch.equal(across, cross_distances(x[:3], x))


# --- the precision of products

# How a process allows float32 products to be made of less, by either of torch's interfaces.
ALLOWED: dict[str, Callable[[], None]] = {
    "highest": lambda: torch.set_float32_matmul_precision("highest"),
    "high": lambda: torch.set_float32_matmul_precision("high"),
    "medium": lambda: torch.set_float32_matmul_precision("medium"),
    "allow_tf32": lambda: setattr(torch.backends.cuda.matmul, "allow_tf32", True),
    "everywhere": lambda: setattr(torch.backends, "fp32_precision", "tf32"),
    "CUDA's products": lambda: setattr(torch.backends.cuda.matmul, "fp32_precision", "tf32"),
    "the CPU's products": lambda: setattr(torch.backends.mkldnn.matmul, "fp32_precision", "bf16"),
    "none": lambda: None,
}


@pytest.fixture
def _flags_put_back() -> Iterator[None]:
    convolutions = torch.backends.cudnn.allow_tf32
    yield
    torch.backends.fp32_precision = "none"
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.fp32_precision = "none"
    torch.backends.mkldnn.matmul.fp32_precision = "none"
    torch.backends.cudnn.allow_tf32 = convolutions


def in_force() -> tuple[str, str, str, str]:
    """What is allowed in products: all, on CUDA, on the CPU, and by the older interface."""
    try:
        older = torch.get_float32_matmul_precision()
    except RuntimeError:  # it and the newer one disagree
        older = "unknown"
    matmuls = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul
    return torch.backends.fp32_precision, *(matmul.fp32_precision for matmul in matmuls), older


@pytest.mark.usefixtures("_flags_put_back")
@pytest.mark.parametrize("allow", ALLOWED.values(), ids=ALLOWED)
def test_distances_are_products_in_float32_whatever_is_allowed(
    allow: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, product = [], torch.Tensor.addmm_

    def recorded(*arguments: torch.Tensor, **options: float) -> torch.Tensor:
        seen.append(in_force()[1:])
        return product(*arguments, **options)

    monkeypatch.setattr(torch.Tensor, "addmm_", recorded)
    x = features(1100, 64, dtype=torch.float32)
    wanted = pairwise_distances(x), cross_distances(x[:3], x)
    allow()
    before = in_force()
    assert torch.equal(pairwise_distances(x), wanted[0])
    assert torch.equal(cross_distances(x[:3], x), wanted[1])
    assert len(seen) == 8 and set(seen) == {("ieee", "ieee", "highest")}
    assert in_force() == before


@pytest.mark.usefixtures("_flags_put_back")
def test_flags_are_put_back_after_an_error_and_stay_those_of_the_process() -> None:
    torch.backends.fp32_precision = "tf32"
    with pytest.raises(ZeroDivisionError), full_float32(torch.device("cpu")):
        raise ZeroDivisionError
    assert torch.backends.cuda.matmul.fp32_precision == "tf32"
    torch.backends.fp32_precision = "none"  # still what products follow
    assert torch.backends.cuda.matmul.fp32_precision == "none"


@pytest.mark.usefixtures("_flags_put_back")
@pytest.mark.parametrize("precision", ["auto", "fp32", "tf32", "bf16"])
def test_tf32_is_for_convolutions_only(precision: str) -> None:
    from dcreid.precision import set_tf32

    ALLOWED["medium"]()
    set_tf32(precision, torch.device("cuda"))
    assert in_force()[1:] == ("ieee", "ieee", "highest")
    assert torch.backends.cudnn.allow_tf32 == (precision == "tf32")
    assert (torch.backends.cudnn.conv.fp32_precision == "tf32") == (precision == "tf32")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.usefixtures("_flags_put_back")
@pytest.mark.parametrize("allow", ALLOWED.values(), ids=ALLOWED)
def test_distances_on_a_gpu_keep_six_digits_whatever_is_allowed(allow: Callable[[], None]) -> None:
    exact = functional.normalize(features(1100, 2048), dim=1)
    wanted, x = torch.cdist(exact, exact), exact.float().cuda()
    allow()
    assert (pairwise_distances(x).cpu().double() - wanted).abs().max() < 2e-6
    assert (cross_distances(x[:3], x[3:]).cpu().double() - wanted[:3, 3:]).abs().max() < 2e-6

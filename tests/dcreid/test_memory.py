"""Eqs (1), (2), the memory update and α, against loops that take one sample after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import reference
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from dcreid.memory import FeatureMemory, class_means, rows_after_merge
from dcreid.network.head import EmbeddingHead
from dcreid.precision import float32_linear


def unit_rows(n: int, d: int, seed: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(n, d, generator=generator, dtype=dtype), dim=1)


def memory(classes: int = 5, d: int = 6, temperature: float = 0.1) -> FeatureMemory:
    return FeatureMemory(unit_rows(classes, d, 0), temperature)


@pytest.mark.parametrize("temperature", [0.05, 0.1, 1.0])
def test_probabilities_and_loss_are_eqs_1_and_2(temperature: float):
    m, v, labels = memory(temperature=temperature), unit_rows(7, 6, 1), [0, 4, 2, 2, 1, 3, 0]
    rows = m.rows.double().numpy()
    np.testing.assert_allclose(
        m.logits(v).softmax(dim=1),
        reference.probabilities(rows, v.double().numpy(), temperature),
        rtol=1e-4,
        atol=1e-7,
    )
    wanted = reference.loss(rows, v.double().numpy(), labels, temperature)
    assert m.loss(v, torch.tensor(labels)).item() == pytest.approx(wanted, rel=1e-5)


def test_gradient_of_the_loss_reaches_the_features_and_not_the_memory():
    m, v = memory(), unit_rows(3, 6, 1).requires_grad_()
    labels = torch.tensor([1, 1, 4])
    m.loss(v, labels).backward()
    error = m.logits(v.detach()).softmax(dim=1) - functional.one_hot(labels, 5)
    torch.testing.assert_close(v.grad, error @ m.rows / m.temperature / 3)
    assert not list(m.parameters())


@given(st.lists(st.integers(0, 3), min_size=0, max_size=12), st.floats(0, 1), st.integers(0, 2**31))
def test_update_is_the_loop_in_batch_order(labels: list[int], alpha: float, seed: int):
    m, v = FeatureMemory(unit_rows(4, 5, seed), 0.1), unit_rows(len(labels), 5, seed + 1)
    wanted = reference.update(m.rows.double().numpy(), v.double().numpy(), labels, alpha)
    m.update(v, torch.tensor(labels, dtype=torch.long), alpha)
    np.testing.assert_allclose(m.rows, wanted, atol=1e-5)
    torch.testing.assert_close(m.rows.norm(dim=1), torch.ones(4))


def test_a_class_that_comes_twice_depends_on_the_order_of_the_batch():
    v = unit_rows(2, 6, 1)
    forward, backward = memory(), memory()
    forward.update(v, torch.tensor([2, 2]), 0.5)
    backward.update(v.flip(0), torch.tensor([2, 2]), 0.5)
    assert not torch.allclose(forward.rows[2], backward.rows[2])
    torch.testing.assert_close(forward.rows[:2], memory().rows[:2])


def test_limits_of_the_update_rate():
    v, labels = unit_rows(2, 6, 1), torch.tensor([3, 0])
    follows, stays = memory(), memory()
    follows.update(v, labels, 0.0)
    torch.testing.assert_close(follows.rows[labels], v)
    stays.update(v, labels, 1.0)
    torch.testing.assert_close(stays.rows, memory().rows)


def test_the_update_keeps_no_graph():
    m, v = memory(), unit_rows(2, 6, 1).requires_grad_()
    m.update(v * 2, torch.tensor([0, 1]), 0.5)
    assert not m.rows.requires_grad


def test_autocast_leaves_logits_loss_and_rows_in_float32():
    v, labels = unit_rows(4, 6, 1), torch.tensor([0, 1, 1, 3])
    m, plain = memory(), memory()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, loss = m.logits(v), m.loss(v, labels)
        m.update(v, labels, 0.3)
    plain.update(v, labels, 0.3)
    assert logits.dtype == loss.dtype == m.rows.dtype == torch.float32
    assert torch.equal(logits, memory().logits(v))
    assert torch.equal(m.rows, plain.rows)


class ProductsSeen(TorchDispatchMode):
    """Notes what float32 products may be made of on CUDA and on the CPU, in every product below it."""

    def __init__(self) -> None:
        super().__init__()
        self.precisions: list[tuple[str, str]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.ops.aten.mm.default, torch.ops.aten.addmm.default):
            cuda, cpu = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul
            self.precisions.append((cuda.fp32_precision, cpu.fp32_precision))
        return func(*args, **(kwargs or {}))


@pytest.fixture
def _medium_precision() -> Iterator[None]:
    torch.set_float32_matmul_precision("medium")
    yield
    torch.set_float32_matmul_precision("highest")


@pytest.mark.usefixtures("_medium_precision")
def test_logits_and_head_are_products_in_float32_forward_and_backward_whatever_is_allowed() -> None:
    head, m, labels = EmbeddingHead(8, 6, 0.0), memory(), torch.tensor([0, 1, 1, 3])
    with ProductsSeen() as seen:
        m.loss(head(unit_rows(4, 8, 1).requires_grad_()), labels).backward()
    assert seen.precisions == [("ieee", "ieee")] * 5  # of the head: forward, to weights, to features
    assert torch.get_float32_matmul_precision() == "medium"
    assert torch.backends.cuda.matmul.fp32_precision == "tf32"


@pytest.mark.parametrize("bias", [True, False])
def test_the_linear_layer_is_torch_s(bias: bool) -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(7, 4, bias=bias), torch.randn(5, 7, requires_grad=True)
    found = []
    for call in (layer, lambda x: float32_linear(x, layer.weight, layer.bias)):
        y = call(x)
        y.backward(torch.ones(5, 4).cumsum(dim=0))
        found.append([y.detach(), x.grad, *(weight.grad for weight in layer.parameters())])
        layer.zero_grad()
        x.grad = None
    for wanted, ours in zip(*found, strict=True):
        assert torch.equal(ours, wanted)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.usefixtures("_medium_precision")
def test_logits_and_their_gradient_on_a_gpu_keep_six_digits() -> None:
    rows, v = unit_rows(900, 2048, 0, torch.float64), unit_rows(64, 2048, 1, torch.float64)
    flowing = unit_rows(64, 900, 2, torch.float64)
    m, x = FeatureMemory(rows, 1.0).cuda(), v.float().cuda().requires_grad_()
    logits = m.logits(x)
    logits.backward(flowing.float().cuda())
    assert (logits.detach().cpu().double() - v @ rows.T).abs().max() < 1e-6
    assert (x.grad.cpu().double() - flowing @ rows).abs().max() < 1e-6


def test_bfloat16_features_are_taken():
    v = unit_rows(4, 6, 1).bfloat16().requires_grad_()
    m = memory()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        m.loss(v, torch.tensor([0, 1, 1, 3])).backward()
        m.update(v, torch.tensor([0, 1, 1, 3]), 0.3)
    assert v.grad is not None and v.grad.dtype == torch.bfloat16
    torch.testing.assert_close(m.rows.norm(dim=1), torch.ones(5))


def test_the_memory_is_saved_and_copies_the_rows_it_is_given():
    rows = unit_rows(3, 4, 0)
    m = FeatureMemory(rows, 0.1)
    m.update(unit_rows(1, 4, 1), torch.tensor([0]), 0.5)
    assert torch.equal(rows, unit_rows(3, 4, 0))
    other = FeatureMemory(torch.zeros(3, 4), 0.1)
    other.load_state_dict(m.state_dict())
    assert torch.equal(other.rows, m.rows)


def test_class_means_are_normalised_means_of_the_members():
    x, labels = unit_rows(6, 4, 0), torch.tensor([2, 0, 2, 1, 0, 2])
    rows = class_means(x, labels, 3)
    for c in range(3):
        torch.testing.assert_close(rows[c], functional.normalize(x[labels == c].mean(dim=0), dim=0))


def test_class_means_do_not_depend_on_the_order_of_tracklets():
    x, labels, order = unit_rows(6, 4, 0), torch.tensor([2, 0, 2, 1, 0, 2]), torch.randperm(6)
    torch.testing.assert_close(class_means(x[order], labels[order], 3), class_means(x, labels, 3))


def test_carried_rows_are_those_of_the_merged_classes_weighted_by_their_sizes():
    before, after = torch.tensor([3, 0, 0, 1, 2, 0, 3, 0]), torch.tensor([0, 1, 1, 0, 2, 1, 0, 1])
    rows = unit_rows(4, 5, 0)
    # Classes 1 (of one) and 3 (of two) are 0 now, class 0 is 1, class 2 is 2.
    wanted = functional.normalize(torch.stack([rows[1] + 2 * rows[3], rows[0], rows[2]]), dim=1)
    features = unit_rows(8, 5, 1)
    torch.testing.assert_close(rows_after_merge("carry", features, after, 3, before, rows), wanted)


def test_rows_of_old_classes_are_more_than_there_are_classes_and_in_the_old_order():
    before, after = torch.tensor([0, 1, 2, 3]), torch.tensor([0, 1, 0, 2])
    features = unit_rows(4, 5, 1)
    rows = rows_after_merge("old_classes", features, after, 3, before, unit_rows(4, 5, 0))
    torch.testing.assert_close(rows, features)

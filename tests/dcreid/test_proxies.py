"""Camera proxies against loops in float64: losses, gradients, rows and their update."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from dcreid.proxies import CameraProxies, proxy_rows


def unit_rows(n: int, d: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(n, d, generator=generator), dim=1)


def compare(labels: list[int], cameras: list[int], batch: list[int], d: int = 6, seed: int = 0) -> float:
    """Loss and gradient of a batch against the reference; the loss is returned."""
    keys = reference.proxy_keys(labels, cameras)
    rows, v = unit_rows(len(keys), d, seed), unit_rows(len(batch), d, seed + 1).requires_grad_()
    loss = CameraProxies(torch.tensor(labels), torch.tensor(cameras), rows).loss(v, torch.tensor(batch))
    loss.backward()
    own = [(labels[i], cameras[i]) for i in batch]
    wanted, gradient = reference.proxy_loss(rows.double().numpy(), keys, v.detach().double().numpy(), own)
    assert loss.item() == pytest.approx(wanted, rel=1e-4, abs=1e-5)
    np.testing.assert_allclose(v.grad, gradient, rtol=1e-3, atol=1e-4)
    return wanted


@settings(max_examples=40)
@given(st.data(), st.integers(1, 5), st.integers(0, 2**31))
def test_losses_and_gradients_are_the_references(data: st.DataObject, classes: int, seed: int) -> None:
    n = data.draw(st.integers(classes, 14))
    labels = [
        *range(classes),
        *data.draw(st.lists(st.integers(0, classes - 1), min_size=n - classes, max_size=n - classes)),
    ]
    cameras = data.draw(st.lists(st.sampled_from([1, 3, 6]), min_size=n, max_size=n))
    batch = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=8))
    compare(labels, cameras, batch, seed=seed)


def test_of_other_classes_the_fifty_most_similar_rows_of_any_camera_count() -> None:
    labels = [*[0] * 3, *range(1, 80)]
    cameras = [1, 2, 4, *[1, 2, 3] * 26, 1]
    compare(labels, cameras, [0, 1, 2, 0, 30, 60], d=200)


def test_a_class_that_one_camera_saw_has_the_loss_within_that_camera_only() -> None:
    """Two rows in one camera, as similar to v: ln 2; a row of another camera is not compared."""
    rows = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    proxies = CameraProxies(torch.tensor([0, 1, 2]), torch.tensor([5, 5, 6]), rows)
    v = functional.normalize(torch.tensor([[1.0, 1, 1]]), dim=1)
    assert proxies.loss(v, torch.tensor([0])).item() == pytest.approx(np.log(2))


def test_one_class_in_one_camera_is_no_loss_and_has_a_finite_gradient() -> None:
    v = unit_rows(2, 3, 0).requires_grad_()
    proxies = CameraProxies(torch.tensor([0, 0]), torch.tensor([1, 1]), unit_rows(1, 3, 1))
    loss = proxies.loss(v, torch.tensor([0, 1]))
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
    torch.testing.assert_close(v.grad, torch.zeros(2, 3))


def test_rows_are_means_of_each_class_and_camera() -> None:
    labels, cameras, x = torch.tensor([1, 0, 1, 0, 1]), torch.tensor([4, 2, 4, 9, 2]), unit_rows(5, 4, 0)
    wanted = torch.stack([x[1], x[3], x[4], x[0] + x[2]])
    rows = proxy_rows(x, labels, cameras)
    torch.testing.assert_close(rows, functional.normalize(wanted, dim=1))
    assert CameraProxies(labels, cameras, rows).row.tolist() == [3, 0, 3, 1, 2]


def test_a_sample_goes_into_the_row_of_its_class_and_camera() -> None:
    labels, cameras = torch.tensor([1, 0, 1, 0, 1]), torch.tensor([4, 2, 4, 9, 2])
    rows, v = unit_rows(4, 3, 0), unit_rows(3, 3, 1)
    proxies = CameraProxies(labels, cameras, rows)
    proxies.update(v, torch.tensor([2, 0, 3]), 0.3)
    wanted = reference.update(rows.double().numpy(), v.double().numpy(), [3, 3, 1], 0.3)
    np.testing.assert_allclose(proxies.memory.rows, wanted, atol=1e-6)


def test_bfloat16_and_autocast_leave_the_loss_in_float32() -> None:
    labels, cameras, v = torch.tensor([0, 0, 1]), torch.tensor([1, 2, 1]), unit_rows(3, 6, 1)
    proxies = CameraProxies(labels, cameras, unit_rows(3, 6, 0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = proxies.loss(v, torch.arange(3))
    assert loss.dtype == torch.float32 and torch.equal(loss, proxies.loss(v, torch.arange(3)))

"""Camera normalisation against plain loops in float64, and where there is nothing to divide by."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import torch
from torch.nn import functional

from dcreid.clustering import merge_labels
from dcreid.clustering.cameras import camera_normalised
from dcreid.config import MergeConfig

CAMERAS = [3, 1, 3, 3, 1, 6, 1, 3, 6, 1, 1, 3, 6, 3, 1, 6]


def features(n: int = len(CAMERAS), d: int = 6, seed: int = 0) -> torch.Tensor:
    return functional.normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_it_is_the_formula() -> None:
    made, cameras = features(), torch.tensor(CAMERAS)
    before = made.clone()
    found = camera_normalised(made, cameras)
    expected = reference.camera_normalised(made.double().numpy(), CAMERAS)
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-6)
    assert torch.equal(made, before) and found.dtype == made.dtype
    np.testing.assert_allclose(found.norm(dim=1).numpy(), 1.0, rtol=1e-6)


def test_what_a_camera_adds_or_multiplies_is_taken_out() -> None:
    made, cameras = features(), torch.tensor(CAMERAS)
    gain, offset = torch.rand(7, 6) + 0.5, torch.randn(7, 6)
    changed = made * gain[cameras] + offset[cameras]
    found = camera_normalised(changed, cameras)
    torch.testing.assert_close(found, camera_normalised(made, cameras), rtol=0, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3])
def test_dimensions_that_do_not_vary_are_zero(value: float) -> None:
    made, cameras = features(), torch.tensor(CAMERAS)
    made[:, 2] = value
    made[cameras == 3, 4] = value
    found = camera_normalised(made, cameras)
    assert bool((found[:, 2] == 0).all() and (found[cameras == 3, 4] == 0).all())
    assert bool((found[cameras != 3, 4] != 0).all())
    expected = reference.camera_normalised(made.double().numpy(), CAMERAS)
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-6)


def test_a_camera_that_says_nothing_of_itself_takes_the_moments_of_all() -> None:
    """One tracklet, or several alike; else these would be 0, and nearest to everything."""
    made, cameras = features(), torch.tensor(CAMERAS)
    cameras[5], cameras[7:9] = 8, 9
    made[7] = made[8]
    found = camera_normalised(made, cameras)
    expected = reference.camera_normalised(made.double().numpy(), cameras.tolist())
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.norm(dim=1).numpy(), 1.0, rtol=1e-6)


def test_nothing_is_nan_where_all_are_equal() -> None:
    """The deviation of equal numbers is 0 however many they are: no rounding is taken for variation."""
    found = camera_normalised(
        torch.full((5003, 3), 0.1), torch.arange(5003) // 3000 + torch.arange(5003) // 5002
    )
    assert torch.equal(found, torch.zeros(5003, 3))


def test_one_camera_is_standardised_as_a_whole() -> None:
    made = features()
    found = camera_normalised(made, torch.zeros(len(made), dtype=torch.int64))
    scaled = (made - made.mean(dim=0)) / made.std(dim=0)
    torch.testing.assert_close(found, functional.normalize(scaled, dim=1), rtol=0, atol=1e-6)


def test_a_merge_sees_features_without_their_cameras() -> None:
    """Two people in two cameras: as they are, the camera decides; normalised, the person."""
    person, camera = torch.tensor([0, 1, 0, 1, 0, 1, 0, 1]), torch.tensor([1, 1, 1, 1, 2, 2, 2, 2])
    made = 0.05 * features(8, 12, seed=1)
    made[:, :9] += torch.where(person == 0, 0.1, -0.1)[:, None]
    made[:, 9] += torch.where(camera == 1, 1.0, -1.0)
    made = functional.normalize(made, dim=1)
    plain = MergeConfig(lambda1=0.0, lambda2=0.0)
    normalised = MergeConfig(lambda1=0.0, lambda2=0.0, camera_normalise=True)
    labels = torch.arange(8)
    by_camera = merge_labels(made, labels, plain, 6, cameras=camera)
    assert torch.equal(by_camera, camera - 1)
    assert torch.equal(merge_labels(made, labels, normalised, 6, cameras=camera), person)
    assert torch.equal(merge_labels(made, labels, normalised, 6, cameras=None), by_camera)

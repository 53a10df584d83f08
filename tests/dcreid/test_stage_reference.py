"""Whole training stages against `reference_training`."""

from __future__ import annotations

import numpy as np
import pytest
from reference_training import ReferenceRun
from stage_runs import CAMERAS, VARIANTS, config, differences, expected, outcome, small_algorithm, tracklets

TOLERANCE = 1e-4  # of a quantity's norm


@pytest.mark.parametrize("variant", VARIANTS)
def test_two_stages_and_their_merges_equal_the_reference(variant: str) -> None:
    apart = differences(outcome(config(variant)), expected(variant))
    assert len(apart) > 50
    beyond = {name: value for name, value in apart.items() if not value <= TOLERANCE}
    assert not beyond


@pytest.mark.parametrize("variant", ["paper", "head"])
def test_the_first_rows_are_the_features_of_the_untrained_network(variant: str) -> None:
    made = config(variant).replace(**{"train.first_epochs": 0})
    algorithm = small_algorithm(made)
    reference = ReferenceRun(made, tracklets(), CAMERAS, **algorithm.network.state_dict())
    algorithm.train()
    assert algorithm.memory is not None
    np.testing.assert_allclose(algorithm.memory.rows, reference.rows, rtol=0, atol=1e-6)

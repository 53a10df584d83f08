"""Grids: the counted size is the listed size, and conditions do not multiply."""

from __future__ import annotations

import optuna
import pytest

from dcreid.config import ConfigError
from dcreid.presets import settings_of
from search_spaces.grid import grid_points, grid_size
from search_spaces.prior import Prior
from search_spaces.space import Space
from search_spaces.spaces import SPACES


@pytest.mark.parametrize(
    "space", [space for space in SPACES.values() if space.name != "full"], ids=lambda space: space.name
)
def test_points_are_different_configs_inside_the_space(space: Space) -> None:
    points = grid_points(space)
    assert len(points) == grid_size(space)
    base = settings_of("mars")
    configs = [base.replace(**point) for point in points[:: max(1, len(points) // 200)]]
    assert len({config.digest() for config in configs}) == len(configs)
    for config in configs:
        values = space.draw(optuna.trial.FixedTrial(space.params_of(config)))
        assert base.replace(**values) == config


def test_conditions_do_not_multiply() -> None:
    head = Prior("model.head", "categorical", choices=("none", "embedding"))
    width = Prior("model.embedding_dim", "categorical", choices=(512, 1024), when=("model.head", "embedding"))
    dropout = Prior("model.dropout", "float", 0.0, 0.8, when=("model.embedding_dim", 512), grid=(0, 0.2, 0.5))
    rate = Prior("merge.merge_rate", "float", 0.02, 0.2, grid=(0.05, 0.1))
    space = Space("own", (head, width, dropout, rate))
    assert grid_size(space) == len(grid_points(space)) == (1 + 3 + 1) * 2
    assert grid_size(Space("none", ())) == 1


def test_lists_of_values_and_several_priors_of_a_field_are_counted() -> None:
    method = Prior("merge.method", "categorical", choices=("once", "exact", "anew"))
    grown, anew = (
        Prior(
            "train.memory_init", "categorical", choices=choices, when=("merge.method", methods), suffix=suffix
        )
        for choices, methods, suffix in (
            (("members", "zeros", "carry"), ("once", "exact"), ""),
            (("members", "zeros"), ("anew",), "anew"),
        )
    )
    rate = Prior(
        "train.later_lr",
        "categorical",
        choices=("decayed", "restart"),
        when=("train.memory_init", ("zeros", "carry")),
    )
    space = Space("own", (method, grown, anew, rate))
    points = grid_points(space)
    assert (
        grid_size(space) == len(points) == len({str(point) for point in points}) == 2 * (1 + 2 + 2) + (1 + 2)
    )


def test_too_many_points_are_counted_and_refused() -> None:
    priors = (*SPACES["method"].priors, *SPACES["training"].priors)
    space = Space("everything", priors)
    assert grid_size(space) == grid_size(SPACES["method"]) * grid_size(SPACES["training"])
    for large in (space, SPACES["full"]):
        with pytest.raises(ConfigError, match="fix some fields"):
            grid_points(large)

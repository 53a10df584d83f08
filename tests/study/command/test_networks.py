"""Networks that a search may draw are built before it begins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from study.command.networks import check_networks
from study.errors import OptionError
from study.plan import StudyPlan

OTHERS = '[model.backbone]\nchoices = ["resnet18", "mobilenet_v3_small"]\n'


@pytest.fixture
def plan_with(plan_of: Callable[..., StudyPlan], tmp_path: Path) -> Callable[[str], StudyPlan]:
    def make(space: str) -> StudyPlan:
        (tmp_path / "s.toml").write_text(space)
        return plan_of("--space", str(tmp_path / "s.toml"))

    return make


def test_networks_that_can_be_built_are_taken(plan_with: Callable[[str], StudyPlan]):
    check_networks(plan_with(OTHERS))


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ('[model.backbone]\nchoices = ["resnet18", "nosuch"]', "model.backbone = nosuch: backbone 'nosuch'"),
        ("[model.frozen_stages]\nlow = 0\nhigh = 9", "model.frozen_stages = 9: "),
        ('[model.weights]\nchoices = ["none", "/gone.pt"]', "model.weights = /gone.pt: weights /gone.pt"),
        (
            OTHERS + '[model.frozen_stages]\nlow = 0\nhigh = 6\nwhen = { "model.backbone" = "resnet18" }',
            "model.backbone = resnet18 and model.frozen_stages = 6: ",
        ),
    ],
)
def test_a_network_that_cannot_be_built_is_named(
    plan_with: Callable[[str], StudyPlan], space: str, said: str
):
    with pytest.raises(OptionError) as error:
        check_networks(plan_with(space))
    assert str(error.value).startswith(f"--space: {said}")

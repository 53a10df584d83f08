"""Networks that a search may draw are built before it begins."""

from __future__ import annotations

import dataclasses
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


NO_DATA = (
    "model.batch_norm = frozen with model.weights = none: the statistics that are kept are those of no data"
)


def test_frozen_statistics_of_random_weights_are_told(
    plan_of: Callable[..., StudyPlan], plan_with: Callable[[str], StudyPlan]
):
    (line,) = check_networks(plan_of("--batch-norm", "frozen"))
    assert line.startswith(NO_DATA)
    (line,) = check_networks(plan_with('[model.batch_norm]\nchoices = ["adapt", "frozen"]'))
    assert line.startswith(NO_DATA)
    assert check_networks(plan_of("--batch-norm", "adapt")) == ()


def test_a_run_that_is_given_is_built_too(plan_of: Callable[..., StudyPlan], monkeypatch: pytest.MonkeyPatch):
    plan = plan_of()
    (item, *_) = [item for _, item in plan.fixed_items()]
    given = dataclasses.replace(
        item, label="a setting", config=plan.config.replace(**{"model.frozen_stages": 99})
    )
    monkeypatch.setattr(StudyPlan, "fixed_items", lambda _: [("--plan x", item), ("--plan x", given)])
    with pytest.raises(OptionError, match=r"--plan x: a setting: frozen_stages = 99: this backbone has"):
        check_networks(plan)


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ('[model.backbone]\nchoices = ["resnet18", "nosuch"]', "model.backbone = nosuch: backbone 'nosuch'"),
        ("[model.frozen_stages]\nlow = 0\nhigh = 9", "model.frozen_stages = 9: "),
        (
            '[model.backbone]\nchoices = ["resnet18", "swin_t"]\n[model.last_stride]\nchoices = [2, 1]\n'
            'when = { "model.backbone" = "swin_t" }',
            "model.backbone = swin_t and model.last_stride = 1: last_stride = 1: not possible",
        ),
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

"""Every network that a study would train is built once before it begins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dcreid.network.backbone import BackboneError, backbone_of
from study.errors import OptionError
from study.plan import StudyPlan

_FIELDS = (
    *("model.backbone", "model.weights", "model.frozen_stages", "model.last_stride", "model.pooling"),
    *("data.height", "data.width"),
)


def check_networks(plan: StudyPlan) -> None:
    """Raises BackboneError for trial 0's network, OptionError for one that the search may draw."""
    backbone_of(plan.config)
    for changes in _drawn(plan):
        try:
            backbone_of(plan.config.replace(**changes))
        except BackboneError as error:
            named = " and ".join(f"{name} = {value}" for name, value in changes.items())
            raise OptionError(f"--space: {named}: {error}") from None


def _drawn(plan: StudyPlan) -> Iterator[dict[str, Any]]:
    """What a search may change about the network, one field at a time, under the field's condition."""
    space = plan.search_space
    for prior in () if space is None else space.priors:
        if prior.field in _FIELDS:
            for value in prior.choices or (prior.low, prior.high):
                yield dict([prior.when] if prior.when else []) | {prior.field: value}

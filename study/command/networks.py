"""Every network that a study would train is built once before it begins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dcreid.config import Config
from dcreid.network.backbone import BackboneError, backbone_of, notes_on_backbone
from study.errors import OptionError
from study.plan import StudyPlan

_FIELDS = (
    *("model.backbone", "model.weights", "model.frozen_stages", "model.batch_norm", "model.last_stride"),
    *("data.height", "data.width"),
)


def check_networks(plan: StudyPlan) -> tuple[str, ...]:
    """What is to be said of the networks, a line each.

    Raises BackboneError for trial 0's network, OptionError for one of a run that is given or may be drawn.
    """
    backbone_of(plan.config)
    built, notes = {_network(plan.config)}, list(notes_on_backbone(plan.config))
    for named, config in _others(plan):
        if _network(config) not in built:
            built.add(_network(config))
            notes += notes_on_backbone(config)
            try:
                backbone_of(config)
            except BackboneError as error:
                raise OptionError(f"{named}: {error}") from None
    return tuple(dict.fromkeys(notes))


def check_network(config: Config, plan: StudyPlan) -> None:
    """Raises BackboneError for the network of one more configuration, where it is another than trial 0's."""
    if _network(config) != _network(plan.config):
        backbone_of(config)


def _network(config: Config) -> tuple[Any, ...]:
    values = config.flat()
    return tuple(values[name] for name in _FIELDS)


def _others(plan: StudyPlan) -> Iterator[tuple[str, Config]]:
    for origin, item in plan.fixed_items():
        yield f"{origin}: {item.label}", item.config
    for changes in _drawn(plan):
        named = " and ".join(f"{name} = {value}" for name, value in changes.items())
        yield f"--space: {named}", plan.config.replace(**changes)


def _drawn(plan: StudyPlan) -> Iterator[dict[str, Any]]:
    """What a search may change about the network, one field at a time, under the field's condition."""
    space = plan.search_space
    for prior in () if space is None else space.priors:
        if prior.field in _FIELDS:
            for value in prior.choices or (prior.low, prior.high):
                for wanted in prior.wanted or (None,):
                    yield ({prior.when[0]: wanted} if prior.when else {}) | {prior.field: value}

"""One more configuration for a study, which its next session runs before it draws any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dcreid.checked import shown
from dcreid.config import Config, ConfigError, fields
from study.command.networks import check_network
from study.command.resolve import check_activations, weights_found
from study.plan import StudyPlan
from study.record.folder import locked
from study.record.ledger import Ledger

# Trials of one study differ in anything but its data.
_OF_THE_DATA = ("data.dataset", "data.split", "data.gallery")


def enqueue(plan: StudyPlan, config: Config, tracklets: int) -> str | None:
    """Records a configuration that is to run next; returns why it is not recorded where it is there already.

    tracklets: of the training split. Raises ConfigError, OptionError or BackboneError for one that the study
    cannot run, StudyError where a driver is at work on the study.
    """
    _check(plan, config, tracklets)
    with locked(plan.folder):
        ledger = Ledger(plan.folder / "ledger.jsonl")
        try:
            there = _already(plan, ledger, config)
            if there is None:
                ledger.append("enqueue", config=config.to_dict())
        finally:
            ledger.close()
    return there


def changed(base: Config, changes: Mapping[str, Any]) -> Config:
    """The base with dotted fields changed, as a user names them. Raises ConfigError or OptionError."""
    config = base.replace(**changes)
    if "model.weights" in changes:
        config = config.replace(**{"model.weights": weights_found(config.model.weights)})
    return config


def _check(plan: StudyPlan, config: Config, tracklets: int) -> None:
    held, own = plan.config.flat(), config.flat()
    for name in fields():
        if (name in _OF_THE_DATA or ".synthetic." in name) and own[name] != held[name]:
            raise ConfigError(
                f"{name} = {shown(own[name])}: the study's is {shown(held[name])}, and all its trials run on "
                "the same data; create another study"
            )
    if config.trains_with_identities:
        raise ConfigError(
            "merge.method = 'identities': trains with identities, which only a study of the plan bound does"
        )
    config.train.check_batches(tracklets)
    config.merge.check_classes(tracklets)
    check_activations(plan, config)
    check_network(config, plan)


def _already(plan: StudyPlan, ledger: Ledger, config: Config) -> str | None:
    """Where the study has the configuration, in words; None where it has not, or has failed with it."""
    stored = config.to_dict()
    for trial in ledger.trials.values():
        if trial.config == stored and trial.state != "failed":
            state = "goes on with the study" if trial.state == "running" else f"is {trial.state}"
            return f"trial {trial.number} has this configuration and {state}: it is not run again"
    if stored in ledger.enqueued:
        return "this configuration is enqueued already"
    if any(item.config == config for _, item in plan.fixed_items()):
        return "this configuration is one of those that the study begins with"
    return None

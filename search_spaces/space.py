"""A search space: priors in order, drawn from by an Optuna trial and read backwards for a given `Config`.

`Space.draw` turns a trial into configuration values; `Space.params_of` turns a configuration into the
trial's parameters, so that one that was not drawn, the paper's own first of all, can stand in the same
study. How one field is drawn is in `prior`.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from dcreid.checked import check_types, shown
from dcreid.config import Config, ConfigError, fields
from search_spaces.prior import Prior, check_field

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial


@dataclass(frozen=True)
class Space:
    """Named priors in the order they are drawn; a condition (`when`) looks at an earlier one.

    A field may have several priors of which one trial draws one: their conditions look at the same
    field and share no value, and their suffixes differ.

    `flat`: every parameter is suggested in every trial, whether its condition holds or not, and 0 is
    a strip of the range; for samplers that need one search space of fixed shape (GP, CMA-ES).

    Raises:
        ConfigError: a field is drawn twice, or a condition can never hold.
    """

    name: str
    priors: tuple[Prior, ...]
    flat: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "priors", tuple(self.priors))
        for i, prior in enumerate(self.priors):
            above = self.priors[:i]
            if any(one.field == prior.field and not _apart(one, prior) for one in above):
                raise ConfigError(f"search space {self.name!r}: {prior.field} occurs twice")
            if prior.when is not None:
                self._check_condition(prior, prior.when[0], above)

    def _check_condition(self, prior: Prior, field: str, above: tuple[Prior, ...]) -> None:
        where = f"search space {self.name!r}, {prior.field}: when {field}"
        asked = [one for one in above if one.field == field]
        if not asked:
            known = [one.field for one in above]
            raise ConfigError(f"{where}: {field} must have a prior above {prior.field} (here: {known})")
        if not prior.wanted:
            raise ConfigError(f"{where} = []: needs one value or more")
        if len({repr(value) for value in prior.wanted}) < len(prior.wanted):
            raise ConfigError(f"{where} = {shown(list(prior.wanted))}: must be different values")
        for value in prior.wanted:
            if not any(one.contains(value) for one in asked):
                ranges = " or ".join(one.range() for one in asked)
                raise ConfigError(f"{where} = {shown(value)}: never holds, {field} is {ranges}")

    @property
    def fields(self) -> tuple[str, ...]:
        """The dotted fields that the space varies."""
        return tuple(dict.fromkeys(prior.field for prior in self.priors))

    def draw(self, trial: BaseTrial) -> dict[str, Any]:
        """Dotted field to value; fields whose condition does not hold are absent (the base's stays)."""
        values: dict[str, Any] = {}
        for prior in self.priors:
            active = holds(prior, values)
            if active or self.flat:
                value = prior.suggest(trial, self.flat)
                if active:
                    values[prior.field] = value
        return values

    def params_of(self, config: Config) -> dict[str, Any]:
        """The trial parameters of a configuration: `draw(FixedTrial(params_of(c)))` is c on its fields.

        Raises:
            ConfigError: a field's value is outside its prior.
        """
        held = config.flat()
        params: dict[str, Any] = {}
        values: dict[str, Any] = {}
        for prior in self.priors:
            value = held[prior.field]
            if holds(prior, values):
                if not prior.contains(value):
                    raise ConfigError(
                        f"{prior.field} = {value!r} is outside search space {self.name!r}: "
                        f"must be {prior.range()}"
                    )
                values[prior.field] = value
                params |= prior.params(value, self.flat)
            elif self.flat:  # not read, but a flat space has a value for every parameter
                params |= prior.params(value if prior.contains(value) else prior.points()[0], True)
        return params

    def distributions(self) -> dict[str, BaseDistribution]:
        """Every Optuna parameter that a trial may hold, with its distribution."""
        return {
            name: distribution
            for prior in self.priors
            for name, distribution in prior.distributions(self.flat).items()
        }

    def flattened(self) -> Self:
        """The same space with one fixed shape (see the class)."""
        return dataclasses.replace(self, flat=True)

    def without(self, fixed: Mapping[str, Any]) -> Self:
        """The space left when these fields have fixed values: `without({"model.head": "none"})`.

        Conditions on a fixed field are decided here: what can no longer be drawn goes, what always is
        loses its condition.

        Raises:
            ConfigError: a fixed field is none of `Config`'s.
        """
        for name in fixed:
            check_field(name)
        kept: list[Prior] = []
        for prior in self.priors:
            if prior.field in fixed:
                continue
            if prior.when is not None and prior.when[0] not in [one.field for one in kept]:
                field = prior.when[0]
                if field not in fixed or fixed[field] not in prior.wanted:
                    continue
                prior = dataclasses.replace(prior, when=None)
            kept.append(prior)
        return dataclasses.replace(self, priors=tuple(kept))

    def fitted(self, base: Config) -> Space:
        """The space without those choices that no configuration with the base's other values can have.

        Found by trying ends of ranges and choices together, some hundreds of draws.

        Raises:
            ConfigError: fewer than two choices of a field are left, or other draws cannot run.
        """
        return _fitted(self, base)

    def describe(self) -> list[dict[str, str]]:
        """One row per field for printing: field, range, condition, grid, help."""
        known = fields()
        return [
            {
                "field": prior.field,
                "range": prior.range(),
                "condition": prior.condition(),
                "grid": ", ".join(
                    f"{point:.4g}" if type(point) is float else str(point) for point in prior.points()
                ),
                "help": known[prior.field].metadata["help"],
            }
            for prior in self.priors
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain values as JSON would give them back (lists, no tuples); inverse of `from_dict`."""
        values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        for prior in values["priors"]:
            if not prior["suffix"]:  # as older versions wrote it
                del prior["suffix"]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Rebuilds a space from `to_dict`, also after a way through JSON. Raises ConfigError."""
        _check_stored(values)
        priors = [
            Prior(**{**prior, "when": tuple(prior["when"]) if prior.get("when") else None})
            for prior in values["priors"]
        ]
        return cls(values["name"], tuple(priors), values.get("flat", False))


_STORED: dict[str, Any] = {"name": str, "priors": list[dict[str, Any]], "flat": bool}
_STORED_PRIOR: dict[str, Any] = {
    **{"field": str, "kind": str, "low": float | None, "high": float | None, "log": bool, "zero": bool},
    **{"choices": list[Any], "when": list[Any] | None, "grid": list[Any], "suffix": str},
}


def _check_stored(values: Mapping[str, Any]) -> None:
    check_types("space", values, _STORED, ("name", "priors"))
    for prior in values["priors"]:
        check_types("space.priors", prior, _STORED_PRIOR, ("field", "kind"))
        unknown = sorted(set(prior) - set(_STORED_PRIOR))
        if unknown:
            raise ConfigError(f"space.priors: unknown key {shown(unknown[0])}")
        when = prior.get("when")
        if when and (len(when) != 2 or not isinstance(when[0], str)):
            raise ConfigError(f"space.priors.when = {shown(when)}: must be a field and its value")


def holds(prior: Prior, values: Mapping[str, Any]) -> bool:
    """Whether a prior is drawn, given the values drawn before it."""
    return prior.when is None or (prior.when[0] in values and values[prior.when[0]] in prior.wanted)


def _apart(one: Prior, other: Prior) -> bool:
    """Whether no trial draws both priors, and their parameters have different names."""
    if one.when is None or other.when is None or one.when[0] != other.when[0]:
        return False
    return one.suffix != other.suffix and not any(value in other.wanted for value in one.wanted)


@functools.lru_cache(maxsize=64)
def _fitted(space: Space, base: Config) -> Space:
    refused = _refused(space, base)
    if not any(refused.values()):
        return space
    first = next(error for error in refused.values() if error)
    possible = {entry for values, error in refused.items() if not error for entry in values}
    priors = []
    for prior in space.priors:
        left = tuple(choice for choice in prior.choices if (prior.field, choice) in possible)
        if len(left) < min(2, len(prior.choices)):
            only = f"only {left[0]}" if left else "nothing"
            raise ConfigError(
                f"search space {space.name!r}: of {prior.field}, {prior.range()}, {only} can be drawn "
                f"({first}); change the option, or hold {prior.field} at a value"
            )
        priors.append(dataclasses.replace(prior, choices=left))
    narrowed = dataclasses.replace(space, priors=tuple(priors))
    for error in filter(None, _refused(narrowed, base).values()):
        raise ConfigError(
            f"search space {space.name!r} would draw what cannot run ({error}); hold one of these fields "
            "at a value, or change its range"
        )
    return narrowed


_TRIED = 400  # draws of ends and choices: a pair of them under two conditions is met with near certainty


def _refused(space: Space, base: Config) -> dict[tuple[tuple[str, Any], ...], str | None]:
    """Draws at ends of ranges, as (field, value) pairs, and why `Config` refuses each; None = it does not."""
    rng = random.Random(0)
    found: dict[tuple[tuple[str, Any], ...], str | None] = {}
    for _ in range(_TRIED):
        values: dict[str, Any] = {}
        for prior in space.priors:
            if holds(prior, values):
                values[prior.field] = rng.choice(prior.choices or (prior.low, prior.high))
        if (draw := tuple(values.items())) not in found:
            found[draw] = _refusal(base, values)
    return found


def _refusal(base: Config, values: Mapping[str, Any]) -> str | None:
    try:
        base.replace(**values)
    except ConfigError as error:
        return str(error)
    return None


# Samplers whose model has the same parameters in every trial.
_FIXED_SHAPE = ("gp", "cmaes")


def adapt_space(space: Space, sampler: str) -> Space:
    """The space in the form that a sampler can model: flattened for `gp` and `cmaes`, else as it is."""
    return space.flattened() if sampler in _FIXED_SHAPE else space

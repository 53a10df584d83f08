"""A prior over one dotted `Config` field: which values a search may try there, and how likely.

Two Optuna parameters may share a field: a weight that may be exactly 0 is a switch `<field>.used`
and, only if it is on, the log-uniform value `<field>`. Samplers that model one vector of fixed length
cannot follow such a branch; for them (`flat`) 0 is a strip below the range: `<field>.or_zero` is
log-uniform from below `low`, and what falls below `low` means 0. The strip is as wide as the range in log
scale, so that 0 has probability 1/2 before anything is learned, in whichever form.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dcreid.checked import shown
from dcreid.config import Config, ConfigError, fields

if TYPE_CHECKING:  # Optuna takes a second to import, and the names of the spaces do not need it
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial

KINDS = ("float", "int", "categorical")
# A search over seeds would pick luck, and results on two data sets are not comparable.
_NOT_SEARCHED = {
    "seed": "runs differ by seed in every study; it is not searched",
    "data.dataset": "a study has one data set; start one study for each",
    "data.split": "a study has one split; start one study for each",
    "data.gallery": "a study has one gallery; start one study for each",
}
# How the two parameters of a weight that may be 0 end.
_ENDINGS = ("used", "or_zero")
# Width of the strip that means 0, where the log range itself has width 1: P(0) = 1/2, as of a switch.
_ZERO_STRIP = 1.0


@dataclass(frozen=True)
class Prior:
    """What values one field may take, and how likely.

    `kind` float or int: uniform in [low, high], or log-uniform with `log`. `zero` adds the value
    exactly 0 to a log-uniform float. Categorical: each of `choices` alike. `when = (field, value)`:
    only drawn in trials that gave the other field that value, or one of a tuple of values. `grid`: the
    values a grid takes. `suffix`: ends the names of the Optuna parameters where a space has several priors
    of the field, each under a condition of its own.

    Raises:
        ConfigError: the field is unknown or not to be searched, or a value is outside its range.
    """

    field: str
    kind: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    zero: bool = False
    choices: tuple[Any, ...] = ()
    when: tuple[str, Any] | None = None
    grid: tuple[Any, ...] = ()
    suffix: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", tuple(self.choices))
        object.__setattr__(self, "grid", tuple(self.grid))
        if self.when is not None and isinstance(self.when[1], list):
            object.__setattr__(self, "when", (self.when[0], tuple(self.when[1])))
        self._check_field()
        if self.numeric:
            self._check_bounds()
        else:
            self._check_choices()
        for value in (*self.choices, *self._bounds(), *((0.0,) if self.zero else ()), *self.grid):
            self._check_value(value)
        outside = [value for value in self.grid if not self.contains(value)]
        if outside:
            raise self._error(f"grid value {shown(outside[0])}: must be {self.range()}")

    @property
    def parameter(self) -> str:
        """The name of its Optuna parameter, or how the names of the two begin."""
        return f"{self.field}.{self.suffix}" if self.suffix else self.field

    @property
    def wanted(self) -> tuple[Any, ...]:
        """The values of the other field with any of which it is drawn; () = it always is."""
        if self.when is None:
            return ()
        return self.when[1] if isinstance(self.when[1], tuple) else (self.when[1],)

    def condition(self) -> str:
        """The condition in words: `model.head = embedding or buc`; empty if there is none."""
        return f"{self.when[0]} = {' or '.join(map(str, self.wanted))}" if self.when else ""

    @property
    def numeric(self) -> bool:
        """Whether the value is a number from a range rather than one of a list."""
        return self.kind != "categorical"

    def contains(self, value: Any) -> bool:
        """Whether the prior can draw this value."""
        if not self.numeric:
            return any(value == choice and type(value) is type(choice) for choice in self.choices)
        if isinstance(value, bool) or not isinstance(value, int if self.kind == "int" else int | float):
            return False
        low, high = self._bounds()
        return (self.zero and value == 0) or low <= value <= high

    def range(self) -> str:
        """The values in words: `0 or 0.003 to 1 (log)`, `one of linear, fixed`."""
        if not self.numeric:
            return "one of " + ", ".join(str(choice) for choice in self.choices)
        return f"{'0 or ' if self.zero else ''}{self.low:g} to {self.high:g}{' (log)' if self.log else ''}"

    def points(self) -> tuple[Any, ...]:
        """The values a grid takes: `grid`; else all choices, or up to five evenly spaced (0 first)."""
        if self.grid or not self.numeric:
            return self.grid or self.choices
        low, high = self._bounds()
        inner = [
            low * (high / low) ** (i / 4) if self.log else low + (high - low) * i / 4 for i in range(1, 4)
        ]
        if self.kind == "int":
            return tuple(sorted({int(low), *map(round, inner), int(high)}))
        return (*((0.0,) if self.zero else ()), float(low), *inner, float(high))

    def distributions(self, flat: bool) -> dict[str, BaseDistribution]:
        """Optuna parameter name to distribution, in the order they are suggested."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if not self.numeric:
            return {self.parameter: CategoricalDistribution(self.choices)}
        low, high = self._bounds()
        if self.kind == "int":
            return {self.parameter: IntDistribution(int(low), int(high), log=self.log)}
        if self.zero and flat:
            floor = low * (low / high) ** _ZERO_STRIP
            return {f"{self.parameter}.or_zero": FloatDistribution(floor, high, log=True)}
        switch = {f"{self.parameter}.used": CategoricalDistribution((True, False))} if self.zero else {}
        return {**switch, self.parameter: FloatDistribution(low, high, log=self.log)}

    def suggest(self, trial: BaseTrial, flat: bool) -> Any:
        """Draws the field's value from a trial."""
        from optuna.distributions import FloatDistribution, IntDistribution

        for name, distribution in self.distributions(flat).items():
            if isinstance(distribution, FloatDistribution):
                value: Any = trial.suggest_float(
                    name, distribution.low, distribution.high, log=distribution.log
                )
            elif isinstance(distribution, IntDistribution):
                value = trial.suggest_int(name, distribution.low, distribution.high, log=distribution.log)
            else:
                value = trial.suggest_categorical(name, self.choices or (True, False))
                if self.zero and not value:
                    return 0.0
        return 0.0 if self.zero and value < self._bounds()[0] else value

    def params(self, value: Any, flat: bool) -> dict[str, Any]:
        """The Optuna parameters that make `suggest` return `value`, which the prior must contain."""
        if self.kind == "float":
            value = float(value)
        if not self.zero:
            return {self.parameter: value}
        if flat:
            low, high = self._bounds()
            middle_of_strip = low * (low / high) ** (_ZERO_STRIP / 2)
            return {f"{self.parameter}.or_zero": value or middle_of_strip}
        switch = {f"{self.parameter}.used": bool(value)}
        return {**switch, self.parameter: value} if value else switch

    def _bounds(self) -> tuple[Any, ...]:
        """(low, high) of a number, () of a choice."""
        return (self.low, self.high) if self.numeric else ()

    def _error(self, message: str) -> ConfigError:
        return ConfigError(f"search space, {self.field}: {message}")

    def _check_field(self) -> None:
        check_field(self.field)
        if self.field in _NOT_SEARCHED:
            raise self._error(_NOT_SEARCHED[self.field])
        if ".synthetic." in self.field:
            raise self._error(_NOT_SEARCHED["data.dataset"])
        if self.suffix in _ENDINGS or (self.suffix and not self.suffix.isidentifier()):
            raise self._error(f"suffix = {shown(self.suffix)}: must be a word other than used and or_zero")
        if self.kind not in KINDS:
            raise self._error(f"kind = {shown(self.kind)}: must be one of {', '.join(KINDS)}")
        held = type(fields()[self.field].default).__name__
        if self.numeric and self.kind != held:
            fit = held if held in KINDS else "categorical"
            raise self._error(f"kind = {self.kind!r}: the field holds {held} values, so it must be {fit}")

    def _check_choices(self) -> None:
        different = len({repr(choice) for choice in self.choices})
        if different < 2 or different < len(self.choices):
            raise self._error(f"choices = {shown(list(self.choices))}: must be two or more different values")
        if self.low is not None or self.high is not None or self.log or self.zero:
            raise self._error("low, high, log and zero belong to numbers, not to choices")

    def _check_bounds(self) -> None:
        if self.choices:
            raise self._error("choices belong to kind categorical; numbers take low and high")
        for value in (self.low, self.high):
            if not isinstance(value, int | float):
                raise self._error(f"low = {shown(self.low)}, high = {shown(self.high)}: both must be numbers")
            self._check_value(value)
        low, high = self._bounds()
        if not low < high:
            raise self._error(f"low = {low!r}, high = {high!r}: low must be below high")
        if self.zero and not (self.log and self.kind == "float"):
            raise self._error("zero = true: must go with kind float and log = true")
        if self.log and low <= 0:
            raise self._error(f"low = {low!r}: must be > 0 where log = true (zero = true adds 0 itself)")

    def _check_value(self, value: Any) -> None:
        """Refuses what `Config` refuses, in its words: field, value and allowed range."""
        try:
            Config().replace(**{self.field: value})
        except ConfigError as error:
            raise self._error(str(error)) from None


def check_field(name: str) -> None:
    """Raises ConfigError, with the nearest names, where `Config` has no such dotted field."""
    known = fields()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        # A bare `lambda1` is nearest to nothing by spelling: the group in front outweighs it.
        near = [full for full in known if full.rsplit(".", 1)[-1] == name] or near
        mend = f"did you mean {', '.join(near)}?" if near else f"it must be one of {', '.join(known)}"
        raise ConfigError(f"search space: unknown field {shown(name)}: {mend}")

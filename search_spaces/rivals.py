"""The rivals in the same frame: every preset on one base, so that only the method differs.

`rivals` runs them on the base's own data, network, frames and epochs; in `rivals-published` each has the
budget that it was published with, save for what the user has changed in the base. A method's own fields
(`dcreid.presets`) are the same in both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dcreid.config import Config
from dcreid.presets import DBC_LAMBDA1, PRESETS, laid_over, settings_of

# Row to (preset, changes beyond it, what it is called).
RIVALS: dict[str, tuple[str, dict[str, Any], str]] = {
    "paper": ("paper", {}, "this method"),
    "recommended": ("recommended", {}, "this method as recommended"),
    "buc": ("buc", {}, "BUC"),
    "dbc": ("dbc", {}, "DBC as its code (λ not applied)"),
    "dbc_lambda1": ("dbc", {"merge.lambda1": DBC_LAMBDA1}, f"DBC with λ1 = {DBC_LAMBDA1} applied"),
    "oim": ("oim", {}, "OIM on single tracklets"),
}
RIVAL_PLANS = ("rivals", "rivals-published")
# Experiment to what it is called.
RIVAL_LABELS = {f"{plan}/{row}": called for plan in RIVAL_PLANS for row, (_, _, called) in RIVALS.items()}
# The experiments that are the base alone.
RIVAL_BASES = tuple(f"{plan}/paper" for plan in RIVAL_PLANS)


def rival_rows(plan: str, base: Config) -> Iterator[tuple[str, dict[str, Any]]]:
    """(experiment, changes to the base) of one of `RIVAL_PLANS`. Raises ConfigError."""
    published, held = plan == "rivals-published", base.flat()
    for row, (name, further, _) in RIVALS.items():
        own = laid_over(base, name, {**_changed(base, name), **further}, published=published).flat()
        yield f"{plan}/{row}", {field: value for field, value in own.items() if value != held[field]}


def _changed(base: Config, name: str) -> dict[str, Any]:
    """What the user has changed of a preset's budget: the same for all of them."""
    standard, held = settings_of(base.data.dataset).flat(), base.flat()
    return {field: held[field] for field in PRESETS[name].published if held[field] != standard[field]}

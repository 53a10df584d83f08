"""The full grid of a space, as an explicit list of points to enqueue.

A value that is 0 is one more point of its field, and a field whose condition does not hold does not
multiply: a head with two widths and three dropouts beside no head gives 1 + 2·3 points, not 12.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dcreid.config import ConfigError
from search_spaces.space import Space, holds

LIMIT = 100_000


def grid_size(space: Space) -> int:
    """How many points the grid has, counted without listing them."""
    known: dict[tuple[Any, ...], int] = {}

    def count(index: int, values: dict[str, Any]) -> int:
        if index == len(space.priors):
            return 1
        # Only what later conditions look at tells two partial points apart.
        asked = [prior.when[0] for prior in space.priors[index:] if prior.when]
        key = (index, *(values.get(field) for field in asked))
        if key not in known:
            prior = space.priors[index]
            if not holds(prior, values):
                known[key] = count(index + 1, values)
            elif any(later.when and later.when[0] == prior.field for later in space.priors[index:]):
                known[key] = sum(count(index + 1, {**values, prior.field: p}) for p in prior.points())
            else:
                known[key] = len(prior.points()) * count(index + 1, values)
        return known[key]

    return count(0, {})


def grid_points(space: Space) -> list[dict[str, Any]]:
    """Every point as dotted field to value, as `Space.draw` gives it; the last field turns fastest.

    Raises:
        ConfigError: more than `LIMIT` points.
    """
    size = grid_size(space)
    if size > LIMIT:
        raise ConfigError(
            f"search space {space.name!r}: its grid has {size:,} points, at most {LIMIT:,} are allowed: "
            f"fix some fields, or give shorter grids in a TOML file"
        )
    return list(_walk(space, 0, {}))


def _walk(space: Space, index: int, values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if index == len(space.priors):
        yield values
        return
    prior = space.priors[index]
    if not holds(prior, values):
        yield from _walk(space, index + 1, values)
        return
    for point in prior.points():
        yield from _walk(space, index + 1, {**values, prior.field: point})

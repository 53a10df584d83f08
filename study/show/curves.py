"""Learning curves drawn with block characters: one line for a table, or a picture of several."""

from __future__ import annotations

from collections.abc import Mapping

_BLOCKS = " ▁▂▃▄▅▆▇█"
_LEVELS = len(_BLOCKS) - 1


def sparkline(curve: Mapping[int, float], low: float, high: float, width: int) -> str:
    """Values by step 1, 2, … as blocks of eight heights between `low` and `high`.

    A step that was not measured is a blank; more than `width` steps share columns, the last of each
    group counting.
    """
    columns = _columns(curve, width)
    return "".join(" " if value is None else _block(value, low, high) for value in columns)


def picture(curve: Mapping[int, float], width: int, height: int) -> list[str]:
    """Values by step as bars over `height` lines, with a scale in percent and the steps below."""
    if not curve:
        return []
    low, high = _round_bounds(min(curve.values()), max(curve.values()))
    columns = _columns(curve, width - 7)
    wide = max(1, min(3, (width - 7) // len(columns)))
    lines = []
    for line in reversed(range(height)):
        filled = [0.0 if v is None else (v - low) / (high - low) * height - line for v in columns]
        bars = "".join(_BLOCKS[round(_LEVELS * min(1.0, max(0.0, part)))] * wide for part in filled)
        scale = {height - 1: high, 0: low}.get(line)
        lines.append(f"{'' if scale is None else f'{100 * scale:.0f}%':>5} ┤{bars}".rstrip())
    last = str(max(curve))
    gap = max(1, len(columns) * wide - len(last) - 1)
    lines.append(f"{'step':>5}  1{'':{gap}}{last}")
    return lines


def _columns(curve: Mapping[int, float], width: int) -> list[float | None]:
    last = max(curve, default=0)
    group = max(1, -(-last // max(1, width)))
    columns: list[float | None] = []
    for end in range(group, last + group, group):
        measured = [step for step in range(end - group + 1, end + 1) if step in curve]
        columns.append(curve[measured[-1]] if measured else None)
    return columns


def _block(value: float, low: float, high: float) -> str:
    share = (value - low) / (high - low) if high > low else 1.0
    return _BLOCKS[1 + round((_LEVELS - 1) * min(1.0, max(0.0, share)))]


def _round_bounds(low: float, high: float) -> tuple[float, float]:
    """The next whole percents outside, a bar's height apart at least."""
    floor = int(100 * low) / 100
    ceiling = -(-round(10000 * high) // 100) / 100
    return floor, max(ceiling, floor + 0.01)

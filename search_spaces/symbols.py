"""The paper's symbols for configuration fields, and how values of fields are written."""

from __future__ import annotations

from typing import Any

SYMBOLS = {
    "merge.lambda1": "λ1",
    "merge.lambda2": "λ2",
    "merge.merge_rate": "pm",
    "train.temperature": "τ",
    "train.alpha": "α",
    "train.alpha_schedule": "α schedule",
}


def symbol(field: str) -> str:
    """λ1 for merge.lambda1; a field without a symbol goes by the last part of its name."""
    return SYMBOLS.get(field, field.rsplit(".", 1)[-1])


def value_text(value: Any) -> str:
    """Three digits of a float, the text of anything else."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)

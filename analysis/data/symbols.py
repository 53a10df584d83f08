"""The paper's symbols for configuration fields, for tables and (as mathtext) for axes."""

from __future__ import annotations

from typing import Any

_WORDS = {
    "merge.lambda1": "λ1",
    "merge.lambda2": "λ2",
    "merge.merge_rate": "pm",
    "train.temperature": "τ",
    "train.alpha": "α",
    "train.alpha_schedule": "α schedule",
}
_MATHTEXT = {
    "merge.lambda1": r"$\lambda_1$",
    "merge.lambda2": r"$\lambda_2$",
    "merge.merge_rate": "$pm$",
    "train.temperature": r"$\tau$",
    "train.alpha": r"$\alpha$",
    "train.alpha_schedule": r"$\alpha$ schedule",
}
# The criteria of Table 1: experiment and name.
CRITERIA = (
    ("table1/baseline", "baseline (λ1 = λ2 = 0)"),
    ("table1/lambda1", "baseline + λ1"),
    ("table1/lambda1_lambda2", "baseline + λ1 + λ2"),
)
# Optuna's parameters beside a field's own: whether it is above 0, and the two in one (`search_spaces.prior`).
_SUFFIXES = {".used": " used", ".or_zero": ""}


def symbol(field: str, *, math: bool = False) -> str:
    """λ1 for merge.lambda1; fields without a symbol go by their last name."""
    for suffix, words in _SUFFIXES.items():
        if field.endswith(suffix):
            return symbol(field.removesuffix(suffix), math=math) + words
    known = _MATHTEXT if math else _WORDS
    return known.get(field, field.rsplit(".", 1)[-1].replace("_", " "))


def value(of: Any) -> str:
    """Three digits for a float, the text of anything else."""
    return f"{of:.3g}" if isinstance(of, float) else str(of)

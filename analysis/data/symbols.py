"""The paper's symbols for fields and for Optuna's parameters, for tables and (as mathtext) for axes."""

from __future__ import annotations

from search_spaces import symbols

_MATHTEXT = {
    "λ1": r"$\lambda_1$",
    "λ2": r"$\lambda_2$",
    "pm": "$pm$",
    "τ": r"$\tau$",
    "α": r"$\alpha$",
    "α schedule": r"$\alpha$ schedule",
}
# Optuna's parameters beside a field's own: whether it is above 0, and the two in one (`search_spaces.prior`).
_SUFFIXES = {".used": " used", ".or_zero": ""}


def symbol(parameter: str, *, math: bool = False) -> str:
    """λ1 for merge.lambda1; fields without a symbol go by their last name."""
    for suffix, words in _SUFFIXES.items():
        if parameter.endswith(suffix):
            return symbol(parameter.removesuffix(suffix), math=math) + words
    text = symbols.symbol(parameter).replace("_", " ")
    return _MATHTEXT.get(text, text) if math else text

"""The paper's symbols for fields and for Optuna's parameters, for tables and (as mathtext) for axes."""

from __future__ import annotations

from functools import cache

from dcreid.config import fields
from search_spaces import symbols

_MATHTEXT = {
    "λ1": r"$\lambda_1$",
    "λ2": r"$\lambda_2$",
    "pm": "$pm$",
    "τ": r"$\tau$",
    "α": r"$\alpha$",
    "α schedule": r"$\alpha$ schedule",
}


@cache
def symbol(parameter: str, *, math: bool = False) -> str:
    """λ1 for merge.lambda1; fields without a symbol go by their last name."""
    parameter = parameter.removesuffix(".or_zero")  # a weight and whether it is above 0 in one
    field = next((name for name in fields() if parameter.startswith(f"{name}.")), parameter)
    text = symbols.symbol(field).replace("_", " ")
    ending = parameter.removeprefix(field).replace(".", " ")  # see `search_spaces.prior`
    return (_MATHTEXT.get(text, text) if math else text) + ending

"""Symbols of Optuna's parameters, in words and as mathtext."""

from __future__ import annotations

import pytest

from analysis.data.symbols import symbol
from search_spaces.symbols import SYMBOLS


@pytest.mark.parametrize(
    ("parameter", "words", "math"),
    [
        ("merge.lambda1", "λ1", r"$\lambda_1$"),
        ("merge.lambda1.used", "λ1 used", r"$\lambda_1$ used"),
        ("merge.lambda2.or_zero", "λ2", r"$\lambda_2$"),
        ("train.later_lr", "later lr", "later lr"),
        ("train.memory_init.anew", "memory init anew", "memory init anew"),
        ("merge.lambda1.jaccard.or_zero", "λ1 jaccard", r"$\lambda_1$ jaccard"),
    ],
)
def test_parameters(parameter: str, words: str, math: str):
    assert symbol(parameter) == words and symbol(parameter, math=True) == math


def test_every_symbol_has_mathtext():
    assert all(symbol(field, math=True).count("$") == 2 for field in SYMBOLS)

"""The paper's symbols are those of fields that there are."""

from __future__ import annotations

from dcreid.config import fields
from search_spaces.symbols import SYMBOLS, symbol, value_text


def test_every_symbol_is_of_a_field():
    assert SYMBOLS.keys() <= fields().keys() and len(set(SYMBOLS.values())) == len(SYMBOLS)


def test_fields_without_a_symbol_go_by_their_last_name():
    assert [symbol(name) for name in ("merge.lambda1", "train.later_lr")] == ["λ1", "later_lr"]


def test_values_have_three_digits():
    assert [value_text(value) for value in (0.0123456, 0.5, 3, "linear")] == ["0.0123", "0.5", "3", "linear"]

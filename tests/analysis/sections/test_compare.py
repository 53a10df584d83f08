"""Two studies side by side: pairs by what was run, differences by seed."""

from __future__ import annotations

import pytest
from scipy import stats

from analysis.data.results import load
from analysis.sections.compare import _pairs, compared, comparison


def scored(offset: float):
    """A value for every seed; the offset is a difference with a spread of its own."""
    return lambda config, step: 0.2 + 0.05 * step + 0.01 * config.seed + offset * (1 + 0.1 * config.seed)


@pytest.fixture
def two(make):
    """A and B: another temperature, four and three seeds, B better by 2 to 2.4 points."""
    first = make("duke", name="first", experiments="fig3")
    first.run_plan(4, scored(0.0))
    second = make(
        "duke", name="second", experiments="fig3", base=first.base.replace(**{"train.temperature": 0.2})
    )
    second.run_plan(3, scored(0.02))
    return load([first.folder]), load([second.folder])


def test_the_difference_is_paired_by_the_seeds_that_both_ran(two):
    table = compared(list(_pairs(two[0].groups[0], two[1].groups[0])))
    row = next(row for row in table.rows if row[1:3] == ("last", "mAP"))
    differences = [2.0, 2.2, 2.4]
    assert row[3:7] == ("36.5 ± 2.1", "38.2 ± 3.0", "+2.2 ± 0.5", "3")
    values = table.numbers.set_index(["at", "measure"]).loc["last", "mAP"]
    alone = stats.ttest_1samp(differences, 0).pvalue
    assert values["difference"] == pytest.approx(2.2)
    assert values["p_holm"] == pytest.approx(2 * alone)  # mAP and rank-1 at the last step: two tests
    assert "corrected for the 2 tests" in table.caption


def test_the_section_says_what_differs(two):
    text = comparison(*two).body
    assert "A: first. B: second" in text
    assert "temperature" in text.lower() or "τ" in text
    assert "A and B differ in" not in text


def test_other_data_and_galleries_are_named(two, make):
    other = make("mars", name="other", experiments="fig3")
    other.run_plan(1, scored(0.0))
    described = other.folder / "study.json"
    described.write_text(described.read_text().replace("f" * 16, "e" * 16).replace("c" * 16, "d" * 16))
    text = comparison(two[0], load([other.folder])).body
    assert "A and B differ in data and code" in text


def test_equal_studies_differ_in_nothing(two):
    text = comparison(two[0], two[0]).body
    assert "nothing" in text and "0.0" in text

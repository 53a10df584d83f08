"""The table of claims: what stands in which row, and what its caption says."""

from __future__ import annotations

import io

import pandas as pd
import pytest

from analysis.data.results import Group, load
from analysis.page.typeset import Table, csv, latex, markdown, p_value
from analysis.stats.claims_table import claims_table
from analysis.stats.findings import findings
from dcreid.config import Config
from dcreid.presets import laid_over, settings_of


def score(config: Config, step: int) -> float:
    """A fixed α loses 3 points, give or take what the seed makes of them; λ1 is worth nothing."""
    wobble = 0.001 * (config.seed * 7 % 5) + 0.004 * (config.seed * 5 % 3) * (config.merge.lambda1 == 0)
    return 0.3 + 0.01 * step - (0.03 + wobble) * (config.train.alpha_schedule == "fixed") + wobble


def table_of(*studies) -> tuple[Table, Group]:
    groups = load([study.folder for study in studies]).groups
    return claims_table(findings(groups), groups[0]), groups[0]


@pytest.fixture
def tables_run(make):
    study = make("duke", experiments="tables")
    study.run_plan(3, score, lambda config, step: {"unlabelled": -abs(step - 2)})
    return study


def cells(table: Table, claim: str) -> dict[str, dict[str, str]]:
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows if row[0].startswith(claim)]
    return {row["step"]: row for row in rows}


def test_steps_stand_below_each_other_and_the_papers_number_beside_the_best(tables_run):
    table, _ = table_of(tables_run)
    rows = cells(table, "growing α beats fixed")
    assert list(rows) == ["best", "last", "selected"]
    assert [row["paper"] for row in rows.values()] == ["MARS +1.8, Duke +0.2", "–", "–"]
    assert rows["best"]["this study"] == "not judged" and rows["best"]["p"] == rows["best"]["p (Holm)"] == "–"
    assert rows["best"]["mAP trapezoid"] == rows["last"]["mAP trapezoid"] and rows["last"]["seeds"] == "3"
    assert "not run" in cells(table, "λ1 = 0.06 is best")["–"]["this study"]
    assert cells(table, "λ1 = 0.06 is best")["–"]["paper"] == "curve only"
    assert cells(table, "τ = 0.1 is best")["last"]["contrast"].startswith("over τ = ")
    assert rows["last"]["contrast"] == "–" and all(cell for row in table.rows for cell in row)


def test_both_p_are_shown_and_the_caption_counts_the_tests(tables_run):
    table, group = table_of(tables_run)
    found = {(f.claim.text, f.at): f for f in findings([group])}
    finding, row = found["growing α beats fixed", "last"], cells(table, "growing α beats fixed")["last"]
    assert finding.p < finding.holm and row["p"] == p_value(finding.p) != row["p (Holm)"]
    assert row["p (Holm)"] == p_value(finding.holm)
    tested = sum(f.is_tested for f in found.values())
    # three claims of Tables 1 and 2, at two steps, and as far as they have a spread those of Table 3
    assert tested >= 4 and f"corrected for the {tested} tests of this page" in table.caption
    assert f"(0.05/{tested})" in table.caption and "diverged" not in table.caption


def test_numbers_are_those_of_the_findings(tables_run):
    table, group = table_of(tables_run)
    numbers = pd.read_csv(io.StringIO(csv(table))).set_index(["claim", "at"])
    found = {(f.claim.text, f.at): f for f in findings([group])}
    row, finding = numbers.loc[("growing α beats fixed", "last")], found["growing α beats fixed", "last"]
    assert row["mAP_trapezoid"] == pytest.approx(finding.difference.mean)
    assert row["p_holm"] == pytest.approx(finding.holm) and row["tests"] == finding.tests
    assert row["paper_MARS"] == pytest.approx(1.8) and row["paper_Duke"] == pytest.approx(0.2)
    for render in (markdown, latex):
        assert "nan" not in render(table)


def test_a_group_has_its_own_rows_under_the_correction_for_all(tables_run, make):
    other = make("mars", "other", experiments="table2")
    other.run_plan(3, score)
    both, _ = table_of(tables_run, other)
    alone, _ = table_of(tables_run)
    assert [row[:2] for row in both.rows] == [row[:2] for row in alone.rows]
    assert both.caption != alone.caption


def test_another_presets_runs_and_diverged_ones_are_said_in_the_caption(make):
    base = laid_over(settings_of("mars"), "buc")
    study = make("mars", base=base, preset="buc", experiments="table2")
    study.run_plan(2, score)
    study.trial(base.replace(seed=2), score, state="diverged", steps=1, labels=("table2/fixed",))
    study.trial(
        base.replace(**{"seed": 2, "train.alpha_schedule": "linear"}), score, labels=("table2/linear",)
    )
    table, _ = table_of(study)
    assert "these runs vary the preset buc" in table.caption and "counts as 0 from there on" in table.caption
    assert "table2/fixed: 1 of 3 diverged" in cells(table, "growing α beats fixed")["last"]["this study"]

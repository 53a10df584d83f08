"""What an experiment measured: over seeds and over people, in cells, numbers, captions and points."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from analysis.data.people import contrast_over_people, interval, over_people
from analysis.data.results import load
from analysis.data.runs import runs, runs_of
from analysis.page.typeset import csv
from analysis.stats.measures import OverPeople, point
from analysis.tables import tables
from search_spaces.paper import FINAL

OVER = ("rank-1 [over people]", "mAP [over people]")


def with_queries(study, seeds: int = 2) -> None:
    """A plan whose runs have kept their queries: people differ, runs differ a little."""
    study.run_plan(seeds)
    easy = np.random.default_rng(0).random(20)
    for record in study.ledger.trials.values():
        rng = np.random.default_rng(record.number + 1)
        values = np.clip(np.repeat(easy, 4) * 0.6 + 0.1 * rng.random(80), 0, 1)
        first = 1 + (rng.random(80) > np.repeat(easy, 4))
        steps = range(4)
        study.keep_queries(
            record.number,
            np.repeat(np.arange(20), 4),
            dict.fromkeys(steps, values),
            dict.fromkeys(steps, first),
        )


def rows_of(table) -> list[dict[str, str]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def test_tables_have_intervals_over_people_beside_those_over_seeds(make):
    study = make("duke", experiments="table1")
    with_queries(study)
    group = load([study.folder]).groups[0]
    found, named = runs(group), {table.name: table for table in tables(group)}
    for name, row in (("table1", 5), ("table5", -1)):
        table = named[name]
        last = rows_of(table)[row]
        ends = interval(over_people(runs_of(found, FINAL), "mAP", "last"))
        assert last["mAP [over people]"] == f"[{ends[0]:.1f}, {ends[1]:.1f}]" and ends[1] > ends[0] + 1
        ends = interval(over_people(runs_of(found, FINAL), "rank1", "last"))
        assert last["rank-1 [over people]"] == f"[{ends[0]:.1f}, {ends[1]:.1f}]"
        assert "over seeds: another training" in table.caption
        assert "over people: other test persons (95 % interval of 2,000 resamples" in table.caption
    values = pd.read_csv(io.StringIO(csv(named["table1"]))).set_index(["experiment", "at"])
    assert values.loc[
        ("table1/lambda1_lambda2", "last"), ["rank1_people_low", "rank1_people_high"]
    ].tolist() == pytest.approx(ends)
    assert [row[name] for row in rows_of(named["table2"])[:1] for name in OVER] == ["–", "–"]  # not run


def test_studies_of_older_code_have_no_such_columns(make):
    study = make("duke", experiments="table1")
    study.run_plan(2)
    for table in tables(load([study.folder]).groups[0]):
        assert not [name for name in table.columns if "people" in name] and "people" not in table.caption
    assert "over seeds: another training" in next(tables(load([study.folder]).groups[0])).caption


def test_gains_are_of_the_same_people(make):
    study = make("duke", experiments="leak_audit")
    with_queries(study)
    group = load([study.folder]).groups[0]
    (table,) = [table for table in tables(group) if table.name == "leak_audit"]
    rows = rows_of(table)
    assert [rows[0][name] for name in ("Δ mAP trapezoid", "p (Holm)", "Δ [over people]")] == ["–", "–", "–"]
    contrast = {"leak_audit/zero_rows": 1.0, "leak_audit/right": -1.0}
    low, high = interval(contrast_over_people(contrast, runs(group), "mAP_trapezoid", "last"))
    (row,) = [each for each in rows if each["variant"].endswith("start at zero") and each["step"] == "last"]
    assert row["Δ [over people]"] == OverPeople(low, high).text(signed=True)
    alone = [float(end) for end in row["mAP [over people]"].strip("[]").split(", ")]
    assert high - low < 0.5 * (alone[1] - alone[0])  # who is easy, is easy for both
    assert "and, over people, by person" in table.caption
    numbers = table.numbers.set_index(["experiment", "at"])
    assert numbers.gain_people_low["leak_audit/zero_rows", "last"] == pytest.approx(low)


def test_ends_in_words():
    assert OverPeople(-0.26, 41.0).text() == "[−0.3, 41.0]"
    assert OverPeople(-0.26, 41.0).text(signed=True) == "[−0.3, +41.0]"
    assert OverPeople(float("nan"), float("nan")).text() == "–"


def test_a_point_has_every_seed_and_both_ends(make):
    study = make("duke", experiments="table1")
    with_queries(study, seeds=3)
    found = runs_of(runs(load([study.folder]).groups[0]), FINAL)
    for at in ("untrained", "last", "best"):
        of = point(found, "mAP", at)
        assert of.mean == pytest.approx(np.mean([run.value("mAP", at) for run in found]))
        assert of.seeds.index.tolist() == [0, 1, 2] and of.seeds[1] == found[1].value("mAP", at)
        assert (of.low, of.high) == interval(over_people(found, "mAP", at))
    nothing = point(found, "mAP", "selected")
    assert np.isnan([nothing.mean, nothing.low]).all() and nothing.seeds.isna().all()


def test_what_is_not_significantly_below_the_best_is_bold(make):
    """Both weights end ten points above the rest; no weight has the highest step, before it falls."""
    study = make("duke", experiments="table1")
    rng = np.random.default_rng(0)

    def score(config, step):
        both = config.merge.lambda2 == study.base.merge.lambda2
        high = 0.5 if config.merge.lambda1 == 0 and step == 2 else 0.3 + 0.1 * both
        return high + 0.01 * config.seed + 0.002 * rng.random()

    study.run_plan(3, score)
    table = next(tables(load([study.folder]).groups[0]))
    bold = {(table.rows[i][:2], table.columns[j]) for i, j in table.bold}
    best = {("baseline (λ1 = λ2 = 0)", "best"), ("baseline + λ1 + λ2", "last")}
    assert bold == {(row, name) for row in best for name in ("rank-1", "mAP trapezoid", "mAP")}
    assert "Bold: not significantly below the best of its column and step (5 %)" in table.caption
    few = make("duke", name="few", experiments="table1")
    few.run_plan(2)
    table = next(tables(load([few.folder]).groups[0]))
    assert not table.bold and "None is bold as best: that takes 3 common seeds or more." in table.caption

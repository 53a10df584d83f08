"""What let wrong joins through: joins made up by hand, and the tables and pictures made of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from analysis.data.results import load
from analysis.data.runs import runs
from analysis.figures.joins import CAUSES, final_joins_figure, joins_figure, joins_of, joins_table, judged
from dcreid.config import Config
from dcreid.evaluation.joins import RIGHT, UNKNOWN, WRONG, Joins
from study.record.storage import Storage
from study.record.trial_tables import joins_table as table_of
from study.record.trial_tables import load_joins, save_joins

NAN = math.nan
# inter, intra, size, right, one camera, the missed join's inter, intra, size
JOINS = [
    (0.5, 0.0, 2, RIGHT, 1, NAN, NAN, NAN),
    (0.5, 0.0, 2, WRONG, 1, 0.7, 0.0, 2),  # strangers nearer
    (0.6, 1.0, 2, WRONG, 0, 0.5, 4.0, 2),  # strangers tighter: 0.06 · 3 against -0.1
    (0.6, 1.0, 2, WRONG, 0, 0.59, 1.0, 22),  # strangers in smaller classes: 0.003 · 20 against -0.01
    (0.6, 1.0, 2, WRONG, 0, NAN, NAN, NAN),
]


def joins_of_step(rows: list[tuple[float, ...]] = JOINS) -> Joins:
    columns = torch.tensor(rows, dtype=torch.float32).T
    whole = torch.arange(len(rows), dtype=torch.int32)
    inter, intra, size, right, one_camera, *missed = columns
    return Joins(
        whole, whole + 1, inter, intra, size, right.to(torch.int32), one_camera.to(torch.int32), *missed
    )


def test_the_cause_is_the_term_that_did_most() -> None:
    table = judged(table_of([joins_of_step(), joins_of_step()]), Config().merge)
    assert table["step"].tolist() == [1] * 5 + [2] * 5
    assert table["cause"].tolist() == ["", "inter", "intra", "size", "none"] * 2
    assert table["by_intra"][2] == pytest.approx(0.18) and table["by_size"][3] == pytest.approx(0.06)
    margin = table[["by_inter", "by_intra", "by_size"]].sum(axis=1, skipna=False)
    assert (margin[1:4] > 0).all() and margin[[0, 4]].isna().all()


def test_without_penalties_only_the_distance_can_be_the_cause() -> None:
    free = Config().replace(**{"merge.lambda1": 0.0, "merge.lambda2": 0.0}).merge
    assert set(judged(table_of([joins_of_step()]), free)["cause"]) == {"", "inter", "none"}


def test_tables_come_back_as_they_were_saved(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    assert load_joins(storage) is None
    save_joins(storage, [joins_of_step()])
    pd.testing.assert_frame_equal(load_joins(storage), table_of([joins_of_step()]))
    pd.DataFrame({"step": [1]}).to_parquet(tmp_path / "joins.parquet")  # of another version
    assert load_joins(storage) is None


@pytest.fixture
def recorded(make: Callable[..., Any]) -> Any:
    """Table 1 on two seeds, joins kept for both seeds of the baseline and one of the final setting."""
    made = make("duke", experiments="table1")
    made.run_plan(seeds=2)
    for record in made.ledger.trials.values():
        if "table1/baseline" in record.labels or (record.seed == 0 and "table1/lambda1" not in record.labels):
            save_joins(Storage(str(made.folder / "trials" / f"{record.number:04d}")), [joins_of_step()])
    return load([made.folder]).groups[0]


def test_shares_over_seeds(recorded: Any) -> None:
    table = joins_table(runs(recorded), recorded)
    by_name = {row[0]: row[1:] for row in table.rows}
    assert by_name["baseline (λ1 = λ2 = 0)"][:2] == ("2", "80.0 ± 0.0")
    assert by_name["baseline + λ1"][:2] == ("0", "not recorded")
    assert by_name["baseline + λ1 + λ2"] == ("1", "80.0", "25.0", "25.0", "25.0", "25.0", "0.0", "75.0")
    assert table.numbers["cause_inter"].tolist() == [75.0, 25.0]


def test_what_is_missing_is_said(make: Callable[..., Any]) -> None:
    made = make("duke", experiments="fig4")
    made.trial(made.base, labels=("fig3/final",))
    group = load([made.folder]).groups[0]
    assert joins_of(runs(group)[0]) is None
    assert final_joins_figure(runs(group)) == "not recorded"
    assert [row[2] for row in joins_table(runs(group), group).rows] == ["not run", "not run", "not recorded"]


def test_without_identities_nothing_is_judged(recorded: Any) -> None:
    blind = [(*row[:3], UNKNOWN, row[4], NAN, NAN, NAN) for row in JOINS]
    table = judged(table_of([joins_of_step(blind)]), Config().merge)
    assert set(table["cause"]) == {""}
    assert joins_figure([table]) == "the training tracklets have no identities"
    first = recorded.studies[0]
    for number in range(len(first.trials)):
        save_joins(first.storage(number), [joins_of_step(blind)])
    assert {row[2] for row in joins_table(runs(recorded), recorded).rows} == {"–"}


def test_bars_are_means_over_runs(recorded: Any) -> None:
    one, other = (judged(table_of([joins_of_step()] * steps), Config().merge) for steps in (2, 1))
    figure = joins_figure([one, other])
    assert not isinstance(figure, str)
    identity, camera, cause = figure.axes
    heights = [[bar.get_height() for bar in stack] for stack in identity.containers]
    assert heights == [[1.0, 0.5], [4.0, 2.0]]
    assert sum(bar.get_height() for stack in camera.containers for bar in stack) == 7.5
    assert [text.get_text() for text in cause.get_legend().get_texts()] == [
        name for _, name in CAUSES.values()
    ]
    assert not isinstance(final_joins_figure(runs(recorded)), str)

"""What let wrong joins through: joins made up by hand, and the table made of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_joins import JOINS, NAN, joins_of_step

from analysis.data.results import load
from analysis.data.runs import runs
from analysis.stats.joins import MADE_ANEW, by_step, joins_of, joins_table, with_causes
from dcreid.config import Config
from dcreid.evaluation.joins import RIGHT, UNKNOWN, WRONG
from dcreid.presets import settings_of
from study.record.storage import Storage
from study.record.trial_tables import joins_table as table_of
from study.record.trial_tables import load_joins, save_joins

STAMP = {"study": "ours", "configuration": "this"}


def test_the_cause_is_the_term_that_did_most() -> None:
    table = with_causes(table_of([joins_of_step(), joins_of_step()]), Config().merge)
    assert table["step"].tolist() == [1] * 5 + [2] * 5
    assert table["cause"].tolist() == ["", "inter", "intra", "size", "none"] * 2
    assert table["by_intra"][2] == pytest.approx(0.18) and table["by_size"][3] == pytest.approx(0.06)
    margin = table[["by_inter", "by_intra", "by_size"]].sum(axis=1, skipna=False)
    assert (margin[1:4] > 0).all() and margin[[0, 4]].isna().all()


def test_without_penalties_only_the_distance_can_be_the_cause() -> None:
    free = Config().replace(**{"merge.lambda1": 0.0, "merge.lambda2": 0.0}).merge
    assert set(with_causes(table_of([joins_of_step()]), free)["cause"]) == {"", "inter", "none"}


def test_tables_come_back_as_they_were_saved(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    assert load_joins(storage, STAMP) is None
    save_joins(storage, [joins_of_step()], STAMP)
    pd.testing.assert_frame_equal(load_joins(storage, STAMP), table_of([joins_of_step()]))
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "joins.parquet"), load_joins(storage, STAMP))
    pd.DataFrame({"step": [1]}).to_parquet(tmp_path / "joins.parquet")  # of another version
    assert load_joins(storage, STAMP) is None
    table_of([joins_of_step()]).to_parquet(tmp_path / "joins.parquet")  # of older code, which says nothing
    assert load_joins(storage, STAMP) is not None


@pytest.mark.parametrize("damage", ["cut", "empty", "one bit", "another value"])
def test_a_damaged_table_is_left_out_by_name(tmp_path: Path, damage: str, caplog: Any) -> None:
    storage, path = Storage(str(tmp_path)), tmp_path / "joins.parquet"
    save_joins(storage, [joins_of_step()], STAMP)
    content = path.read_bytes()
    if damage == "another value":
        table = pq.read_table(path)
        inter = pa.array(table["inter"].to_numpy() * 1.01)
        pq.write_table(table.set_column(table.column_names.index("inter"), "inter", inter), path)
    else:
        flipped = content[:40] + bytes([content[40] ^ 1]) + content[41:]
        path.write_bytes({"cut": content[:-9], "empty": b"", "one bit": flipped}[damage])
    assert load_joins(storage, STAMP) is None
    assert f"{tmp_path}/joins.parquet " in caplog.text and "is left out" in caplog.text


def test_a_table_of_another_trial_is_left_out_by_name(tmp_path: Path, caplog: Any) -> None:
    save_joins(Storage(str(tmp_path)), [joins_of_step()], STAMP)
    assert load_joins(Storage(str(tmp_path)), STAMP | {"configuration": "that"}) is None
    assert "joins.parquet is of another configuration and is left out" in caplog.text


def test_shares_over_seeds(recorded: Any) -> None:
    table = joins_table(runs(recorded), recorded)
    by_name = {row[0]: row[1:] for row in table.rows}
    assert by_name["baseline (λ1 = λ2 = 0)"][:2] == ("2", "80.0, 80.0")
    assert by_name["baseline + λ1"][:2] == ("0", "not recorded")
    assert by_name["baseline + λ1 + λ2"] == ("1", "80.0", "25.0", "25.0", "25.0", "25.0", "0.0", "75.0")
    assert table.numbers["cause_inter"].tolist() == [75.0, 25.0]


def test_counts_by_step_are_means_over_runs() -> None:
    one, other = (with_causes(table_of([joins_of_step()] * steps), Config().merge) for steps in (2, 1))
    kinds = {
        "right": {"right": RIGHT},
        "wrong, one camera": {"right": WRONG, "one_camera": 1},
        "none": {"cause": 9},
    }
    counts = by_step([one, other], kinds)
    assert counts.index.tolist() == [1, 2]
    assert counts.to_dict("list") == {
        "right": [1.0, 0.5],
        "wrong, one camera": [1.0, 0.5],
        "none": [0.0, 0.0],
    }


def test_what_is_missing_is_said(make: Callable[..., Any]) -> None:
    made = make("duke", experiments="fig4")
    made.trial(made.base, labels=("fig3/final",))
    group = load([made.folder]).groups[0]
    assert joins_of(runs(group)[0]) is None
    assert [row[2] for row in joins_table(runs(group), group).rows] == ["not run", "not run", "not recorded"]


def test_classes_made_anew_have_no_joins(make: Callable[..., Any], tmp_path: Path) -> None:
    made = make("duke", base=settings_of("duke").replace(**{"merge.method": "anew"}), experiments="fig4")
    made.trial(made.base, labels=("fig3/final",))
    group = load([made.folder]).groups[0]
    told = [row[1:3] for row in joins_table(runs(group), group).rows]
    assert told == [("0", "not run"), ("0", "not run"), ("0", MADE_ANEW)]
    nothing = joins_of_step([])
    assert len(with_causes(table_of([nothing] * 2), made.base.merge)) == 0
    save_joins(Storage(str(tmp_path)), [nothing] * 2, STAMP)
    assert not list(tmp_path.glob("*.parquet"))
    save_joins(Storage(str(tmp_path)), [nothing, joins_of_step()], STAMP)
    assert load_joins(Storage(str(tmp_path)), STAMP)["step"].tolist() == [2] * 5


def test_without_identities_nothing_is_judged(recorded: Any) -> None:
    blind = [(*row[:3], UNKNOWN, row[4], NAN, NAN, NAN) for row in JOINS]
    table = with_causes(table_of([joins_of_step(blind)]), Config().merge)
    assert set(table["cause"]) == {""}
    first = recorded.studies[0]
    for number in range(len(first.trials)):
        save_joins(first.storage(number), [joins_of_step(blind)], {})
    assert {row[2] for row in joins_table(runs(recorded), recorded).rows} == {"–"}

"""The study folder: one driver at a time, self-describing, and a table that pandas opens as is."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dcreid.config import Config, fields
from dcreid.data import load_dataset
from study.errors import StudyError
from study.record.folder import check_same, describe, locked, read_plan, write_description
from study.record.results import results_table, write_results


@pytest.fixture
def study(plan_of, play, data):
    """A study that has run."""
    plan = plan_of("--samples", "5")
    session = play(plan)
    write_description(plan.folder, describe(plan, data, "python study/run.py --name study"))
    write_results(plan.folder, session.ledger, "last")
    return session


def test_the_table_has_a_row_per_step_with_types_that_do_not_depend_on_gaps(study):
    table = pd.read_parquet(study.plan.folder / "results.parquet")
    rows = [(t.number, step) for t in study.ledger.trials.values() for step in t.steps]
    assert list(zip(table.trial, table.step, strict=True)) == rows
    assert table[["trial", "seed"]].dtypes.eq("int64").all()
    assert table[["step", "total_steps"]].dtypes.eq("Int64").all()
    assert table.gpu_memory_bytes.isna().all() and table.gpu_memory_bytes.dtype == "Int64"
    for name in ("mAP", "loss", "purity", "seconds_train", "config.merge.lambda1"):
        assert table[name].dtype == np.float64, name
    assert table["config.train.compile"].dtype == "boolean"
    assert {f"config.{name}" for name in fields()} <= set(table.columns)
    assert "training_iteration" not in table and "problems" not in table


def test_the_table_tells_best_so_far_and_state(study):
    table = results_table("study", list(study.ledger.trials.values()), "last")
    for _, rows in table.groupby("trial"):
        assert rows.best_mAP.iloc[1:].tolist() == rows["mAP"].iloc[1:].cummax().tolist()
        assert pd.isna(rows.best_mAP.iloc[0]) and pd.isna(rows.best_step.iloc[0])
    states = {t.number: t.state for t in study.ledger.trials.values()}
    assert table.groupby("trial").state.first().to_dict() == states


def test_a_table_of_nothing_has_its_columns(tmp_path: Path, study):
    table = results_table("s", [], "last")
    full = results_table("s", list(study.ledger.trials.values()), "last")
    assert not len(table) and list(table.columns.sort_values()) == list(full.columns.sort_values())
    assert table.dtypes.sort_index().equals(full.dtypes.sort_index())


def test_a_trial_that_fails_before_its_first_report_has_a_row(plan_of, open_session):
    session = open_session(plan_of("--samples", "3"))
    for tune_id in ("a", "b"):
        session.ask(tune_id)
    session.failed("a", "its worker process died")
    write_results(session.plan.folder, session.ledger, "last")
    table = pd.read_parquet(session.plan.folder / "results.parquet")
    (row,) = table.itertuples()
    assert (row.trial, row.state, row.reason) == (0, "failed", "its worker process died")
    assert pd.isna(row.step) and pd.isna(row.total_steps) and pd.isna(row.mAP)
    assert table.dtypes.sort_index().equals(results_table("s", [], "last").dtypes.sort_index())


def test_study_json_describes_itself(study, data):
    output = json.loads((study.plan.folder / "study.json").read_text())
    assert output["commands"] == ["python study/run.py --name study"]
    assert Config.from_dict(output["plan"]["base"]) == study.plan.config
    assert output["dataset"]["fingerprint"] == data.fingerprint()
    assert output["dataset"]["train_tracklets"] == len(data.train)
    assert output["packages"]["torch"] and output["packages"]["optuna"] and output["python"]
    assert output["hardware"]["cpus"] == os.cpu_count() and "gpus" in output["hardware"]
    assert {"git", "code", "created"} <= set(output)


def test_every_sessions_command_is_kept(study, data):
    plan = study.plan
    before = json.loads((plan.folder / "study.json").read_text())
    write_description(plan.folder, describe(plan, data, "python study/run.py --resume study"))
    output = json.loads((plan.folder / "study.json").read_text())
    assert output["commands"] == ["python study/run.py --name study", "python study/run.py --resume study"]
    assert output["created"] == before["created"]


def test_the_same_study_is_accepted(study, plan_of, data):
    assert check_same(study.plan.folder, plan_of("--samples", "9"), data) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--lambda1", "0.5", "--space", "alpha"), "merge.lambda1 0.06 there, 0.5 here"),
        (("--sampler", "gp"), "sampler tpe there, gp here"),
        (("--objective", "best"), "objective last there, best here"),
        (("--space", "alpha"), "another search space"),
        (("--plan", "table1"), "holds another study"),
    ],
)
def test_another_study_of_that_name_is_refused_with_the_difference(study, plan_of, data, options, said):
    with pytest.raises(StudyError, match="use another --name") as refused:
        check_same(study.plan.folder, plan_of(*options), data)
    assert said in str(refused.value)


def test_a_study_on_a_half_says_so_and_is_another_study(study, plan_of):
    plan = plan_of("--samples", "5", "--split", "first_half")
    half = load_dataset(plan.config.data, None)
    described = describe(plan, half, "python study/run.py --split first_half")
    assert described["plan"]["base"]["data"]["split"] == "first_half"
    assert described["dataset"]["name"] == "synthetic, split first_half"
    assert described["dataset"]["protocol"] == half.protocol and "the other half" in half.protocol
    with pytest.raises(StudyError, match=r"another study: data\.split official there, first_half here"):
        check_same(study.plan.folder, plan, half)


def test_other_data_is_refused(study, data):
    other = dataclasses.replace(data, query=data.query[:-1])
    with pytest.raises(StudyError, match="made on other data"):
        check_same(study.plan.folder, study.plan, other)


def test_other_code_is_told(study, data, monkeypatch):
    monkeypatch.setattr("study.record.folder.code_version", lambda: "other")
    (note,) = check_same(study.plan.folder, study.plan, data)
    assert "the code of dcreid has changed" in note


def test_a_damaged_study_json_is_refused(study, data):
    (study.plan.folder / "study.json").write_text("{")
    with pytest.raises(StudyError, match="not readable"):
        check_same(study.plan.folder, study.plan, data)


def test_a_plan_is_found_by_name_and_by_path_also_after_a_move(study, tmp_path: Path):
    folder = study.plan.folder
    assert read_plan("study", str(tmp_path)) == read_plan(str(folder), "elsewhere") == study.plan
    moved = folder.rename(tmp_path / "moved")
    found = read_plan(str(moved), "elsewhere")
    assert found.folder == moved and found.config == study.plan.config


def test_a_study_that_is_not_there(study, tmp_path: Path):
    with pytest.raises(StudyError, match=r"--resume other: no study\.json .* studies in .*: study"):
        read_plan("other", str(tmp_path))


def _hold(folder: Path, held: multiprocessing.Event, done: multiprocessing.Event) -> None:
    with locked(folder):
        held.set()
        done.wait(60)


def test_a_second_driver_is_refused_and_told_who_is_first(tmp_path: Path):
    context = multiprocessing.get_context("fork")
    held, done = context.Event(), context.Event()
    first = context.Process(target=_hold, args=(tmp_path / "s", held, done))
    first.start()
    assert held.wait(60)
    try:
        with (
            pytest.raises(StudyError, match=f"is being run by process {first.pid} on "),
            locked(tmp_path / "s"),
        ):
            pass
    finally:
        done.set()
        first.join()
    with locked(tmp_path / "s"):
        pass


def test_a_driver_that_was_killed_holds_nothing(tmp_path: Path):
    context = multiprocessing.get_context("fork")
    held, done = context.Event(), context.Event()
    first = context.Process(target=_hold, args=(tmp_path / "s", held, done))
    first.start()
    assert held.wait(60)
    first.kill()
    first.join()
    with locked(tmp_path / "s"):
        assert str(os.getpid()) in (tmp_path / "s" / ".holder").read_text()

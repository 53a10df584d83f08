"""The files of a study folder: the ledger, the table where it is missing, and what cannot be read."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from analysis.data.folder import ResultsError, read_description, read_trials
from analysis.data.results import load
from study.record.results import results_table, write_results


def test_the_ledger_wins_over_an_older_table(make):
    study = make("duke", experiments="table1")
    study.run_plan(seeds=1)
    write_results(study.folder, study.ledger, "last")
    study.trial(study.base.replace(seed=7))
    assert len(load([study.folder]).studies[0].trials) == 4


def test_the_table_alone_gives_the_same(make):
    study = make("duke", experiments="table1")
    study.run_plan(seeds=1)
    before = load([study.folder]).studies[0].trials
    write_results(study.folder, study.ledger, "last")
    (study.folder / "ledger.jsonl").unlink()
    after = load([study.folder]).studies[0].trials
    assert [(t.config, t.labels, t.state, t.curve()) for t in after] == [
        (t.config, t.labels, t.state, t.curve()) for t in before
    ]
    assert results_table("s", list(after), "last")["mAP"].tolist() == pytest.approx(
        results_table("s", list(before), "last")["mAP"].tolist()
    )


def test_the_table_alone_has_what_failed_before_its_first_step(make):
    study = make("duke")
    study.trial(study.base)
    study.trial(study.base.replace(seed=1), state="failed", steps=-1)
    write_results(study.folder, study.ledger, "last")
    (study.folder / "ledger.jsonl").unlink()
    after = load([study.folder]).studies[0].trials
    assert [(t.state, t.last_step) for t in after] == [("complete", 3), ("failed", -1)]


def test_the_folder_above_names_the_studies_in_it(make):
    study = make("duke", "mine")
    with pytest.raises(ResultsError, match="it holds the studies mine"):
        load([study.folder.parent])


def test_damaged_or_foreign_descriptions(make):
    study = make("duke")
    study.trial(study.base)
    path = study.folder / "study.json"
    good = json.loads(path.read_text())
    path.write_text("{")
    with pytest.raises(ResultsError, match="not readable"):
        load([study.folder])
    path.write_text("[]")
    with pytest.raises(ResultsError, match="not a study's description"):
        load([study.folder])
    path.write_text(json.dumps(good | {"plan": good["plan"] | {"novelty": 1}}))
    with pytest.raises(ResultsError, match="another version of this code"):
        load([study.folder])


def test_neither_ledger_nor_table(make):
    study = make("duke")
    (study.folder / "ledger.jsonl").unlink()
    with pytest.raises(ResultsError, match=r"neither ledger\.jsonl nor results.parquet"):
        load([study.folder])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dataset": "MARS"}, r'dataset is "MARS", not a table of fields'),
        ({"plan": [1]}, r"plan is \[1\], not a table of fields"),
        ({"hardware": {"gpus": "none"}}, r'hardware\.gpus is "none", not a list'),
        ({"commands": "run"}, r'commands is "run", not a list'),
    ],
)
def test_a_description_changed_by_hand_is_refused_by_field(make, change, said):
    path = make().folder / "study.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ResultsError, match=rf"study\.json: {said}; copy it again"):
        read_description(path.parent)


def test_a_description_nested_without_end(make):
    path = make().folder / "study.json"
    path.write_text("[" * 100_000)
    with pytest.raises(ResultsError, match="not readable"):
        read_description(path.parent)


def test_results_of_another_program_are_called_that(make):
    folder = make().folder
    (folder / "ledger.jsonl").unlink()
    pd.DataFrame({"trial": [0], "step": [1], "loss": [0.5]}).to_parquet(folder / "results.parquet")
    with pytest.raises(
        ResultsError, match=r"results\.parquet: not the results of a study \(no column seed\)"
    ):
        read_trials(folder)


def test_a_ledger_that_is_no_file(make):
    folder = make().folder
    (folder / "ledger.jsonl").unlink()
    (folder / "ledger.jsonl").mkdir()
    with pytest.raises(ResultsError, match=r"ledger\.jsonl: not a file"):
        read_trials(folder)

"""Studies read and grouped: whole, unfinished, moved, joined."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from analysis.data.folder import ResultsError
from analysis.data.results import load


def test_reads_trials_from_the_ledger(make):
    study = make("duke", experiments="table1")
    study.run_plan(seeds=2)
    found = load([study.folder])
    assert [group.name for group in found.groups] == ["DukeMTMC-VideoReID"]
    assert len(found.studies[0].trials) == 6
    assert found.groups[0].is_papers


def test_a_moved_study_is_the_same_study(make, tmp_path: Path):
    study = make("duke", experiments="table1")
    study.run_plan(seeds=1)
    moved = tmp_path / "elsewhere"
    shutil.copytree(study.folder, moved)
    found = load([moved, moved])
    assert len(found.studies) == 1 and found.studies[0].name == "elsewhere"


def test_unfinished_studies_give_what_they_have(make):
    study = make("duke")
    study.trial(study.base)
    study.trial(study.base.replace(seed=1), state="running", steps=1)
    with (study.folder / "ledger.jsonl").open("ab") as file:
        file.write(b'{"event": "step", "tri')
    assert [trial.state for trial in load([study.folder]).studies[0].trials] == ["complete", "running"]


def test_same_settings_join_and_others_stay_apart(make):
    one, two = make("duke", "one"), make("duke", "two")
    three = make("duke", "three", base=one.base.replace(**{"merge.max_steps": 3}))
    for study in (one, two, three):
        study.trial(study.base)
    weights = {"model.weights": "/there/w.pt"}, {"model.weights": "/here/w.pt"}
    four, five = (make("mars", f"w{i}", base=one.base.replace(**w)) for i, w in enumerate(weights))
    four.trial(four.base), five.trial(five.base)
    groups = load([s.folder for s in (one, three, two, four, five)]).groups
    assert [[study.name for study in group.studies] for group in groups] == [
        ["one", "two"],
        ["three"],
        ["w0", "w1"],
    ]
    assert len({group.name for group in groups}) == 3
    assert "merge.max_steps 3" in groups[1].name


def test_another_gallery_stays_apart(make):
    one, two = make("duke", "one"), make("duke", "two")
    one.trial(one.base), two.trial(two.base)
    path = two.folder / "study.json"
    path.write_text(path.read_text().replace("gallery of 12 rows", "gallery of 9 rows"))
    names = [group.name for group in load([one.folder, two.folder]).groups]
    assert names == ["DukeMTMC-VideoReID (gallery of 12 rows)", "DukeMTMC-VideoReID (gallery of 9 rows)"]


def test_no_study(tmp_path: Path):
    with pytest.raises(ResultsError, match="no study given"):
        load([])
    with pytest.raises(ResultsError, match="no such folder"):
        load([tmp_path / "nowhere"])
    with pytest.raises(ResultsError, match=r"not the folder of a study; no study\.json"):
        load([tmp_path])


def test_nothing_started_and_nothing_finished(make):
    study = make("duke")
    with pytest.raises(ResultsError, match="no trial has been started"):
        load([study.folder])
    study.trial(study.base, state="running", steps=1)
    study.trial(study.base, state="failed", steps=0, reason="no memory")
    with pytest.raises(ResultsError, match=r"no trial has finished yet \(1 running, 1 failed\).*--resume"):
        load([study.folder])
    assert len(load([study.folder], finished=False).studies[0].trials) == 2

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


def of_code(study, *codes: str | None) -> None:
    """As if this code had created the study and run its first session, the others each a later one."""
    path = study.folder / "study.json"
    path.write_text(path.read_text().replace("c" * 16, str(codes[0])))
    for session, code in enumerate(codes):
        if session:
            study.ledger.append("session", **({} if code is None else {"code": code}))
            study.trial(study.base.replace(seed=10 + session))


def test_studies_of_other_versions_are_never_averaged_unless_that_is_asked_for(make, caplog):
    one, two, three = (make("duke", name) for name in ("one", "two", "three"))
    for study, code in ((one, "a" * 16), (two, "b" * 16), (three, "a" * 16)):
        study.trial(study.base), of_code(study, code)
    folders = [study.folder for study in (one, two, three)]
    apart = load(folders).groups
    assert [[study.name for study in group.studies] for group in apart] == [["one", "three"], ["two"]]
    assert [group.name for group in apart] == [
        "DukeMTMC-VideoReID (code aaaaaaaa)",
        "DukeMTMC-VideoReID (code bbbbbbbb)",
    ]
    assert not caplog.messages and not any(group.versions_in_words for group in apart)
    joined, *others = load(folders, across_versions=True).groups
    assert not others and joined.name == "DukeMTMC-VideoReID"
    assert joined.versions_in_words == (
        "runs of 2 versions of the code are averaged and compared as if of one (2 by aaaaaaaa, 1 by bbbbbbbb)"
    )
    assert caplog.messages == [f"{joined.name}: {joined.versions_in_words}"]


def test_a_study_that_went_on_under_another_version_says_so(make, caplog):
    study, same = make("duke", "on"), make("duke", "same")
    for each in (study, same):
        each.ledger.append("session", code="a" * 16)
        each.trial(each.base)
    of_code(study, "a" * 16, "b" * 16), of_code(same, "a" * 16, "a" * 16)
    study.trial(study.base.replace(seed=3), state="failed", steps=0)  # no result
    (group,) = load([study.folder]).groups
    assert "(1 by aaaaaaaa, 1 by bbbbbbbb)" in group.versions_in_words
    assert len(caplog.messages) == 1 and group.studies[0].versions == {"aaaaaaaa", "bbbbbbbb"}
    assert not load([same.folder]).groups[0].versions_in_words
    assert len(load([study.folder, same.folder]).groups) == 2


def test_a_trial_that_two_versions_computed_is_of_both(make):
    study = make("duke")
    study.ledger.append("session", code="a" * 16)
    study.trial(study.base, state="running", steps=1)
    study.ledger.append("session", code="b" * 16)
    study.ledger.append("start", trial=0)
    for step in (1, 2, 3):  # a repeated step is no new one
        study.ledger.append("step", trial=0, row=study.ledger.trials[0].steps[1] | {"step": step})
    study.ledger.append("session", code="d" * 16)
    study.ledger.append("end", trial=0, state="complete")
    found = load([study.folder]).studies[0]
    assert found.code(found.trials[0]) == "aaaaaaaa then bbbbbbbb"


def test_versions_that_nobody_recorded_are_told_as_unknown_and_part_no_studies(make):
    study, other = make("duke", "old"), make("duke", "new")
    study.ledger.append("session")
    study.trial(study.base), other.trial(other.base)
    of_code(study, "a" * 16, None), of_code(other, "a" * 16)
    group, *others = load([study.folder, other.folder]).groups
    assert not others and "(2 by aaaaaaaa, 1 by unknown)" in group.versions_in_words

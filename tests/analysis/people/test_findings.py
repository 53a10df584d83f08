"""Who is taken for whom: against the evaluator's own results, and a file that is not taken for another's."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from analysis.data.results import load
from analysis.people.findings import (
    Findings,
    First,
    Seen,
    file_name,
    findings_of,
    keep,
    kept,
    takers,
    wrong_firsts,
)
from analysis.people.network import rebuild
from study.record.storage import Storage
from study.record.trial_tables import load_queries


@pytest.fixture(scope="module")
def found(trained: Path) -> Findings:
    """Of the last step."""
    return findings_of(rebuild(load([trained]).studies[0], 0, None, None, 3))


def test_every_query_fares_as_the_trial_has_recorded(trained: Path, found: Findings):
    table = load_queries(Storage(str(trained / "trials" / "0000")), {})
    table = table[table.step == 3]
    assert [one.first_right for one in found.firsts] == table.first_match.tolist()
    assert [one.query.identity for one in found.firsts] == table.identity.tolist()
    assert [one.query.camera for one in found.firsts] == table.camera.tolist()
    assert [one.average_precision for one in found.firsts] == pytest.approx(table.average_precision.tolist())
    assert [one.hit.kind == "right" for one in found.firsts] == (table.first_match == 1).tolist()
    assert found.queries == 8 and sum(pair.queries for pair in found.pairs) >= len(found.firsts)


def test_the_lists_are_the_hardest_first_and_each_query_once(found: Findings):
    groups = [one.group for one in found.lists]
    assert groups[0] == "hardest" and len({one.query.tracklet for one in found.lists}) == len(found.lists)
    for one in found.lists:
        assert next(hit.rank for hit in one.hits if hit.kind == "right") == one.first_right


def test_by_chance_the_own_camera_sees_others_as_often_as_a_loop_counts(trained: Path, found: Findings):
    data = rebuild(load([trained]).studies[0], 0, None, None, 3).algorithm.data
    who, camera = data.test.identities, data.test.cameras
    shares = []
    for q in data.query:
        others = [g for g in data.gallery if who[g] not in (who[q], -1)]
        shares.append(np.mean([camera[g] == camera[q] for g in others]))
    assert found.own_camera == pytest.approx(np.mean(shares))


def first(query: int, hit: int, identity: int, kind: str = "wrong") -> First:
    return First(Seen(query, f"q{query}", 1, query), Seen(hit, f"h{hit}", 1, identity, kind, 1), 2, 0.5)


def test_who_takes_the_first_rank_of_others_most_often():
    firsts = [
        first(1, 50, 5), first(2, 51, 5), first(3, 60, 0), first(4, 61, 0), first(5, 70, 7, "right"),
        first(6, 60, 0), first(7, 60, 0),
    ]  # fmt: skip
    found = takers(Findings(0, 1, (), (), tuple(firsts), 7))
    assert [(identity, [one.query.tracklet for one in taken]) for identity, taken in found] == [
        (0, [3, 6, 7]), (5, [1, 2]), (0, [4]),
    ]  # fmt: skip
    assert len(wrong_firsts(Findings(0, 1, (), (), tuple(firsts), 7))) == 6


def test_what_is_kept_comes_back_and_another_networks_does_not(trained, found, tmp_path, caplog):
    study = load([trained]).studies[0]
    trial = study.trials[0]
    path = keep(found, study, trial, tmp_path)
    assert path.name == f"people-0000-step-003-{trial.digest[:8]}.json"
    assert kept(study, trial, 3, [tmp_path / "none", tmp_path]) == found
    assert kept(study, trial, 2, [tmp_path]) is None and not caplog.messages
    changed = dataclasses.replace(trial, digest=trial.digest[:8] + "0" * 56)
    assert kept(study, changed, 3, [tmp_path]) is None
    assert "is of another configuration or data and is not used" in caplog.text
    dataset = study.description["dataset"] | {"fingerprint": "0" * 16}
    other = dataclasses.replace(study, description=study.description | {"dataset": dataset})
    assert kept(other, trial, 3, [tmp_path]) is None


@pytest.mark.parametrize("text", ["", "[]", '{"of": {}}', "{" * 5000, '{"of": null, "found": {}}'])
def test_a_damaged_file_is_not_used(trained, tmp_path, caplog, text):
    study = load([trained]).studies[0]
    (tmp_path / file_name(study.trials[0], 3)).write_text(text)
    assert kept(study, study.trials[0], 3, [tmp_path]) is None and "is not used" in caplog.text


def test_names_that_are_no_utf8_come_back(trained, found, tmp_path):
    study = load([trained]).studies[0]
    odd = dataclasses.replace(found.lists[0].query, name="a\udcff<b>")
    changed = dataclasses.replace(found, lists=(dataclasses.replace(found.lists[0], query=odd),))
    keep(changed, study, study.trials[0], tmp_path)
    assert kept(study, study.trials[0], 3, [tmp_path]) == changed


def test_without_labels_the_nearest_are_listed(trained_anew: Path, monkeypatch):
    from trained_study import without_labels

    from analysis.people import network

    loaded = network.load_dataset
    monkeypatch.setattr(network, "load_dataset", lambda *given: without_labels(loaded(*given)))
    rebuilt = rebuild(load([trained_anew]).studies[0], 0, None, None, 3)
    found = findings_of(rebuilt)
    assert not found.labelled and found.pairs == () and len(found.lists) == 18
    v = rebuilt.train_features().numpy()
    cameras = rebuilt.algorithm.data.train.cameras
    for one in found.lists:
        others = np.flatnonzero(cameras != cameras[one.query.tracklet])
        nearest = others[np.argsort(-(v[others] @ v[one.query.tracklet]), kind="stable")][:10]
        assert [hit.tracklet for hit in one.hits] == nearest.tolist()
        assert {hit.kind for hit in one.hits} == {"near"} and one.query.identity is None

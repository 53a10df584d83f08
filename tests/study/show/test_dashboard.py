"""optuna-dashboard on a study, which it cannot change."""

from __future__ import annotations

import builtins
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from study.__main__ import main
from study.record.folder import describe, locked, write_description
from study.show.dashboard import Mirror

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def study(plan_of, play, data):
    """A study cut in its fourth trial."""
    plan = plan_of("--samples", "6", "--pruner", "none")
    write_description(plan.folder, describe(plan, data, "c"))
    return play(plan, cut=20)


def test_the_mirror_is_what_optuna_holds(study):
    mirror = Mirror(str(study.plan.folder), "studies")
    (summary,) = mirror.storage.get_all_studies()
    found = {t.user_attrs["trial"]: t for t in mirror.storage.get_all_trials(summary._study_id)}
    held = {t.user_attrs["trial"]: t for t in study.optuna.study.trials if "trial" in t.user_attrs}
    assert summary.study_name == "study" and found.keys() == held.keys() == {0, 1, 2, 3}
    for number, trial in held.items():
        for part in ("state", "params", "distributions", "intermediate_values", "values"):
            assert getattr(found[number], part) == getattr(trial, part)


def test_the_mirror_follows_the_study(study, play):
    mirror = Mirror(str(study.plan.folder), "studies")
    (before,) = mirror.storage.get_all_studies()
    play(study.plan)
    mirror.refresh()
    (after,) = mirror.storage.get_all_studies()
    trials = mirror.storage.get_all_trials(after._study_id)
    assert after._study_id == before._study_id and len(trials) == 6
    assert all(trial.state.is_finished() for trial in trials)


def test_a_study_deleted_in_the_browser_comes_back(study):
    mirror = Mirror(str(study.plan.folder), "studies")
    mirror.storage.delete_study(mirror.storage.get_study_id_from_name("study"))
    mirror.refresh()
    assert len(mirror.storage.get_all_trials(mirror.storage.get_study_id_from_name("study"))) == 4


def test_runs_of_a_plan_have_what_they_differ_in_as_parameters(plan_of, play, data):
    plan = plan_of("--plan", "table1", "--seeds", "2")
    write_description(plan.folder, describe(plan, data, "c"))
    session = play(plan)
    mirror = Mirror(str(plan.folder), "studies")
    trials = mirror.storage.get_all_trials(mirror.storage.get_study_id_from_name("study"))
    assert len(trials) == len(session.ledger.trials)
    assert {"seed", "merge.lambda1"} <= trials[0].params.keys()
    assert "merge.merge_rate" not in trials[0].params


def test_without_optuna_dashboard_the_command_is_shown(study, capsys, monkeypatch):
    real = builtins.__import__

    def absent(name, *rest, **named):
        if name == "optuna_dashboard":
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", absent)
    assert main(["dashboard", str(study.plan.folder)]) == 2
    assert "python -m pip install 'optuna-dashboard" in capsys.readouterr().err


@pytest.fixture
def served(study) -> Iterator[str]:
    """The address of a dashboard served beside a driver."""
    pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed (extra: dashboard)")
    with locked(study.plan.folder):
        command = [sys.executable, "-m", "study", "dashboard", str(study.plan.folder), "--port", "0"]
        server = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            yield server.stdout.readline().split("/dashboard/")[0]
        finally:
            server.terminate()
            server.wait(60)


@pytest.mark.slow
def test_it_is_served_with_learning_curves_and_changes_nothing(study, served):
    before = {path: path.read_bytes() for path in study.plan.folder.rglob("*") if path.is_file()}
    with urllib.request.urlopen(f"{served}/") as page:
        assert page.status == 200 and b"<html" in page.read().lower()
    with urllib.request.urlopen(f"{served}/api/studies") as answer:
        (listed,) = json.load(answer)["study_summaries"]
    assert listed["study_name"] == "study"
    address = f"{served}/api/studies/{listed['study_id']}"
    with urllib.request.urlopen(address) as answer:
        trials = json.load(answer)["trials"]
    curve = [(point["step"], point["value"]) for point in trials[0]["intermediate_values"]]
    assert dict(curve) == study.ledger.trials[0].curve() and len(trials) == 4
    with urllib.request.urlopen(urllib.request.Request(address, method="DELETE")) as answer:
        assert answer.status == 204
    assert before == {path: path.read_bytes() for path in study.plan.folder.rglob("*") if path.is_file()}

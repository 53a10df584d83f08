"""Runs of the bound are called what they are, on the console, in the summary and by `status`."""

from __future__ import annotations

import json

import pytest
from screens import screen, text

from search_spaces.paper import BOUND_LABEL, BOUND_NOTE
from study.__main__ import main
from study.record.folder import describe, write_description
from study.show.summary import summary
from study.show.wording import is_bound, parameters


@pytest.fixture
def session(plan_of, play):
    return play(plan_of("--plan", "bound", "--seeds", "2", "--temperature", "0.05"))


def test_every_trial_says_that_it_was_trained_with_identities(session):
    trials = session.ledger.trials.values()
    assert all(map(is_bound, trials))
    assert [parameters(trial, session.plan) for trial in trials] == [
        f"{BOUND_LABEL} seed 0",
        f"{BOUND_LABEL} seed 1",
    ]


def test_the_summary_says_so_and_calls_nothing_the_papers(session):
    console = screen(160)
    summary(session, console)
    shown = text(console)
    assert shown.count(BOUND_LABEL) == 2 and shown.count(BOUND_NOTE) == 1
    assert "the paper's configuration" not in shown


def test_the_status_says_so(session, data, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    write_description(session.plan.folder, describe(session.plan, data, "python study/run.py --name study"))
    folder = str(session.plan.folder)
    assert main(["status", folder]) == 0
    shown = capsys.readouterr().out
    assert shown.count(BOUND_LABEL) == 2 and shown.count(BOUND_NOTE) == 1
    assert main(["status", folder, "--trial", "1"]) == 0
    assert BOUND_LABEL in capsys.readouterr().out
    assert main(["status", folder, "--json"]) == 0
    told = [trial["told"] for trial in json.loads(capsys.readouterr().out)["trials"]]
    assert told == [f"{BOUND_LABEL} seed 0", f"{BOUND_LABEL} seed 1"]


def test_other_studies_do_not(plan_of, play):
    session = play(plan_of("--plan", "leak_audit"))
    console = screen(160)
    summary(session, console)
    assert BOUND_LABEL not in text(console) and BOUND_NOTE not in text(console)
    assert not any(map(is_bound, session.ledger.trials.values()))

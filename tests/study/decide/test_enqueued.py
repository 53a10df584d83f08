"""Configurations that somebody enqueues: when they run, how they count, and what Optuna is told of them."""

from __future__ import annotations

import json

import pytest
from sessions import check_optuna, crash_of, crashing, in_optuna, recorded

from study.command.enqueue import changed, enqueue
from study.record.ledger import Ledger
from study.record.lines import sealed


@pytest.fixture
def play(play):
    """A session that has ended: its ledger is free for the next."""

    def make(plan, **options):
        session = play(plan, **options)
        session.ledger.close()
        return session

    return make


@pytest.fixture
def wanted(plan_of, data):
    """Enqueues a change of the base in the study of these options; returns what `enqueue` says."""

    def make(changes, *options: str):
        plan = plan_of(*options)
        plan.folder.mkdir(exist_ok=True)
        return enqueue(plan, changed(plan.config, changes), len(data.train))

    return make


def origins(session) -> list[str]:
    return [trial.origin for trial in session.ledger.trials.values()]


def test_it_runs_after_trial_0_and_before_what_is_drawn_and_is_one_of_the_samples(plan_of, play, wanted):
    options = ("--samples", "4")
    assert wanted({"merge.lambda1": 0.25}, *options) is None
    session = play(plan_of(*options))
    assert origins(session) == ["paper", "enqueued", "search", "search"] and session.queue.complete
    assert session.ledger.trials[1].config["merge"]["lambda1"] == 0.25
    assert (session.queue.done(), session.queue.target) == (4, 4)


def test_it_runs_before_the_settings_that_a_search_begins_with(plan_of, play, wanted):
    options = ("--samples", "20")
    wanted({"merge.lambda1": 0.25}, *options)
    session = play(plan_of(*options), cut=14)
    assert origins(session)[:3] == ["paper", "enqueued", "given"]


def test_where_there_are_samples_enough_there_is_one_more(plan_of, play, wanted, open_session):
    options = ("--samples", "3")
    play(plan_of(*options))
    wanted({"merge.lambda1": 0.25}, *options)
    session = open_session(plan_of(*options))
    assert session.queue.outlook() == "3 done, 0 resumed, 1 new, 1 of them enqueued"
    session = play(plan_of(*options))
    assert origins(session) == ["paper", "search", "search", "enqueued"]
    assert (session.queue.done(), session.queue.target, session.queue.complete) == (4, 4, True)
    more = play(plan_of("--samples", "5"))
    assert origins(more)[4:] == ["search"] and more.queue.target == 5 and more.queue.complete


def test_of_a_study_under_way_one_less_is_drawn(plan_of, play, wanted):
    options = ("--samples", "5", "--pruner", "none")
    play(plan_of(*options), cut=8)  # trial 1 is interrupted
    wanted({"merge.lambda1": 0.25}, *options)
    session = play(plan_of(*options))
    assert origins(session) == ["paper", "search", "enqueued", "search", "search"]
    assert session.queue.complete and session.queue.target == 5


@pytest.mark.parametrize("slots", [1, 3])
def test_a_study_cut_anywhere_runs_it_once(plan_of, play, wanted, slots: int):
    options = ("--samples", "4", "--pruner", "none")
    wanted({"merge.lambda1": 0.25}, *options)
    cut = 2
    while not (session := play(plan_of(*options), slots=slots, cut=cut)).queue.complete:
        cut += 1
    assert origins(session).count("enqueued") == 1 and len(session.ledger.trials) == 4
    check_optuna(session)


def test_a_plan_runs_it_beside_its_own(plan_of, play, wanted):
    options = ("--plan", "table1")
    wanted({"merge.lambda1": 0.25}, *options)
    session = play(plan_of(*options))
    assert origins(session) == ["plan", "enqueued", "plan", "plan"] and session.queue.complete
    assert session.queue.target == 4


def test_a_grid_runs_its_point_once(plan_of, play, wanted, tmp_path):
    space = tmp_path / "two.toml"
    space.write_text('["train.alpha_schedule"]\nchoices = ["linear", "fixed", "cosine"]\n')
    options = ("--samples", "10", "--space", str(space), "--sampler", "grid")
    wanted({"train.alpha_schedule": "cosine"}, *options)
    wanted({"merge.lambda1": 0.25}, *options)
    session = play(plan_of(*options))
    assert origins(session) == ["paper", "enqueued", "enqueued", "search"]
    assert session.queue.complete and session.queue.target == 4


def test_optuna_is_told_of_it_as_of_other_given_ones(plan_of, play, wanted):
    options = ("--samples", "3")
    wanted({"merge.lambda1": 0.25}, *options)
    wanted({"train.batch_size": 8}, *options)  # no field of the space: another method's result, to a sampler
    session = play(plan_of(*options))
    frozen = in_optuna(session)
    assert sorted(frozen) == [0, 1] and frozen[1].params["merge.lambda1"] == 0.25
    assert origins(session) == ["paper", "enqueued", "enqueued"]
    check_optuna(session)


def test_it_is_not_pruned_and_may_be_the_best(plan_of, play, wanted):
    options = ("--samples", "12", "--grace", "1")
    for lambda1 in (0.11, 0.12, 0.13, 0.14, 0.15):
        wanted({"merge.lambda1": lambda1}, *options)
    trials = play(plan_of(*options)).ledger.trials.values()
    assert {t.state for t in trials if t.origin == "enqueued"} == {"complete"}
    assert "pruned" in {t.state for t in trials if t.origin == "search"}


def test_one_that_failed_is_tried_again_by_the_next_session(plan_of, play, open_session, fake_tune, wanted):
    options = ("--samples", "3", "--max-failures", "0")
    wanted({"merge.lambda1": 0.25}, *options)

    def enqueued(job) -> bool:
        return job.config["merge"]["lambda1"] == 0.25

    session = open_session(plan_of(*options))
    crashing(fake_tune, enqueued, crash_of(fake_tune))(session).run()
    assert session.ledger.trials[1].state == "failed" and not session.queue.complete
    assert origins(session) == ["paper", "enqueued", "search"]
    session.ledger.close()
    assert wanted({"merge.lambda1": 0.25}, *options) == "this configuration is enqueued already"
    again = play(plan_of(*options))
    assert origins(again) == ["paper", "enqueued", "search", "enqueued"] and again.queue.complete


def test_a_confirmation_waits_for_it_and_may_confirm_it(plan_of, play, wanted):
    options = ("--samples", "3", "--seeds", "2", "--confirm", "1")
    play(plan_of("--samples", "3"))
    wanted({"merge.lambda1": 0.25}, *options)
    session = play(plan_of(*options))
    assert origins(session) == ["paper", "search", "search", "enqueued", *["confirm"] * 4]
    drawn = [t for t in session.ledger.trials.values() if t.number in (1, 2, 3)]
    best = max(drawn, key=lambda trial: trial.value)
    assert session.ledger.trials[5].config == best.config | {"seed": 1}


def test_what_is_there_already_is_not_run_again(plan_of, play, wanted):
    options = ("--samples", "2", "--pruner", "none")
    assert wanted({"merge.lambda1": 0.25}, *options) is None
    assert wanted({"merge.lambda1": 0.25}, *options) == "this configuration is enqueued already"
    assert wanted({}, *options) == "this configuration is one of those that the study begins with"
    session = play(plan_of(*options), cut=8)
    there = "trial 1 has this configuration and"
    said = wanted({"merge.lambda1": 0.25}, *options)
    assert said == f"{there} goes on with the study: it is not run again"
    session = play(plan_of(*options))
    size = session.ledger.path.stat().st_size
    assert wanted({"merge.lambda1": 0.25}, *options) == f"{there} is complete: it is not run again"
    assert session.ledger.path.stat().st_size == size and len(recorded(session)) == 2


def test_the_ledger_keeps_it_and_a_session_is_no_longer_for_it(plan_of, play, wanted):
    options = ("--samples", "2")
    session = play(plan_of(*options))
    last = Ledger(session.ledger.path, read_only=True).sessions[-1]["last"]
    wanted({"merge.lambda1": 0.25}, *options)
    read = Ledger(session.ledger.path, read_only=True)
    assert [config["merge"]["lambda1"] for config in read.enqueued] == [0.25] and not read.problems()
    assert read.sessions[-1]["last"] == last


def test_what_an_older_version_enqueued_gets_the_fields_added_since(plan_of, play, wanted):
    options = ("--samples", "2")
    wanted({"merge.lambda1": 0.25}, *options)
    path = plan_of(*options).folder / "ledger.jsonl"
    entry = json.loads(path.read_text())
    del entry["crc"], entry["config"]["merge"]["regroup_steps"]
    path.write_bytes(sealed(entry))
    assert wanted({"merge.lambda1": 0.25}, *options) == "this configuration is enqueued already"
    session = play(plan_of(*options))
    assert session.ledger.trials[1].origin == "enqueued" and session.queue.complete

"""The one model of a study: the same from its driver's session and from its folder."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import pytest

from study.record.folder import describe, locked, write_description
from study.show.status import Status
from study.show.view import Attempt, StudyView, failures, of_session, position, problems

HOUR = 3600.0


@pytest.fixture
def session(plan_of, open_session, fake_tune, data):
    """Of five trials two are done and two under way, after steps 3 and 2 of 5; each step took an hour."""
    plan = plan_of("--samples", "5", "--pruner", "none")
    write_description(plan.folder, describe(plan, data, "python study/run.py"))
    session = open_session(plan)

    class Timed(fake_tune):
        def rows(self, job):
            yield from (row | {"seconds_train": HOUR * (row["step"] > 0)} for row in super().rows(job))

    Timed(session, slots=2).run(cut=2 * 6 + 7)
    return session


def view_of(session) -> StudyView:
    """The session's view as if the newest steps had come in just now."""
    view = of_session(session)
    attempts = {number: dataclasses.replace(view.under_way[number], reported=view.now) for number in (2, 3)}
    return dataclasses.replace(view, under_way=attempts)


def note_epoch(view: StudyView, number: int, stage: int, when: float) -> None:
    place = Path(view.plan.trial_storage(number))
    place.mkdir(parents=True, exist_ok=True)
    note = {"stage": stage, "epoch": 4, "epochs": 7, "time": when}
    (place / "progress.json").write_text(json.dumps(note))


def test_the_folder_is_seen_as_the_session_is(session):
    live = of_session(session)
    with locked(session.plan.folder):
        read = Status.read(str(session.plan.folder), "studies").view
    states = ("running", "complete", "failed")
    assert read.progress(*states) == live.progress(*states) == "2/5 done, 2 running, 2 complete"
    assert [read.state(t) for t in read.trials] == [live.state(t) for t in live.trials]
    assert read.under_way.keys() == live.under_way.keys() == {2, 3}
    assert (read.seconds, read.saved) == (live.seconds, live.saved) == (15 * HOUR, (0, 0.0))


def test_the_step_under_way_began_with_the_newest_report(session):
    """A live session hears the reports; of a folder only the start of the driver's session is known."""
    for running in session.running.values():
        running.started = 1.0
    before = time.time()
    trial = session.ledger.trials[3]
    (tune_id,) = (name for name, running in session.running.items() if running.number == 3)
    session.hear(tune_id, {"step": 3, "mAP": 0.5, "total_steps": 5, "seconds_train": HOUR})
    assert trial.last_step == 3 and before <= of_session(session).under_way[3].reported <= time.time()


def test_what_an_earlier_session_left_is_not_under_way_before_the_driver_starts_it(session):
    session.ledger.append("session", command="python study/run.py", pid=2, forced=False)
    session.ledger.append("start", trial=3, gpus=0.0)
    with locked(session.plan.folder):
        view = Status.read(str(session.plan.folder), "studies").view
    assert view.under_way.keys() == {3}
    assert [view.state(session.ledger.trials[number]) for number in (2, 3)] == ["interrupted", "running"]


def test_positions_count_the_merge_steps_done(session):
    trials = session.ledger.trials
    assert [position(trials[number]) for number in (0, 2, 3)] == ["5/5", "3/5", "2/5"]
    fresh = dataclasses.replace(trials[0], steps={})
    assert position(fresh) is None
    fresh.steps[0] = {"step": 0, "total_steps": 5}
    assert position(fresh) == "0/5"


def test_who_waits_and_who_was_interrupted(session):
    running, *_ = session.running.values()
    running.started = None
    view = of_session(session)
    assert view.state(session.ledger.trials[running.number]) == "waiting"
    gone = dataclasses.replace(view, under_way={})
    assert gone.state(session.ledger.trials[2]) == gone.state(session.ledger.trials[3]) == "interrupted"
    assert gone.state(dataclasses.replace(session.ledger.trials[3], attempts=0)) == "waiting"


def test_the_epoch_is_of_the_stage_under_way_and_of_this_attempt(session):
    view = of_session(session)
    trial = session.ledger.trials[2]
    assert view.epoch(trial) is None
    for stage, epoch in ((3, None), (4, "4/7"), (5, None)):
        note_epoch(view, 2, stage, time.time())
        assert view.epoch(trial) == epoch
    note_epoch(view, 2, 4, view.under_way[2].started - 1.0)
    assert view.epoch(trial) is None
    note_epoch(view, 0, 6, time.time())
    assert view.epoch(session.ledger.trials[0]) is None


def test_what_is_left(session):
    """2 + 3 steps of the trials under way, and a whole trial of 5 hours."""
    view = view_of(session)
    assert [view.seconds_left_of(session.ledger.trials[n]) for n in (2, 3)] == [2 * HOUR, 3 * HOUR]
    assert view.seconds_left() == (10 * HOUR, 2)
    later = dataclasses.replace(view, now=view.now + 60.0)
    assert later.seconds_left_of(session.ledger.trials[2]) == pytest.approx(2 * HOUR - 60)
    assert later.seconds_left()[0] == pytest.approx(10 * HOUR - 120)


def test_nobody_knows_what_is_left_before_the_second_step(session):
    trial = session.ledger.trials[2]
    view = view_of(session)
    del trial.steps[2], trial.steps[3]
    assert view.seconds_left_of(trial) is None
    trial.steps[2] = {"step": 2, "seconds_train": HOUR, "total_steps": 5}
    assert view.seconds_left_of(trial) == 3 * HOUR


def test_a_first_stage_that_takes_longer_does_not_count_for_the_pace(session):
    session.ledger.trials[2].steps[1]["seconds_train"] = 9 * HOUR
    assert view_of(session).seconds_left_of(session.ledger.trials[2]) == 2 * HOUR


def test_each_reason_stands_once_with_its_trials(session):
    trials = list(session.ledger.trials.values())
    for trial, state, reason in zip(trials, ("failed", "diverged", "failed"), ("a", "a", "b"), strict=False):
        trial.state, trial.reason = state, reason
    trials[3].state, trials[3].reason = "failed", "a"
    trials[3].retries += ["a", "a"]
    trials[2].moves += ["n", "n"]
    trials[1].notes.append("w")
    trials[1].steps[0]["problems"] = ["w"]  # a frame that is missing: warned of by the worker too
    trials[2].steps[0]["problems"] = ["w", "p"]
    expected = {("failed", "a"): [0, 3], ("diverged", "a"): [1], ("failed", "b"): [2]}
    assert failures(trials) == expected
    assert problems(trials) == expected | {
        ("tried again", "a"): [3], ("moved elsewhere", "n"): [2], ("warned", "w"): [1, 2],
        ("warned", "p"): [2],
    }  # fmt: skip


def test_the_best_is_complete_and_the_earlier_of_equals(session):
    view, trials = of_session(session), session.ledger.trials
    trials[0].value = trials[1].value = 0.5
    assert view.best() is trials[0]
    trials[1].value = 0.6
    assert view.best() is trials[1] and view.ranking() == [trials[1], trials[0]]
    trials[1].state = "diverged"
    assert view.best() is trials[0]
    trials[0].origin = "confirm"
    assert view.best() is None


def test_seconds_saved_are_those_of_every_step(session):
    trials = session.ledger.trials
    trials[0].steps[1]["saved_seconds"], trials[0].steps[2]["saved_seconds"] = 60.0, 30.0
    trials[1].steps[1]["saved_seconds"] = 10.0
    assert of_session(session).saved == (2, 100.0)


def test_an_attempt_that_nobody_heard_of_is_counted_from_its_rows(session):
    view = view_of(session)
    unheard = dataclasses.replace(view, under_way={2: Attempt(0.0), 3: Attempt(0.0)}, now=view.now + HOUR)
    assert unheard.seconds_left() == (10 * HOUR, 2)

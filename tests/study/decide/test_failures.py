"""Trials that crash, diverge or fail for good, and what a session makes of them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from optuna.trial import TrialState
from sessions import check_optuna, crash_of, crashing, in_optuna


def test_failed_trials_are_replaced(plan_of, open_session, fake_tune):
    session = open_session(plan_of("--samples", "5", "--pruner", "none"))
    crashing(fake_tune, lambda job: job.trial in (1, 3), crash_of(fake_tune))(session).run()
    trials = session.ledger.trials
    assert [n for n, t in trials.items() if t.state == "failed"] == [1, 3]
    assert trials[1].reason == "its worker process died" and trials[1].value is None
    assert len(trials) == 7 and session.queue.complete
    check_optuna(session)


def test_five_failures_in_a_row_stop_the_study_with_the_reason(plan_of, open_session, fake_tune):
    session = open_session(plan_of("--samples", "50", "--pruner", "none"))
    crashing(fake_tune, lambda job: job.trial > 2, crash_of(fake_tune))(session).run()
    assert session.stopping == "the last 5 trials all failed: its worker process died"
    assert len(session.ledger.trials) == 8 and not session.queue.complete


def test_a_plan_stops_as_well(plan_of, open_session, fake_tune):
    session = open_session(plan_of("--plan", "paper"))
    crashing(fake_tune, lambda job: True, crash_of(fake_tune))(session).run()
    assert len(session.ledger.trials) == 5 and "all failed" in str(session.stopping)


def test_a_failed_run_of_a_plan_is_tried_again_by_the_next_session(plan_of, open_session, play, fake_tune):
    session = open_session(plan_of("--plan", "table1"))
    crashing(fake_tune, lambda job: job.trial == 1, crash_of(fake_tune))(session).run()
    assert not session.queue.complete and session.stopping is None
    again = play(plan_of("--plan", "table1"))
    assert again.queue.complete and [t.state for t in again.ledger.trials.values()].count("failed") == 1


class TestDiverged:
    """A training that diverges is a result: not run again, not replaced, and no sign of a broken machine."""

    @pytest.fixture
    def diverging(self, fake_tune):
        class Diverging(fake_tune):
            bad: Any = staticmethod(lambda job: job.trial == 1)

            def rows(self, job):
                for row in super().rows(job):
                    if row["step"] == 2 and self.bad(job):
                        yield {"diverged": "loss is nan in epoch 1 of stage 2"}
                    yield row

        return Diverging

    def test_it_counts(self, plan_of, open_session, diverging):
        session = open_session(plan_of("--samples", "4", "--pruner", "none"))
        diverging(session).run()
        trial = session.ledger.trials[1]
        assert (trial.state, trial.value, trial.last_step) == ("diverged", 0.0, 1)
        assert len(session.ledger.trials) == 4 and session.queue.complete
        frozen = in_optuna(session)[1]
        assert frozen.state == TrialState.COMPLETE and frozen.value == 0.0
        assert frozen.intermediate_values == {1: trial.curve()[1], 2: 0.0}
        assert frozen.user_attrs["state"] == "diverged"
        assert frozen.user_attrs["reason"].startswith("loss is nan")
        again = open_session(plan_of("--samples", "4"))
        assert again.queue.outlook() == "4 done, 0 resumed, 0 new"

    def test_the_best_step_before_it_counts_where_the_study_maximises_that(
        self, plan_of, open_session, diverging
    ):
        session = open_session(plan_of("--samples", "4", "--pruner", "none", "--objective", "best"))
        diverging(session).run()
        trial = session.ledger.trials[1]
        assert trial.value == in_optuna(session)[1].value == trial.curve()[1] > 0

    def test_without_labels_it_is_worth_nothing_to_anybody(self, plan_of, open_session, diverging):
        class Blind(diverging):
            def rows(self, job):
                for row in super().rows(job):
                    yield row if "step" not in row else row | {"mAP": None}

        session = open_session(plan_of("--samples", "3"))
        Blind(session).run()
        trial = session.ledger.trials[1]
        assert (trial.state, trial.value) == ("diverged", None)
        assert in_optuna(session)[1].state == TrialState.FAIL

    def test_the_sampler_learns_to_keep_away(self, plan_of, open_session, fake_tune):
        """τ below 0.06 diverges: of the draws of a model less than half as many go there as by chance."""

        class Cliff(fake_tune):
            def rows(self, job):
                for row in super().rows(job):
                    if row["step"] == 1 and job.config["train"]["temperature"] < 0.06:
                        yield {"diverged": "loss is nan in epoch 1 of stage 1"}
                    yield row

        session = open_session(plan_of("--samples", "90", "--space", "temperature", "--pruner", "none"))
        Cliff(session, slots=2).run()
        drawn = [t.config["train"]["temperature"] < 0.06 for t in session.ledger.trials.values()][11:]
        by_chance = math.log(0.06 / 0.03) / math.log(0.3 / 0.03)
        assert len(drawn) == 79 and sum(drawn) / len(drawn) < by_chance / 2

    def test_a_plan_goes_on(self, plan_of, open_session, diverging):
        session = open_session(plan_of("--plan", "table3"))
        diverging.bad = staticmethod(lambda job: True)
        diverging(session).run()
        assert session.queue.complete

    def test_a_search_where_all_diverge_stops(self, plan_of, open_session, diverging):
        session = open_session(plan_of("--samples", "50", "--pruner", "none"))
        diverging.bad = staticmethod(lambda job: True)
        diverging(session).run()
        assert "the last 5 trials all diverged: loss is nan" in str(session.stopping)


def test_a_step_whose_map_is_not_finite_is_recorded_and_not_told(plan_of, open_session, fake_tune):
    session = open_session(plan_of("--samples", "3"))

    class Holes(fake_tune):
        def rows(self, job):
            for row in super().rows(job):
                yield row | ({"mAP": float("nan")} if row["step"] in (2, self.total) else {})

    Holes(session).run()
    trial = session.ledger.trials[0]
    assert sorted(trial.curve()) == [1, 3, 4] and trial.value == trial.curve()[4]
    assert session.queue.complete and in_optuna(session)[0].state == TrialState.COMPLETE


def test_retries_and_notes_are_kept_with_the_trial(plan_of, open_session, fake_tune, caplog):
    session = open_session(plan_of("--samples", "2"))
    job = session.ask("t")
    session.started("t")
    session.retried("t", "its worker process died")
    row = next(fake_tune(session).rows(job)) | {"notes": ["step-003.pt is damaged"]}
    assert session.hear("t", row)
    trial = session.ledger.trials[0]
    assert trial.retries == ["its worker process died"] and trial.notes == ["step-003.pt is damaged"]
    assert "trial 0: step-003.pt is damaged" in caplog.text and "notes" not in trial.steps[0]


def test_what_fails_while_stopping_is_resumed(plan_of, open_session):
    session = open_session(plan_of("--samples", "2"))
    session.ask("t")
    session.started("t")
    session.stop("signal SIGTERM")
    session.failed("t", "its worker process died")
    assert session.ledger.trials[0].state == "running" and session.idle
    assert open_session(plan_of("--samples", "2")).queue.outlook() == "0 done, 1 resumed, 1 new"


def test_optunas_storage_may_fail(plan_of, open_session, fake_tune, monkeypatch, caplog):
    session = open_session(plan_of("--samples", "3"))

    def broken(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(session.optuna, "report", broken)
        patch.setattr(session.optuna, "tell", broken)
        fake_tune(session).run()
    assert session.queue.complete and "Optuna's storage: OSError: disk full" in caplog.text
    check_optuna(open_session(plan_of("--samples", "3")))

"""Trials that crash, diverge or fail for good, and what a session makes of them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from optuna.trial import TrialState
from sessions import check_optuna, crash_of, crashing, in_optuna

from study.failures import Failure


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

    def test_by_the_score_without_labels_it_is_worth_nothing(self, plan_of, open_session, diverging):
        class Blind(diverging):
            def rows(self, job):
                for row in super().rows(job):
                    yield row if "step" not in row else row | {"mAP": None}

        options = ("--samples", "4", "--pruner", "none", "--objective", "unlabelled")
        session = open_session(plan_of(*options))
        Blind(session).run()
        trial, frozen = session.ledger.trials[1], in_optuna(session)[1]
        assert (trial.state, trial.value, trial.selected_step) == ("diverged", 0.0, 1)
        assert frozen.state == TrialState.COMPLETE and frozen.value == 0.0
        assert frozen.intermediate_values == {1: trial.curve("unlabelled")[1], 2: 0.0}

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
        """τ below 0.06 diverges: of the draws of a model far fewer go there than by chance."""

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
        assert len(drawn) == 79 and sum(drawn) / len(drawn) < 0.6 * by_chance  # two deviations of 79 draws

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
    session.crashed("t", Failure("trial", "its worker process died"))
    row = next(fake_tune(session).rows(job)) | {"notes": ["step-003.pt is damaged"]}
    assert session.hear("t", row)
    trial = session.ledger.trials[0]
    assert trial.retries == ["its worker process died"] and trial.notes == ["step-003.pt is damaged"]
    assert "trial 0: step-003.pt is damaged" in caplog.text and "notes" not in trial.steps[0]


@pytest.mark.parametrize("by", ["crashing", "Tune's giving up"])
def test_what_fails_while_stopping_is_resumed(plan_of, open_session, by: str):
    session = open_session(plan_of("--samples", "2"))
    session.ask("t")
    session.started("t")
    session.stop("signal SIGTERM")
    if by == "crashing":
        assert session.crashed("t", Failure("trial", "its worker process died")) is None
    else:
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


# --- whose fault it is

CRASH = Failure("trial", "its worker process died")


def broken_gpu(number: int) -> Failure:
    return Failure("node", "GPUError: CUDA does not start", "1a2b", (str(number),))


@pytest.fixture
def under_way(plan_of, open_session):
    """A session with trial 0 under way as `t`, which is tried again once."""

    def make(*options: str):
        session = open_session(plan_of("--samples", "3", "--max-failures", "1", *options))
        session.ask("t")
        session.started("t")
        return session

    return make


def test_crashes_count_anew_after_each_recorded_step(under_way):
    session = under_way()
    for step in range(4):
        assert session.crashed("t", CRASH) is not None
        session.started("t")
        assert session.hear("t", {"step": step, "mAP": 0.5, "total_steps": 5})
        assert session.hear("t", {"step": step, "mAP": 0.5, "total_steps": 5})  # told again: counts once
    assert session.crashed("t", CRASH).recorded == 3
    assert session.crashed("t", CRASH) is None
    trial = session.ledger.trials[0]
    assert (trial.state, trial.reason, len(trial.retries)) == ("failed", CRASH.reason, 5)


def test_a_step_that_was_told_before_wipes_nothing(under_way):
    session = under_way()
    row = {"step": 0, "mAP": 0.5, "total_steps": 5}
    assert session.hear("t", row) and session.crashed("t", CRASH) is not None
    assert session.hear("t", row) and session.crashed("t", CRASH) is None


def test_failures_of_places_do_not_count_against_the_trial(under_way):
    session = under_way()
    for number in (0, 1, 2, 3):
        assert session.crashed("t", broken_gpu(number)) is not None
    assert session.crashed("t", CRASH) is not None  # its own first
    trial = session.ledger.trials[0]
    assert trial.moves == [broken_gpu(0).reason] * 4 and trial.retries == [CRASH.reason]


def test_a_trial_that_five_places_fail_has_failed_by_name(under_way):
    session = under_way()
    for number in (0, 1, 2, 3):
        assert session.crashed("t", broken_gpu(number)) is not None
    assert session.crashed("t", broken_gpu(4)) is None
    trial = session.ledger.trials[0]
    assert trial.state == "failed"
    said = "moved 5 times in a row, to 5 GPU(s) or node(s): GPUError: CUDA does not start"
    assert trial.reason == said


def test_moving_on_ends_where_no_place_will_have_it_but_not_while_steps_come(under_way):
    session = under_way()
    for _ in range(19):
        assert session.crashed("t", Failure("node", "its node died")) is not None
    session.hear("t", {"step": 0, "mAP": 0.5, "total_steps": 5})
    for _ in range(19):
        assert session.crashed("t", broken_gpu(3)) is not None
    assert session.crashed("t", broken_gpu(3)) is None
    assert str(session.ledger.trials[0].reason).startswith("moved 20 times in a row, to 1 GPU(s) or node(s)")


MEMORY = Failure("memory", "GPU out of memory (smaller --batch-size): OutOfMemoryError: 2 GiB")


def test_memory_is_saved_once_and_in_later_sessions(under_way, plan_of, open_session):
    session = under_way()
    job = session.crashed("t", MEMORY)
    assert job.checkpoint_activations
    again = "GPU out of memory: again with --checkpoint-activations"
    assert session.ledger.trials[0].retries[0].startswith(again)
    session.ledger.close()
    later = open_session(plan_of("--samples", "3"))
    assert later.ask("u").checkpoint_activations
    later.started("u")
    assert not later.ask("v").checkpoint_activations  # another trial
    assert later.crashed("u", MEMORY) is None
    trial = later.ledger.trials[0]
    assert trial.state == "failed" and trial.reason == f"{MEMORY.reason} (with --checkpoint-activations)"


@pytest.mark.parametrize("options", [["--checkpoint-activations"], ["--compile"]])
def test_where_memory_cannot_be_saved_the_trial_fails_at_once(options, under_way):
    session = under_way(*options)
    assert session.crashed("t", MEMORY) is None
    assert str(session.ledger.trials[0].reason).startswith(MEMORY.reason)


def test_a_trial_that_waits_is_noted_once_and_is_alive(under_way, monkeypatch):
    session = under_way()
    now = [1000.0]
    monkeypatch.setattr("study.decide.session.time.monotonic", lambda: now[0])
    for _ in range(3):
        now[0] += 60.0
        assert session.waits("t", "[Errno 116] Stale file handle")
        assert session.running["t"].heard == now[0]
    now[0] += 5.0
    assert session.waits("t", "")
    assert session.waits("t", "")
    assert session.ledger.trials[0].notes == [
        "waits for its files: [Errno 116] Stale file handle",
        "goes on, having waited 2:05 for its files",
    ]
    session.stop("signal SIGTERM")
    assert not session.waits("t", "x") and not session.waits("unknown", "x")


def test_a_place_is_set_aside_until_it_is_given_back_or_the_session_ends(under_way, open_session, caplog):
    session = under_way()
    session.set_aside("GPU 3 of 10.0.0.5", "CUDA does not start")
    session.set_aside("10.0.0.6", "has other data")
    session.set_aside("10.0.0.6", None)
    assert session.ledger.set_aside == {"GPU 3 of 10.0.0.5": "CUDA does not start"}
    assert "GPU 3 of 10.0.0.5 is set aside: CUDA does not start; no trial starts there" in caplog.text
    assert "10.0.0.6 can run trials again" in caplog.text
    session.ledger.close()
    assert open_session(session.plan).ledger.set_aside == {}


# --- failed trials taken up again


def failed_study(plan_of, open_session, fake_tune, *options: str):
    session = open_session(plan_of(*options))
    crashing(fake_tune, lambda job: job.trial == 1, crash_of(fake_tune))(session).run()
    session.ledger.close()
    return session


def test_failed_trials_go_on_where_they_were_under_their_own_numbers(plan_of, open_session, fake_tune, play):
    options = ("--samples", "3", "--pruner", "none")
    before = failed_study(plan_of, open_session, fake_tune, *options).ledger.trials
    assert [t.state for t in before.values()] == ["complete", "failed", "complete", "complete"]
    session = open_session(plan_of(*options, "--retry-failed"))
    assert session.queue.resumable == [1] and not session.queue.complete
    tune = fake_tune(session)
    tune.run()
    assert tune.started == [1] and session.queue.complete
    trial = session.ledger.trials[1]
    assert trial.state == "complete" and trial.steps[1] == before[1].steps[1] and trial.last_step == 5
    assert trial.notes == ["taken up again, having failed: its worker process died"]
    check_optuna(session)


def test_without_the_option_they_stay_failed(plan_of, open_session, fake_tune, play):
    failed_study(plan_of, open_session, fake_tune, "--samples", "3", "--pruner", "none")
    assert play(plan_of("--samples", "4")).ledger.trials[1].state == "failed"


def test_a_failed_run_of_a_plan_is_continued_and_not_run_anew(plan_of, open_session, fake_tune, play):
    failed_study(plan_of, open_session, fake_tune, "--plan", "table1")
    session = play(plan_of("--plan", "table1", "--retry-failed"))
    assert session.queue.complete and len(session.ledger.trials) == 3


def test_a_run_that_another_has_taken_over_is_left_alone(plan_of, open_session, fake_tune, play):
    failed_study(plan_of, open_session, fake_tune, "--plan", "table1")
    play(plan_of("--plan", "table1")).ledger.close()
    session = play(plan_of("--plan", "table1", "--retry-failed"))
    assert session.ledger.trials[1].state == "failed" and len(session.ledger.trials) == 4

"""Sessions of a study, played without Ray: what runs, what is recorded, when it stops."""

from __future__ import annotations

import pytest
from sessions import check_optuna, in_optuna, recorded

from study.decide.session import NO_MORE, Session
from study.job import Job
from study.plan import StudyPlan


@pytest.mark.parametrize("slots", [1, 3])
def test_a_study_ends_complete_and_optuna_knows_it(plan_of, play, slots: int):
    session = play(plan_of("--samples", "8"), slots=slots)
    assert session.queue.complete and session.stopping is None and not session.running
    states = [t.state for t in session.ledger.trials.values()]
    assert len(states) == 8 and set(states) == {"complete", "pruned"}
    check_optuna(session)


def test_the_paper_is_trial_0_and_never_pruned(plan_of, open_session, fake_tune):
    plan = plan_of("--samples", "12", "--grace", "1")
    session = open_session(plan)

    class PaperIsBad(fake_tune):
        def rows(self, job):
            for row in super().rows(job):
                yield row | ({"mAP": 0.01} if job.trial == 0 else {})

    PaperIsBad(session, slots=3).run()
    paper = session.ledger.trials[0]
    assert paper.config == plan.config.to_dict() and (paper.origin, paper.labels) == ("paper", ("paper",))
    assert paper.state == "complete" and paper.last_step == paper.total_steps
    assert "pruned" in {t.state for t in session.ledger.trials.values()}
    check_optuna(session)


def test_a_trial_has_a_row_of_every_step_and_of_the_untrained_network(plan_of, open_session, fake_tune):
    session = open_session(plan_of("--samples", "2", "--pruner", "none"))
    fake_tune(session).run()
    assert [sorted(t.steps) for t in session.ledger.trials.values()] == [list(range(6))] * 2


def test_of_two_bad_trials_the_draw_is_pruned_and_the_paper_goes_on(plan_of, open_session):
    session = open_session(plan_of("--samples", "6", "--grace", "1"))
    jobs = {name: session.ask(name) for name in ("paper", "good", "better", "bad")}
    assert jobs["paper"].trial == 0
    goes_on = {}
    for name, value in (("good", 0.5), ("better", 0.6), ("bad", 0.1), ("paper", 0.1)):
        session.started(name)
        goes_on[name] = session.hear(name, {"step": 1, "mAP": value, "total_steps": 5})
    assert goes_on == {"good": True, "better": True, "bad": False, "paper": True}
    assert session.ledger.trials[jobs["bad"].trial].state == "pruned"
    assert session.ledger.trials[0].state == "running"


def test_a_paper_configuration_outside_the_space_runs_without_teaching_the_sampler(
    plan_of, play, tmp_path, caplog
):
    (tmp_path / "narrow.toml").write_text("[merge.lambda1]\nlow = 0.2\nhigh = 0.4\n")
    session = play(plan_of("--samples", "3", "--space", str(tmp_path / "narrow.toml")))
    assert session.queue.complete and session.ledger.trials[0].state == "complete"
    assert 0 not in in_optuna(session) and "merge.lambda1 = 0.06 is outside" in caplog.text


def test_every_seed_of_the_papers_configuration_runs(plan_of, play):
    session = play(plan_of("--samples", "3", "--seeds", "3", "--seed", "7"))
    papers = [t for t in session.ledger.trials.values() if t.origin == "paper"]
    assert [t.seed for t in papers] == [7, 8, 9] and session.queue.target == 5
    assert len(session.ledger.trials) == 5
    check_optuna(session)


def test_a_plan_runs_its_configurations_on_every_seed(plan_of, play):
    session = play(plan_of("--plan", "table1", "--seeds", "2"), slots=2)
    trials = session.ledger.trials.values()
    assert session.queue.complete and session.optuna is None
    assert sorted(t.seed for t in trials) == [0, 0, 0, 1, 1, 1] and {t.state for t in trials} == {"complete"}
    assert {label for t in trials for label in t.labels} == {
        "table1/baseline", "table1/lambda1", "table1/lambda1_lambda2",
    }  # fmt: skip


# --- when it stops


def test_a_time_budget_stops_between_steps_and_the_next_session_goes_on(
    plan_of, open_session, fake_tune, monkeypatch, play
):
    session = open_session(plan_of("--samples", "3", "--time-budget", "60s"))
    now = [session.began]
    monkeypatch.setattr("study.decide.session.time.time", lambda: now[0])

    class Slow(fake_tune):
        def rows(self, job):
            for row in super().rows(job):
                now[0] += 10
                yield row

    Slow(session).run()
    assert session.stopping == "the time budget is spent" and session.idle
    assert session.ledger.trials[1].state == "running" or len(session.ledger.trials) == 1
    monkeypatch.undo()
    again = play(plan_of("--samples", "3"))
    assert again.queue.complete and recorded(again) == recorded(
        play(plan_of("--samples", "3", "--name", "other"))
    )


def test_a_time_budget_is_that_of_one_session(plan_of, open_session):
    options = ("--samples", "3", "--time-budget", "60s")
    open_session(plan_of(*options)).ledger.close()
    session = open_session(plan_of(*options))
    session.ledger.sessions[0]["time"] -= 3600.0  # the study is an hour old
    assert isinstance(session.ask("t"), Job) and session.stopping is None
    session.began -= 61.0
    assert session.ask("u") == NO_MORE and session.stopping == "the time budget is spent"


def test_gpu_hours_are_of_all_sessions_and_a_larger_number_goes_on(plan_of, open_session, fake_tune):
    class Timed(fake_tune):
        def rows(self, job):
            for row in super().rows(job):
                yield row | {"seconds_train": 1800.0}

    def session_with(hours: str) -> Session:
        session = open_session(plan_of("--samples", "3", "--pruner", "none", "--gpu-hours", hours))
        session.gpus_per_trial = 0.5
        Timed(session).run()
        return session

    session = session_with("2")
    assert session.stopping == "the 2 GPU hours are spent; a larger --gpu-hours goes on" and session.idle
    assert sum(t.gpu_seconds for t in session.ledger.trials.values()) == 2 * 3600
    again = session_with("2")
    assert again.stopping is not None and len(again.ledger.trials) == 2
    half = session_with("3")
    assert sum(t.gpu_seconds for t in half.ledger.trials.values()) == 3 * 3600 and not half.queue.complete
    last = session_with("100")
    assert last.queue.complete and last.stopping is None


def test_a_worker_replaced_by_another_drivers_stops_the_session(plan_of, open_session):
    session = open_session(plan_of("--samples", "3"))
    session.ask("t")
    session.started("t")
    assert not session.hear("t", {"superseded": "attempt 1 has been replaced by attempt 2"})
    assert session.stopping == (
        "trial 0: attempt 1 has been replaced by attempt 2; another driver is at work on this study"
    )
    assert session.ledger.trials[0].state == "running" and session.ask("u") == NO_MORE


def test_a_stopping_session_starts_nothing(plan_of, open_session):
    session = open_session(plan_of("--samples", "3"))
    session.ask("waiting")
    session.stop("signal SIGINT")
    assert session.ask("other") == NO_MORE and session.idle


def test_concurrency_is_kept(plan_of, open_session):
    session = open_session(plan_of("--samples", "5", "--concurrency", "2"))
    assert isinstance(session.ask("a"), Job) and isinstance(session.ask("b"), Job)
    assert session.ask("c") is None


def check_objective(session: Session, metric: str, so_far: bool) -> None:
    """Optuna holds the metric of the last step, or the highest so far."""
    assert len(in_optuna(session)) == 4
    for number, frozen in in_optuna(session).items():
        rows = session.ledger.trials[number].steps
        values = [rows[step][metric] for step in range(1, 6)]
        curve = [max(values[:step]) if so_far else values[step - 1] for step in range(1, 6)]
        assert frozen.intermediate_values == dict(enumerate(curve, 1))
        assert frozen.value == session.ledger.trials[number].value == curve[-1]


@pytest.mark.parametrize("objective", ["last", "best", "unlabelled"])
def test_the_objective_is_what_optuna_holds(plan_of, play, objective: str):
    session = play(plan_of("--samples", "4", "--objective", objective, "--pruner", "none"))
    check_objective(session, "unlabelled" if objective == "unlabelled" else "mAP", objective != "last")


def test_without_labels_a_search_learns_from_the_score(play_unlabelled):
    check_objective(play_unlabelled("--samples", "4", "--pruner", "none"), "unlabelled", so_far=True)


def test_without_labels_the_median_pruner_ends_trials(play_unlabelled):
    session = play_unlabelled("--samples", "12", "--pruner", "median", "--grace", "2")
    ended = [t for t in session.ledger.trials.values() if t.state == "pruned"]
    assert ended and all(trial.value == max(trial.curve("unlabelled").values()) for trial in ended)


def test_plans_are_values(plan_of):
    plan = plan_of("--samples", "6")
    assert StudyPlan(**plan.to_dict()) == plan

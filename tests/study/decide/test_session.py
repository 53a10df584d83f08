"""Sessions of a study, played without Ray: what runs, what is recorded, what a cut costs (nothing)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from study.decide.session import NO_MORE, Session
from study.job import Job
from study.plan import StudyPlan
from study.record.ledger import Ledger
from study.record.results import results_table

STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


def told(session: Session) -> dict[int, tuple[Any, ...]]:
    """What the ledger tells of each trial, times left out."""
    trials = Ledger(session.ledger.path, read_only=True).trials.values()
    return {t.number: (t.config, t.origin, t.state, t.reason, t.value, t.steps) for t in trials}


def in_optuna(session: Session) -> dict[int, optuna.trial.FrozenTrial]:
    """Optuna's trials by the ledger's number."""
    assert session.optuna is not None
    return {t.user_attrs["trial"]: t for t in session.optuna.study.trials if "trial" in t.user_attrs}


def check_optuna(session: Session) -> None:
    """Optuna holds every searched trial in its true state, with its whole curve, and nothing RUNNING."""
    found = in_optuna(session)
    assert session.optuna is not None
    assert all(t.state.is_finished() for t in session.optuna.study.trials)
    searched = [t for t in session.ledger.trials.values() if session.queue.is_searched(t)]
    assert sorted(found) == [t.number for t in searched]
    for trial in searched:
        frozen = found[trial.number]
        assert STATES[frozen.state] == trial.state and frozen.params == trial.params
        assert frozen.intermediate_values == pytest.approx(trial.curve())
        if trial.state in ("complete", "pruned"):
            assert frozen.value == pytest.approx(trial.curve()[trial.last_step])


# --- a study from start to end


@pytest.mark.parametrize("slots", [1, 3])
def test_a_study_ends_complete_and_optuna_knows_it(plan_of, play, slots: int):
    session = play(plan_of("--samples", "8"), slots=slots)
    assert session.queue.complete and session.stopping is None and not session.running
    states = [t.state for t in session.ledger.trials.values()]
    assert len(states) == 8 and set(states) == {"complete", "pruned"}
    check_optuna(session)


def test_the_paper_is_trial_0_and_never_pruned(plan_of, open_session, fake_tune):
    plan = plan_of("--samples", "6", "--grace", "1")
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


# --- again and more


def test_the_same_command_again_has_nothing_to_do(plan_of, play, open_session):
    before = told(play(plan_of("--samples", "6")))
    again = open_session(plan_of("--samples", "6"))
    assert again.queue.outlook() == "6 done, 0 resumed, 0 new" and again.queue.complete
    assert again.ask("t") == NO_MORE and told(again) == before


def test_more_samples_extend_a_study(plan_of, play):
    before = told(play(plan_of("--samples", "4")))
    session = play(plan_of("--samples", "7"))
    after = told(session)
    assert {n: after[n] for n in before} == before and len(after) == 7 and session.queue.complete
    check_optuna(session)


def test_extended_in_parts_is_the_same_study(plan_of, play):
    for samples in ("2", "5", "9"):
        parts = told(play(plan_of("--samples", samples, "--name", "parts")))
    assert parts == told(play(plan_of("--samples", "9")))


def test_fewer_seeds_than_were_run_do_not_count_as_samples(plan_of, play, open_session):
    play(plan_of("--samples", "3", "--seeds", "3"))
    session = open_session(plan_of("--samples", "5"))
    assert session.queue.outlook() == "3 done, 0 resumed, 2 new"


@pytest.mark.parametrize("slots", [1, 2])
@pytest.mark.parametrize("pruner", ["none", "asha", "median"])
def test_a_study_cut_anywhere_ends_as_an_undisturbed_one(plan_of, play, pruner: str, slots: int):
    options = ("--samples", "7", "--pruner", pruner, "--grace", "2")
    whole = play(plan_of(*options, "--name", "whole"), slots=slots)
    cut = 3
    while not (session := play(plan_of(*options), slots=slots, cut=cut)).queue.complete:
        cut += 2
    check_optuna(session)
    if slots == 1:
        assert told(session) == told(whole)
    else:  # the order of reports differs, and with it what a pruner compares
        rows = {(n, step): row for n, t in told(session).items() for step, row in t[-1].items()}
        expected = {(n, step): row for n, t in told(whole).items() for step, row in t[-1].items()}
        assert all(rows[key] == expected[key] for key in rows.keys() & expected.keys())
        assert pruner != "none" or rows == expected


def test_after_a_cut_the_outlook_tells_what_is_resumed(plan_of, play, open_session):
    play(plan_of("--samples", "6", "--pruner", "none"), slots=2, cut=15)
    again = open_session(plan_of("--samples", "6"))
    done = [t for t in again.ledger.trials.values() if t.state != "running"]
    resumed = [t for t in again.ledger.trials.values() if t.state == "running"]
    assert again.queue.outlook() == f"{len(done)} done, 2 resumed, {4 - len(done)} new" and len(resumed) == 2
    job = again.ask("t")
    assert isinstance(job, Job) and job.recorded == resumed[0].last_step > 0


def test_a_trial_whose_end_was_not_written_is_over(plan_of, play, open_session):
    session = play(plan_of("--samples", "3", "--pruner", "none"))
    path = session.ledger.path
    path.write_bytes(path.read_bytes().rstrip(b"\n").rpartition(b"\n")[0] + b"\n")
    again = open_session(plan_of("--samples", "3"))
    assert again.queue.outlook() == "3 done, 0 resumed, 0 new"
    assert told(again) == told(session)
    check_optuna(again)


def test_trials_take_as_long_as_those_that_one_session_ran_from_start_to_end(plan_of, play):
    options = ("--samples", "4", "--pruner", "none")
    cut = play(plan_of(*options), cut=8)  # in the middle of the second trial
    assert len(cut.durations) == 1
    assert len(play(plan_of(*options)).durations) == 2


def test_steps_reported_twice_are_recorded_once(plan_of, open_session, fake_tune):
    session = open_session(plan_of("--samples", "2"))

    class Stutter(fake_tune):
        def rows(self, job):
            for row in super().rows(job):
                yield row
                yield row | {"mAP": 0.99}

    Stutter(session).run()
    assert session.queue.complete and 0.99 not in session.ledger.trials[0].curve().values()
    check_optuna(session)


# --- failures


def crashing(fake_tune: Any, when: Callable[[dict[str, Any]], bool], crash: type[Exception]) -> Any:
    class Crashing(fake_tune):
        def rows(self, job):
            for row in super().rows(job):
                if row["step"] == 2 and when(job):
                    raise crash("its worker process died")
                yield row

    return Crashing


def crash_of(fake_tune: Any) -> type[Exception]:
    import sys

    found: type[Exception] = sys.modules[fake_tune.__module__].Crash
    return found


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


# --- what is drawn


@pytest.fixture
def small_space(tmp_path) -> str:
    path = tmp_path / "small.toml"
    path.write_text('[train.alpha_schedule]\nchoices = ["linear", "fixed", "cosine"]\n')
    return str(path)


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp"])
def test_no_configuration_runs_twice(plan_of, play, small_space, sampler: str):
    session = play(plan_of("--samples", "10", "--space", small_space, "--sampler", sampler))
    digests = [t.digest for t in session.ledger.trials.values()]
    assert len(digests) == len(set(digests)) == 3
    assert "the space is exhausted" in str(session.stopping)
    assert all(t.state.is_finished() for t in session.optuna.study.trials)


def test_a_grid_runs_every_point_once_and_is_complete(plan_of, play, small_space, open_session):
    options = ("--samples", "10", "--space", small_space, "--sampler", "grid")
    play(plan_of(*options), cut=8)
    session = play(plan_of(*options))
    schedules = [t.config["train"]["alpha_schedule"] for t in session.ledger.trials.values()]
    assert schedules == ["linear", "fixed", "cosine"] and session.queue.complete
    check_optuna(session)
    assert open_session(plan_of(*options)).queue.outlook() == "3 done, 0 resumed, 0 new"


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp", "cmaes", "grid"])
def test_every_sampler_runs_and_runs_on_after_a_cut(plan_of, play, sampler: str):
    options = ("--samples", "14", "--sampler", sampler, "--seed", "3")
    whole = told(play(plan_of(*options, "--name", "whole")))
    play(plan_of(*options), cut=20)
    session = play(plan_of(*options))
    assert session.queue.complete and len(session.ledger.trials) == 14
    check_optuna(session)
    # The first trials are drawn before a model is trusted.
    assert [told(session)[n][0] for n in range(9)] == [whole[n][0] for n in range(9)]


def test_conditional_parameters(plan_of, play, tmp_path):
    path = tmp_path / "head.toml"
    path.write_text(
        '[model.head]\nchoices = ["none", "embedding"]\n'
        '[model.dropout]\nlow = 0.0\nhigh = 0.8\nwhen = { "model.head" = "embedding" }\n'
    )
    session = play(plan_of("--samples", "12", "--space", str(path)))
    heads = {t.number: t.config["model"]["head"] for t in session.ledger.trials.values()}
    assert set(heads.values()) == {"none", "embedding"}
    for number, frozen in in_optuna(session).items():
        assert ("model.dropout" in frozen.params) == (heads[number] == "embedding")
    check_optuna(session)


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
    assert again.queue.complete and told(again) == told(play(plan_of("--samples", "3", "--name", "other")))


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


def test_a_stopping_session_starts_nothing(plan_of, open_session):
    session = open_session(plan_of("--samples", "3"))
    session.ask("waiting")
    session.stop("signal SIGINT")
    assert session.ask("other") == NO_MORE and session.idle


def test_concurrency_is_kept(plan_of, open_session):
    session = open_session(plan_of("--samples", "5", "--concurrency", "2"))
    assert isinstance(session.ask("a"), Job) and isinstance(session.ask("b"), Job)
    assert session.ask("c") is None


@pytest.mark.parametrize("objective", ["last", "best"])
def test_the_objective_is_what_optuna_holds(plan_of, play, objective: str):
    session = play(plan_of("--samples", "4", "--objective", objective, "--pruner", "none"))
    for number, frozen in in_optuna(session).items():
        curve = session.ledger.trials[number].curve()
        value = max(curve.values()) if objective == "best" else curve[max(curve)]
        assert frozen.value == session.ledger.trials[number].value == value
        assert frozen.intermediate_values[max(curve)] == value


def test_the_table_equals_the_ledger(plan_of, play):
    session = play(plan_of("--samples", "6"))
    table = results_table("study", list(session.ledger.trials.values()), "last")
    rows = {(t.number, step): row for t in session.ledger.trials.values() for step, row in t.steps.items()}
    assert [(row.trial, row.step) for row in table.itertuples()] == list(rows)
    for row in table.itertuples():
        assert row.mAP == rows[row.trial, row.step]["mAP"]


def test_the_tables_best_step_is_the_first_of_equals_and_no_untrained_one(plan_of, play):
    trial = play(plan_of("--samples", "1")).ledger.trials[0]
    for step, value in enumerate((0.9, 0.4, 0.5, 0.3, 0.5, 0.1)):
        trial.steps[step] |= {"mAP": value}
    table = results_table("study", [trial], "last").set_index("step")
    assert table.best_step.fillna(-1).tolist() == [-1, 1, 2, 2, 2, 2]
    assert table.best_mAP.fillna(-1).tolist() == [-1, 0.4, 0.5, 0.5, 0.5, 0.5]


def test_plans_are_values(plan_of):
    plan = plan_of("--samples", "6")
    assert StudyPlan(**plan.to_dict()) == plan

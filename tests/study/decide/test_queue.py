"""What is run next: again and more of a study, and what the sampler draws; a cut costs nothing."""

from __future__ import annotations

import json

import pytest
from optuna.samplers import RandomSampler
from sessions import check_optuna, in_optuna, recorded

from dcreid.config import Config
from study.decide.session import NO_MORE
from study.job import Job


def test_the_same_command_again_has_nothing_to_do(plan_of, play, open_session):
    before = recorded(play(plan_of("--samples", "6")))
    again = open_session(plan_of("--samples", "6"))
    assert again.queue.outlook() == "6 done, 0 resumed, 0 new" and again.queue.complete
    assert again.ask("t") == NO_MORE and recorded(again) == before


def test_more_samples_extend_a_study(plan_of, play):
    before = recorded(play(plan_of("--samples", "4")))
    session = play(plan_of("--samples", "7"))
    after = recorded(session)
    assert {n: after[n] for n in before} == before and len(after) == 7 and session.queue.complete
    check_optuna(session)


def test_extended_in_parts_is_the_same_study(plan_of, play):
    for samples in ("2", "5", "9"):
        parts = recorded(play(plan_of("--samples", samples, "--name", "parts")))
    assert parts == recorded(play(plan_of("--samples", "9")))


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
        assert recorded(session) == recorded(whole)
    else:  # the order of reports differs, and with it what a pruner compares
        rows = {(n, step): row for n, t in recorded(session).items() for step, row in t[-1].items()}
        expected = {(n, step): row for n, t in recorded(whole).items() for step, row in t[-1].items()}
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
    assert recorded(again) == recorded(session)
    check_optuna(again)


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
    events = [json.loads(line) for line in session.ledger.path.read_text().splitlines()]
    steps = [(event["trial"], event["row"]["step"]) for event in events if event["event"] == "step"]
    assert len(steps) == len(set(steps)) > 0


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


def test_a_sampler_that_proposes_one_point_for_ever_does_not_end_the_search(plan_of, open_session, fake_tune):
    plan = plan_of("--samples", "4")

    class Sure(RandomSampler):
        def sample_independent(self, study, trial, param_name, param_distribution):
            return plan.search_space.params_of(plan.config)[param_name]

    session, draws = open_session(plan), []
    session.optuna.make_sampler = lambda draw: draws.append(draw) or Sure(seed=draw)
    fake_tune(session).run()
    assert len(draws) == len(set(draws)) == 30
    assert session.queue.complete and len({t.digest for t in session.ledger.trials.values()}) == 4
    check_optuna(session)


def test_random_searches_on_both_halves_draw_the_same_configurations(plan_of, play):
    drawn = []
    for half in ("first_half", "second_half"):
        session = play(plan_of("--samples", "6", "--sampler", "random", "--split", half, "--name", half))
        flat = [Config.from_dict(t.config).flat() for t in session.ledger.trials.values()]
        assert {values.pop("data.split") for values in flat} == {half}
        drawn.append(flat)
    assert drawn[0] == drawn[1] and len({str(values) for values in drawn[0]}) == 6


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
    whole = recorded(play(plan_of(*options, "--name", "whole")))
    play(plan_of(*options), cut=20)
    session = play(plan_of(*options))
    assert session.queue.complete and len(session.ledger.trials) == 14
    check_optuna(session)
    # The first trials are drawn before a model is trusted.
    assert [recorded(session)[n][0] for n in range(9)] == [whole[n][0] for n in range(9)]


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

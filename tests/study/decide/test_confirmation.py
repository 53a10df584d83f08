"""Confirming a search: which runs, when they start, and that they count apart from the samples."""

from __future__ import annotations

import math

import pytest
from rich.console import Console

from dcreid.config import Config
from study.command.parser import parser
from study.command.resolve import overrides
from study.decide.confirmation import best_drawn, confirmation, confirmed, fresh_seeds
from study.decide.session import NO_MORE
from study.errors import OptionError
from study.record.intervals import estimate
from study.show.summary import summary

SEARCH = ("--samples", "5", "--pruner", "none")
CONFIRM = (*SEARCH, "--confirm", "2", "--seeds", "3")


def of_origin(session, origin: str):
    return [trial for trial in session.ledger.trials.values() if trial.origin == origin]


def without_seed(trial) -> Config:
    return Config.from_dict(trial.config).replace(seed=0)


@pytest.fixture
def text_of():
    def output(session) -> str:
        console = Console(width=100, record=True, quiet=False)
        summary(session, console)
        return console.export_text()

    return output


def test_the_best_and_the_papers_run_on_fresh_seeds(plan_of, play):
    session = play(plan_of(*CONFIRM), slots=2)
    runs = of_origin(session, "confirm")
    assert session.queue.complete and session.queue.target == 5 + 9 and len(runs) == 9
    ranked = sorted(of_origin(session, "search"), key=lambda trial: -trial.value)
    wanted = [session.plan.config, without_seed(ranked[0]), without_seed(ranked[1])]
    assert [(without_seed(trial), trial.seed) for trial in runs] == [
        (c, s) for s in (1, 2, 3) for c in wanted
    ]
    assert runs[0].labels == ("confirm", "paper") and runs[1].labels == (
        "confirm",
        f"trial {ranked[0].number}",
    )
    assert all(trial.params == {} for trial in runs)  # Optuna does not learn from them
    assert min(trial.number for trial in runs) > max(trial.number for trial in ranked)


def test_confirming_a_study_that_is_there_starts_nothing_else(plan_of, play, open_session):
    play(plan_of(*SEARCH))
    session = open_session(plan_of(*CONFIRM))
    assert session.queue.outlook() == "5 done, 0 resumed, 9 new (9 in all to confirm the search)"
    whole = play(plan_of(*CONFIRM))
    assert len(whole.ledger.trials) == 14 and whole.queue.complete
    again = open_session(plan_of(*CONFIRM))
    assert again.queue.outlook() == "14 done, 0 resumed, 0 new (9 in all to confirm the search)"
    assert again.ask("t") == NO_MORE


def test_it_waits_for_the_search(plan_of, play):
    session = play(plan_of(*CONFIRM), cut=8)
    assert not session.queue.complete and not of_origin(session, "confirm")
    assert session.queue.target == 14


@pytest.mark.parametrize("slots", [1, 2])
def test_cut_anywhere_it_ends_as_an_undisturbed_one(plan_of, play, slots: int):
    whole = play(plan_of(*CONFIRM, "--name", "whole"), slots=slots)
    cut = 5
    while not (session := play(plan_of(*CONFIRM), slots=slots, cut=cut)).queue.complete:
        cut += 4

    def output(of):
        return sorted((t.origin, str(t.config), t.labels, t.value) for t in of.ledger.trials.values())

    assert output(session) == output(whole)


def test_failed_runs_are_tried_again_by_the_next_session(plan_of, open_session, play, fake_tune):
    import sys

    crash = sys.modules[fake_tune.__module__].Crash

    class Crashing(fake_tune):
        def rows(self, job):
            for row in super().rows(job):
                if job.trial == 6 and row["step"] == 2:
                    raise crash("its worker process died")
                yield row

    session = open_session(plan_of(*CONFIRM))
    Crashing(session).run()
    assert not session.queue.complete and session.stopping is None
    again = play(plan_of(*CONFIRM))
    assert again.queue.complete and len(of_origin(again, "confirm")) == 10


def test_more_samples_may_change_what_is_confirmed(plan_of, play):
    first = play(plan_of(*CONFIRM))
    before = {trial.digest for trial in of_origin(first, "confirm")}
    more = play(plan_of("--samples", "12", "--pruner", "none", "--confirm", "2", "--seeds", "3"))
    best = best_drawn(more.plan, more.ledger.trials.values())
    after = {trial.digest for trial in of_origin(more, "confirm")}
    assert more.queue.complete and before <= after
    found = {without_seed(trial) for trial in of_origin(more, "confirm")}
    assert {without_seed(trial) for trial in best} <= found


def test_runs_of_the_papers_configuration_that_are_there_are_taken_over(plan_of, play):
    play(plan_of(*SEARCH, "--seeds", "3"))  # seeds 0, 1, 2
    session = play(plan_of(*CONFIRM))
    assert session.queue.complete
    reused = [trial for trial in of_origin(session, "confirm") if trial.reused]
    assert [(without_seed(t), t.seed) for t in reused] == [(session.plan.config, 1), (session.plan.config, 2)]


def test_pruned_and_unmeasured_trials_are_no_candidates(plan_of, play):
    plan = plan_of("--samples", "8", "--grace", "1", "--confirm", "7", "--seeds", "2")
    session = play(plan, slots=3)
    complete = [t for t in of_origin(session, "search") if t.state == "complete"]
    assert len(complete) < 7
    assert len(of_origin(session, "confirm")) == 2 * (1 + len(complete)) and session.queue.complete


def test_means_over_fresh_seeds_are_told_with_their_interval(plan_of, play, text_of):
    session = play(plan_of(*CONFIRM))
    paper, best, second = confirmed(session.plan, session.ledger.trials.values())
    papers = [t for t in of_origin(session, "confirm") if without_seed(t) == session.plan.config]
    values = [100 * t.value for t in papers]
    assert paper.fresh == estimate(values) and paper.fresh.n == best.fresh.n == second.fresh.n == 3
    assert paper.trial.number == 0 and best.trial.value >= second.trial.value
    output = text_of(session)
    assert f"{paper.fresh.mean:.1f} ± {paper.fresh.half:.1f}" in output
    ranking = output[: output.index("on fresh seeds")]
    assert all(f"\n{trial.number:5d} " not in ranking for trial in of_origin(session, "confirm"))
    assert "optimistic" not in output


def test_two_fresh_runs_are_two_values_and_one_that_diverged_is_worth_nothing(plan_of, play, text_of):
    session = play(plan_of(*SEARCH, "--confirm", "1", "--seeds", "2"))
    runs = of_origin(session, "confirm")
    ours, theirs = ([t for t in runs if (t.labels[1] == "paper") == papers] for papers in (True, False))
    paper, best = confirmed(session.plan, session.ledger.trials.values())
    assert paper.fresh.runs == pytest.approx(tuple(100 * t.value for t in ours))
    for one in (paper, best):
        assert f" {one.fresh.runs[0]:.1f}, {one.fresh.runs[1]:.1f} " in text_of(session)
    theirs[1].state = "diverged"
    del theirs[1].steps[max(theirs[1].steps)]
    _, best = confirmed(session.plan, session.ledger.trials.values())
    assert best.fresh.runs == (pytest.approx(100 * theirs[0].value), 0.0)


def test_the_ranking_is_by_the_last_step_and_tells_the_best_one_beside_it(plan_of, play, text_of):
    session = play(plan_of(*SEARCH))
    session.gpus_per_trial = 0.5
    trials = session.ledger.trials
    trials[1].steps[1]["saved_seconds"] = 7200.0
    output = text_of(session)
    rows = [line.split() for line in output.splitlines() if line.strip()[:1].isdigit()]
    ranked = sorted(trials.values(), key=lambda trial: -trial.value)
    assert [int(row[0].rstrip("*")) for row in rows] == [trial.number for trial in ranked]
    for row, trial in zip(rows, ranked, strict=True):
        curve = trial.curve()
        best = max(curve, key=curve.get)
        expected = [f"{100 * curve[5]:.1f}"] * 3 + [f"{100 * curve[best]:.1f}", str(best)]
        assert row[1:6] == expected
    assert "1 trials took over 2:00:00 of trial time from others, 1.0 GPU-hours" in output


def test_a_search_says_how_to_confirm_it(plan_of, play, text_of):
    session = play(plan_of(*SEARCH))
    output = " ".join(text_of(session).split())
    assert f"python study/run.py --resume {session.plan.folder} --confirm 3 --seeds 5" in output


def test_fresh_seeds_follow_the_studys_own(plan_of, play):
    session = play(plan_of(*SEARCH, "--seed", "7", "--confirm", "1", "--seeds", "2"))
    assert fresh_seeds(session.plan, session.ledger.trials.values()) == [8, 9]
    items = confirmation(session.plan, session.ledger.trials.values())
    assert [item.config.seed for item in items] == [8, 8, 9, 9]


def test_options_that_do_not_go_together(plan_of):
    with pytest.raises(OptionError, match="--confirm belongs to a search"):
        plan_of("--plan", "table1", "--confirm", "3", "--seeds", "3")
    with pytest.raises(OptionError, match="--confirm 3 needs --seeds 2 or more"):
        plan_of("--confirm", "3")
    plan = plan_of(*SEARCH)
    argv = ["--resume", str(plan.folder), "--confirm", "3", "--seeds", "5"]
    resumed = overrides(plan, parser().parse_args(argv), argv)
    assert (resumed.confirm, resumed.seeds) == (3, 5) and resumed.identity() == plan.identity()


def test_estimates():
    three = estimate([1.0, 2.0, 3.0])
    assert (three.mean, three.n) == (2.0, 3) and three.half == pytest.approx(2.4841, abs=1e-4)
    one, none = estimate([0.5, math.nan]), estimate([])
    assert (one.mean, one.n) == (0.5, 1) and math.isnan(one.half) and none.n == 0 and math.isnan(none.mean)

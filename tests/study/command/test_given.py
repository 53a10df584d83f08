"""Searches that begin with the settings of the paper's Tables 1 to 3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from optuna.trial import TrialState

from search_spaces.paper import plan
from study.decide.confirmation import best_drawn
from study.decide.session import Session
from study.plan import StudyPlan

EXPERIMENTS = [
    *("paper", "table1/baseline", "table1/lambda1", "table2/fixed"),
    *("table3/0.05", "table3/0.08", "table3/0.3"),
]


@pytest.fixture
def begun(plan_of: Callable[..., StudyPlan], play: Callable[..., Session]) -> Session:
    """A whole search of 20 samples."""
    return play(plan_of("--samples", "20"))


def test_they_come_first_and_count_as_samples(begun: Session) -> None:
    trials = list(begun.ledger.trials.values())
    assert begun.queue.complete and len(trials) == 20
    assert [t.origin for t in trials] == ["paper", *["given"] * 6, *["search"] * 13]
    assert [t.labels[0] for t in trials[:7]] == EXPERIMENTS
    wanted = {item.config.digest() for item in plan("tables", begun.plan.config)}
    assert {begun.plan.config.from_dict(t.config).digest() for t in trials[:7]} == wanted


def test_side_by_side_one_that_would_take_a_stage_over_waits_for_it(
    plan_of: Callable[..., StudyPlan], play: Callable[..., Session]
) -> None:
    """While trial 0 trains the stages that it shares with the criteria of Table 1, others begin."""
    trials = list(play(plan_of("--samples", "20"), slots=2).ledger.trials.values())
    assert [t.labels[0] for t in trials[:2]] == ["paper", "table2/fixed"]
    assert sorted(t.labels[0] for t in trials[:7]) == sorted(EXPERIMENTS)


def test_they_are_never_pruned_and_the_search_learns_from_them(
    plan_of: Callable[..., StudyPlan], open_session: Callable[..., Session], fake_tune: type
) -> None:
    class Behind(fake_tune):  # type: ignore[misc]
        """What is given is worse at every step than what is drawn."""

        def rows(self, job: Job) -> Any:
            for row in super().rows(job):
                yield row | {"mAP": 0.001 * (20 - job.trial) if job.trial < 7 else row["mAP"]}

    session = open_session(plan_of("--samples", "20"))
    Behind(session).run()
    trials = session.ledger.trials
    assert all(trials[number].state == "complete" for number in range(7))
    assert session.optuna is not None
    frozen = {t.user_attrs["trial"]: t for t in session.optuna.study.trials}
    for number in range(7):
        config = trials[number].config
        assert frozen[number].state == TrialState.COMPLETE and frozen[number].value == trials[number].value
        assert frozen[number].params["train.temperature"] == config["train"]["temperature"]
        assert frozen[number].params["train.alpha_schedule"] == config["train"]["alpha_schedule"]


def test_those_that_differ_in_lambda_only_share_their_first_stages(begun: Session) -> None:
    shared = {t.labels[0]: begun.job(t).shared_stages for t in list(begun.ledger.trials.values())[:7]}
    assert shared == {name: 2 if name in EXPERIMENTS[:3] else 0 for name in EXPERIMENTS}


def test_the_list_is_the_studys_own(
    plan_of: Callable[..., StudyPlan], open_session: Callable[..., Session], begun: Session
) -> None:
    """Stored when it is created; a smaller target later leaves out what has not begun."""
    stored = StudyPlan.from_dict(begun.plan.to_dict())
    assert stored.given == begun.plan.given and len(stored.given) == 6
    small = open_session(plan_of("--samples", "20", "--name", "other"))
    few = StudyPlan.from_dict(small.plan.to_dict() | {"samples": 3})
    session = open_session(few)
    numbers = [session.queue.next_number() for _ in range(4)]
    assert [session.ledger.trials[n].labels[0] for n in numbers if n is not None] == EXPERIMENTS[:3]
    assert numbers[3] is None and session.queue.target == 3


@pytest.mark.parametrize("sampler", ["grid", "gp", "random"])
def test_with_every_sampler(
    plan_of: Callable[..., StudyPlan], play: Callable[..., Session], sampler: str
) -> None:
    session = play(plan_of("--samples", "24", "--sampler", sampler, "--pruner", "none"))
    trials = list(session.ledger.trials.values())
    assert session.queue.complete and [t.labels[0] for t in trials[:7]] == EXPERIMENTS
    configs = [str(t.config) for t in trials]
    assert len(trials) == len(set(configs)) == 24


def test_a_grid_that_is_run_to_its_end_has_every_point_once(
    plan_of: Callable[..., StudyPlan], play: Callable[..., Session]
) -> None:
    fixed = ("--temperature", "0.1", "--alpha", "0.5", "--alpha-schedule", "linear")
    session = play(plan_of("--samples", "99", "--sampler", "grid", "--pruner", "none", *fixed))
    trials = list(session.ledger.trials.values())
    points = {(t.config["merge"]["lambda1"], t.config["merge"]["lambda2"]) for t in trials}
    assert session.queue.complete and len(trials) == len(points) == 7 * 5
    assert [t.origin for t in trials[:4]] == ["paper", "given", "given", "search"]


def test_further_seeds_of_the_paper_come_after_them_and_beside_the_samples(
    plan_of: Callable[..., StudyPlan], play: Callable[..., Session]
) -> None:
    session = play(plan_of("--samples", "20", "--seeds", "3"))
    origins = [(t.origin, t.seed) for t in session.ledger.trials.values()]
    assert origins[:9] == [("paper", 0), *[("given", 0)] * 6, ("paper", 1), ("paper", 2)]
    assert session.queue.complete and len(origins) == 22


def test_the_best_of_them_may_be_confirmed(begun: Session) -> None:
    trials = list(begun.ledger.trials.values())
    for trial in trials:
        trial.value = 1.0 if trial.number == 4 else trial.value
    chosen = StudyPlan.from_dict(begun.plan.to_dict() | {"confirm": 2, "seeds": 3})
    assert best_drawn(chosen, trials)[0].number == 4

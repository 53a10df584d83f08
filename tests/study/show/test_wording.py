"""Times, values and trials in words."""

from __future__ import annotations

import pytest

from study.command.parser import parser
from study.command.resolve import resolve
from study.show.wording import (
    changed_by_options,
    clock,
    parameters,
    percent,
    taken_over,
    trial_name,
    trial_numbers,
)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0:00"), (65.9, "1:05"), (3600, "1:00:00"), (7384, "2:03:04"), (180000, "2 d 02:00"), (-3, "0:00")],
)
def test_times(seconds: float, expected: str):
    assert clock(seconds) == expected


def test_values():
    assert percent(0.18349) == "18.3" and percent(None) == "–" and percent(0.0) == "0.0"


def test_parameters_tell_trials_apart(plan_of, play):
    session = play(plan_of("--samples", "2"))
    assert parameters(session.ledger.trials[0], session.plan) == "λ1 0.06 λ2 0.003 τ 0.1 α linear 0.5"
    plan = plan_of("--plan", "table1", "--seeds", "2")
    names = [
        parameters(t, plan)
        for t in play(plan_of("--plan", "table1", "--seeds", "2", "--name", "p")).ledger.trials.values()
    ]
    assert names[0] == "seed 0" and "λ1 0 λ2 0 seed 1" in names and len(set(names)) == 6


def test_a_trial_of_a_space_of_many_fields_by_what_differs(plan_of, play):
    session = play(plan_of("--samples", "2", "--space", "full", "--no-tables"))
    papers, other = session.ledger.trials.values()
    assert parameters(papers, session.plan) == "the paper's"
    config = session.plan.config.replace(**{"merge.k1": 30, "merge.distance": "jaccard", "train.alpha": 0.1})
    other.config = config.to_dict()
    assert parameters(other, session.plan) == "α 0.1 distance jaccard k1 30"


def test_trials_are_named_with_what_they_are(plan_of, play):
    search = play(plan_of("--samples", "2")).ledger.trials
    assert [trial_name(trial) for trial in search.values()] == ["trial 0 [paper]", "trial 1"]
    first = play(plan_of("--plan", "table1", "--name", "p")).ledger.trials[0]
    assert trial_name(first) == "trial 0 [table1/lambda1_lambda2]"
    first.reused = "study other, trial 5"
    assert taken_over(first).startswith(
        f"{trial_name(first)} taken over from study other, trial 5: complete, mAP "
    )
    assert trial_numbers([3]) == "trial 3" and trial_numbers([3, 4], 2) == "trials 3, 4"
    assert trial_numbers(range(9), 2) == "trials 0, 1 …"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"train.alpha": 0.3}, "α 0.3"),
        ({"train.alpha_schedule": "fixed"}, "α fixed"),
        ({"train.alpha": 0.3, "train.alpha_schedule": "cosine"}, "α cosine 0.3"),
        ({"train.temperature": 0.2, "merge.lambda2": 0.01}, "λ2 0.01 τ 0.2"),
        ({"merge.merge_rate": 0.1, "train.later_epochs": 9}, "later_epochs 9 pm 0.1"),
        ({}, "the paper's"),
    ],
)
def test_a_given_run_by_what_it_changes(plan_of, play, changes: dict[str, object], text: str):
    plan = plan_of("--plan", "fig3")
    trial = next(iter(play(plan).ledger.trials.values()))
    trial.config = plan.config.replace(**changes).to_dict()
    assert parameters(trial, plan) == text


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        (("--seed", "4", "--samples", "9"), ""),
        (("--lr", "0.02"), ", 1 field changed by options"),
        (("--lr", "0.02", "--frames", "2"), ", 2 fields changed by options"),
        (("--preset", "oim"), ""),
        (("--preset", "oim", "--frames", "2"), ", 1 field changed by options"),
    ],
)
def test_what_options_have_changed_is_not_the_methods_own_configuration(
    options: tuple[str, ...], changed: str
):
    assert changed_by_options(resolve(parser().parse_args(options))) == changed

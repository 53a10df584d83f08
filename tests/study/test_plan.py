"""A study's plan: what makes it the same study, what it runs first, and the digests of its trials."""

from __future__ import annotations

import json

from dcreid.config import Config
from study.plan import StudyPlan, default_name, trial_digest
from study.source import code_version


def test_it_survives_json(plan_of):
    plan = plan_of("--sampler", "gp", "--time-budget", "90s")
    again = StudyPlan(**json.loads(json.dumps(plan.to_dict())))
    assert again.config == plan.config and again.search_space == plan.search_space
    assert again.identity() == json.loads(json.dumps(plan.identity()))


def test_what_may_change_between_sessions_is_not_its_identity(plan_of):
    one, other = plan_of(), plan_of("--samples", "99", "--pruner", "none", "--cache", "/c", "--seeds", "3")
    assert one.identity() == other.identity()
    for options in (
        ("--objective", "best"),
        ("--sampler", "random"),
        ("--storage", "/s"),
        ("--lambda2", "0"),
    ):
        assert plan_of(*options).identity() != one.identity()


def test_the_papers_configuration_comes_first_on_every_seed(plan_of):
    items = plan_of("--seeds", "2", "--seed", "5").fixed_items()
    assert [(origin, item.config.seed, item.label) for origin, item in items] == [
        ("paper", 5, "paper"), ("paper", 6, "paper"),
    ]  # fmt: skip


def test_table1_on_two_seeds(plan_of):
    items = plan_of("--plan", "table1", "--seeds", "2").fixed_items()
    assert [item.config.seed for _, item in items] == [0, 0, 0, 1, 1, 1]
    assert {origin for origin, _ in items} == {"plan"}
    assert items[0][1].config == plan_of().config


def test_digests_tell_configuration_data_and_code_apart():
    base = trial_digest(Config(), "data", "code")
    assert base == trial_digest(Config(), "data", "code") and len(base) == 64
    others = {
        trial_digest(Config().replace(seed=1), "data", "code"),
        trial_digest(Config(), "other", "code"),
        trial_digest(Config(), "data", "other"),
    }
    assert len(others | {base}) == 4


def test_names_are_stable_and_the_code_has_a_version(plan_of):
    identity = plan_of().identity()
    assert default_name("mars", identity) == default_name("mars", dict(reversed(identity.items())))
    assert len(code_version()) == 16

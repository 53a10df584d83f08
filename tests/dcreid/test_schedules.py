"""Learning rate and α by stage."""

from __future__ import annotations

import pytest

from dcreid.config import Config
from dcreid.schedules import learning_rate, update_rate, warmup_factor


def test_the_learning_rate_of_the_paper() -> None:
    train = Config().train
    rates = [learning_rate(train, 1, epoch) for epoch in range(1, 31)]
    assert rates == pytest.approx([0.1] * 15 + [0.01] * 15)
    assert learning_rate(train, 2, 1) == pytest.approx(0.01)
    restart = Config().replace(**{"train.later_lr": "restart"}).train
    assert learning_rate(restart, 2, 3) == pytest.approx(0.1)


def test_the_rate_warms_up_over_the_first_epochs_of_the_run() -> None:
    train = Config().replace(**{"train.warmup": 2.5, "train.first_epochs": 2, "train.later_epochs": 1}).train
    assert warmup_factor(train, 1, 0.0) == pytest.approx(0.01)
    assert warmup_factor(train, 1, 1.25) == pytest.approx(0.505)
    assert warmup_factor(train, 2, 0.0) == pytest.approx(0.01 + 0.99 * 0.8)
    assert warmup_factor(train, 2, 0.5) == warmup_factor(train, 3, 0.0) == 1.0
    assert warmup_factor(Config().train, 1, 0.0) == 1.0


def test_an_empty_first_stage_leaves_the_warm_up_to_the_next() -> None:
    train = Config().replace(**{"train.warmup": 3.0, "train.first_epochs": 0, "train.later_epochs": 2}).train
    factors = [warmup_factor(train, stage, done) for stage in (2, 3) for done in (0.0, 0.5, 1.0, 1.5)]
    rising = [0.01 + 0.99 * done / 3 for done in (0.0, 0.5, 1.0, 1.5, 2.0, 2.5)]
    assert factors == pytest.approx([*rising, 1.0, 1.0])


def test_linear_rate_grows_by_alpha_times_merge_rate_up_to_alpha():
    rates = [update_rate("linear", 0.5, 0.05, step) for step in range(1, 24)]
    assert rates[:20] == pytest.approx([0.025 * step for step in range(1, 21)])
    assert rates[19:] == pytest.approx([0.5] * 4)


def test_fixed_and_cosine_rates():
    assert {update_rate("fixed", 0.4, 0.05, step) for step in (1, 10, 30)} == {0.4}
    rates = [update_rate("cosine", 0.4, 0.05, step) for step in range(1, 24)]
    assert rates == sorted(rates)
    assert rates[9] == pytest.approx(0.2)
    assert rates[19:] == pytest.approx([0.4] * 4)


def test_the_printed_rate_is_the_linear_one_of_the_stage_before():
    rates = [update_rate("printed", 0.5, 0.05, step) for step in range(1, 24)]
    assert rates == pytest.approx([0.025 * step for step in range(21)] + [0.5] * 2)


def test_unknown_schedule_is_named():
    with pytest.raises(ValueError, match="schedule = 'step': must be linear, fixed, cosine or printed"):
        update_rate("step", 0.5, 0.05, 1)

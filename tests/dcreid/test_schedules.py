"""Learning rate and α by stage."""

from __future__ import annotations

import pytest

from dcreid.config import Config
from dcreid.schedules import learning_rate, update_rate


def test_the_learning_rate_of_the_paper() -> None:
    train = Config().train
    rates = [learning_rate(train, 1, epoch) for epoch in range(1, 31)]
    assert rates == pytest.approx([0.1] * 15 + [0.01] * 15)
    assert learning_rate(train, 2, 1) == pytest.approx(0.01)
    restart = Config().replace(**{"train.later_lr": "restart"}).train
    assert learning_rate(restart, 2, 3) == pytest.approx(0.1)


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

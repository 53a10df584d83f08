"""Rungs in epochs: counted by hand, by brute force, and never a late cut alone."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcreid.config import Config
from study.plan import StudyPlan
from study.search.rungs import cuts, epochs_trained, rung_steps, rungs

SCHEDULE = ("--first-epochs", "{0}", "--later-epochs", "{1}", "--merge-rate", "{2}")


@pytest.fixture
def plan_with(plan_of: Callable[..., StudyPlan]) -> Callable[..., StudyPlan]:
    def make(first: int, later: int, rate: float, *options: str) -> StudyPlan:
        return plan_of(*(word.format(first, later, rate) for word in SCHEDULE), *options)

    return make


@pytest.mark.parametrize(
    ("first", "later", "rate", "tracklets", "steps", "at", "cut"),
    [
        (30, 3, 0.05, 8298, 20, (10.875, 21.75, 43.5), [1, 6]),  # the paper: 87 epochs, 30 and 45 of them
        (8, 2, 0.1, 192, 10, (3.25, 6.5, 13.0), [1, 4]),  # the embedded data: 26, 8 and 14
        (0, 2, 0.055, 1251, 18, (4.25, 8.5, 17.0), [4, 6, 10]),  # 34: 6, 10 and 18
        (2, 1, 0.2, 1251, 5, (0.75, 1.5, 3.0), [1, 2]),
        (30, 1, 0.2, 1251, 5, (4.25, 8.5, 17.0), [1]),  # 34: nothing is measured before 30
        (3, 3, 0.5, 16, 1, (0.375, 0.75, 1.5), []),  # one step
    ],
)
def test_rungs_of_known_schedules(
    plan_with: Callable[..., StudyPlan],
    first: int, later: int, rate: float, tracklets: int, steps: int, at: tuple[float, ...], cut: list[int],
) -> None:  # fmt: skip
    plan = plan_with(first, later, rate)
    assert plan.config.merge.merge_steps(tracklets) == steps
    defaults = plan.asha_eta, plan.asha_rungs
    assert tuple(map(float, rungs(plan.config, tracklets, *defaults))) == at
    assert cuts(plan.config, tracklets, *defaults, plan.grace) == cut


@pytest.mark.parametrize(
    ("options", "cut"),
    [
        (("--asha-eta", "3"), [1]),  # 87 / 27, / 9, / 3 = 29
        (("--asha-rungs", "1"), [6]),
        (("--asha-eta", "4", "--asha-rungs", "10"), [1]),
        (("--grace", "4"), [4, 6]),
        (("--grace", "9"), [9]),
        (("--grace", "20"), []),
        (("--eval-every", "4"), [4, 8]),
        (("--eval-every", "7"), [7]),
        (("--eval-every", "40"), []),
        (("--eval-every", "4", "--objective", "best"), [4, 8]),
        (("--eval-every", "40", "--objective", "unlabelled"), [1, 6]),
    ],
    ids=str,
)
def test_options_move_the_cuts_of_the_papers_schedule(
    plan_with: Callable[..., StudyPlan], options: tuple[str, ...], cut: list[int]
) -> None:
    plan = plan_with(30, 3, 0.05, *options)
    defaults = plan.asha_eta, plan.asha_rungs, plan.grace, plan.objective
    assert cuts(plan.config, 8298, *defaults) == cut


@given(
    first=st.integers(0, 40),
    later=st.integers(0, 6),
    at=st.lists(st.fractions(0, 100, max_denominator=27), min_size=1, max_size=4),
    grace=st.integers(0, 8),
)
def test_a_rung_is_the_first_step_with_so_many_epochs(
    first: int, later: int, at: list[Fraction], grace: int
) -> None:
    train = Config().replace(**{"train.first_epochs": first, "train.later_epochs": later}).to_dict()["train"]
    trained = [first + later * stages for stages in range(200)]
    for step, epochs in zip(rung_steps(train, at, grace), at, strict=True):
        enough = [s for s, done in enumerate(trained, 1) if done >= epochs and s >= grace]
        assert step == (enough[0] if enough else float("inf"))
    assert [epochs_trained(train, s) for s in (1, 5)] == [trained[0], trained[4]]


@pytest.mark.parametrize("later", [1, 2, 5])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5])
def test_by_default_no_late_cut_is_alone(plan_of: Callable[..., StudyPlan], later: int, share: float) -> None:
    """Wherever the first stage has no more than half of the epochs."""
    usual = plan_of()
    for steps in range(4, 30, 3):
        first = int(share / (1 - share) * later * (steps - 1))
        changes = {
            "train.first_epochs": first,
            "train.later_epochs": later,
            "merge.merge_rate": 1 / (steps + 1),
        }
        config = usual.config.replace(**changes)
        total, tracklets = first + later * (steps - 1), 100 * (steps + 1)
        assert config.merge.merge_steps(tracklets) == steps
        found = cuts(config, tracklets, usual.asha_eta, usual.asha_rungs)
        assert len(found) >= 2 or 2 * (first + later * (found[0] - 1)) <= total

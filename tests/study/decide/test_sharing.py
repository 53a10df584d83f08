"""Which trials share stages, and that no stage is computed by two of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dcreid.config import Config
from study.decide.session import Session
from study.decide.sharing import Sharing
from study.job import Job
from study.record.stages import stage_key


def test_who_shares(plan_of):
    searched = plan_of("--temperature", "0.1", "--alpha", "0.5", "--alpha-schedule", "linear")
    assert Sharing(searched, [searched.config]).stages(searched.config) == 2
    everything = plan_of()
    assert Sharing(everything, [everything.config]).stages(everything.config) == 0
    off = plan_of("--plan", "table1", "--no-share")
    assert Sharing(off, [off.config, off.config.replace(**{"merge.lambda1": 0.0})]).stages(off.config) == 0


def test_how_many_can_take_stages_over(plan_of):
    def taking(*options: str) -> int:
        plan = plan_of(*options)
        return Sharing(plan, [item.config for _, item in plan.fixed_items()]).taken_over()

    assert taking("--plan", "table1", "--seeds", "2") == 2 * (3 - 1)  # three of each seed, one trains
    assert taking("--plan", "table3") == 0 == taking("--plan", "table1", "--no-share")
    method = ("--temperature", "0.1", "--alpha", "0.5", "--alpha-schedule", "linear")
    assert taking("--samples", "9", *method) == 9 - 1 and taking("--samples", "9") == 0


@pytest.mark.parametrize(("recorded", "waits"), [(-1, True), (0, True), (1, True), (2, False)])
def test_nobody_waits_longer_than_for_the_stages_that_are_shared(plan_of, recorded: int, waits: bool):
    plan = plan_of("--plan", "table1")
    configs = [item.config for _, item in plan.fixed_items()]
    under_way = SimpleNamespace(config=configs[1].to_dict(), last_step=recorded)
    assert Sharing(plan, configs).blocked(configs[0], [under_way]) == waits  # type: ignore[list-item]


def test_once_the_stages_lie_ready_all_slots_are_filled(plan_of, open_session, fake_tune):
    """Those that only take stages over need not wait for one another."""
    method = ("--temperature", "0.1", "--alpha", "0.5", "--alpha-schedule", "linear", "--pruner", "none")
    session: Session = open_session(plan_of("--samples", "9", *method))
    at_a_time = []

    class Watched(fake_tune):  # type: ignore[misc, valid-type]
        def rows(self, job: Job) -> Any:
            for row in super().rows(job):
                at_a_time.append((job.trial, row["step"], len(session.running)))
                yield row

    Watched(session, slots=8).run()
    assert session.queue.complete
    assert {(trial, running) for trial, step, running in at_a_time[:3]} == {(0, 1)}
    assert max(running for *_, running in at_a_time) == 8
    assert [running for trial, step, running in at_a_time if (trial, step) == (0, 3)] == [8]


def test_no_stage_is_computed_by_two_at_a_time(plan_of, open_session, fake_tune):
    plan = plan_of("--plan", "table1", "--seeds", "2")
    session: Session = open_session(plan)

    class Watched(fake_tune):  # type: ignore[misc, valid-type]
        def rows(self, job: Job) -> Any:
            for row in super().rows(job):
                early = [t for t in self.under_way() if t.last_step < 2]
                names = [stage_key(Config.from_dict(trial.config)) for trial in early]
                computed = {stage_key(Config.from_dict(t.config)) for t in self.computed()}
                assert len(set(names) - computed) == len([name for name in names if name not in computed])
                yield row

        def computed(self) -> list[Any]:
            return [trial for trial in session.ledger.trials.values() if trial.last_step >= 2]

        def under_way(self) -> list[Any]:
            return [session.ledger.trials[job.number] for job in session.running.values()]

    tune = Watched(session, slots=4)
    tune.run()
    assert session.queue.complete and len(tune.started) == 6
    # One of each seed first; those that share with them follow.
    assert [session.ledger.trials[number].seed for number in tune.started[:2]] == [0, 1]

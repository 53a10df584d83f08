"""GPUs that fail are set aside, one by one, and given back; on a made-up Ray that gives out what is free."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from made_ray import MadeRay
from sessions import crash_of

from study.failures import Failure
from study.on_ray import gpus as module
from study.on_ray.gpus import Gpus, look_at_gpus

BROKEN = "CUDA does not start: no CUDA-capable device"


class Watched:
    """Gpus on a made-up Ray, whose turns a test makes."""

    def __init__(self, ray: MadeRay, share: float, clock: SimpleNamespace):
        self.ray, self.clock, self.told = ray, clock, []
        self.broken: set[str] = set()  # GPUs that fail when they are looked at
        self.gpus = Gpus(share, self.probe, lambda place, problem: self.told.append((place, problem)))

    def probe(self, gpus: list[str]) -> dict[str, str | None]:
        return {gpu: BROKEN if gpu in self.broken else None for gpu in gpus}

    def turns(self, seconds: int = 10) -> None:
        for _ in range(seconds):
            self.clock.now += 1.0
            self.gpus.poll()

    def held(self) -> list[int]:
        """The GPUs of which nothing is free to trials, none of which has any."""
        return [gpu for free in self.ray.free.values() for gpu, left in enumerate(free) if left < 1e-6]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Watched]:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(module, "_on", lambda node: SimpleNamespace(node_id=node.key))

    def make(share: float = 1.0, broken: tuple[str, ...] = (), **nodes: int) -> Watched:
        made = Watched(MadeRay(**(nodes or {"n": 8})), share, clock)
        made.broken = set(broken)
        monkeypatch.setattr(module, "ray", made.ray)
        return made

    return make


def test_gpus_that_work_are_left_to_the_trials(watched):
    made = watched()
    assert not made.gpus.settled
    made.turns()
    assert made.gpus.settled and made.held() == made.told == [] and made.gpus.room()
    assert made.ray.asked == [("n", None)]  # once


@pytest.mark.parametrize("bad", ["0", "3", "7"])
def test_of_eight_free_gpus_the_bad_one_alone_is_held(watched, bad: str):
    made = watched(broken=(bad,))
    made.turns()
    assert made.held() == [int(bad)] and made.gpus.settled and made.gpus.room()
    assert made.told == [(f"GPU {bad} of 10.0.0.0", BROKEN)]
    assert made.gpus.problems == [f"GPU {bad} of 10.0.0.0: {BROKEN}"]


def test_all_shares_of_it_are_held(watched):
    made = watched(0.3, broken=("1",), n=2)  # three trials to a GPU; a tenth of it fits none
    made.turns()
    assert [round(left, 6) for left in made.ray.free["n"]] == [1.0, 0.1]


def test_where_no_gpu_is_left_there_is_no_room(watched):
    made = watched(broken=("0", "1"), n=2)
    made.turns()
    assert made.held() == [0, 1] and not made.gpus.room()
    two = watched(2.0, broken=("0",), n=2)
    two.turns()
    assert not two.gpus.room()  # a trial wants both


def test_a_gpu_that_fails_a_trial_is_held_before_the_next_gets_it(watched):
    made = watched()
    made.turns()
    key, node, gpu = made.ray.take()
    made.gpus.failed(node, (str(gpu),), "CUDA error: unspecified launch failure")
    made.ray.release(key)
    made.turns()
    assert made.held() == [gpu] and made.told == [
        ("GPU 0 of 10.0.0.0", "CUDA error: unspecified launch failure")
    ]


def test_it_is_given_back_when_it_works_and_looked_at_more_rarely_every_time(watched):
    made = watched()
    made.turns()
    waits = []
    for _ in range(3):
        for _ in range(4):  # trials that shared it
            made.gpus.failed("n", ("0",), "launch failure")
        began = made.clock.now
        made.turns(3)
        assert made.held() == [0]
        while made.held():
            made.turns(1)
        waits.append(made.clock.now - began)
    assert waits == pytest.approx([60.0, 120.0, 240.0], abs=1.5)
    assert [problem for _, problem in made.told] == ["launch failure", None] * 3


def test_of_several_gpus_the_one_that_the_probe_names_is_held(watched):
    made = watched(2.0)
    made.turns()
    made.broken = {"5"}
    made.gpus.failed("n", ("4", "5"), "RankError: rank 1 of 2 GPUError: CUDA does not start")
    made.turns()
    assert made.held() == [5]


def test_gpus_in_use_are_waited_for_and_the_others_are_not_kept_from_trials(watched):
    made = watched(n=2)
    made.turns()
    first, second = made.ray.take(), made.ray.take()
    made.ray.release(second[0])
    made.broken = {"0"}  # on which a trial goes on
    made.gpus.failed("n", ("0",), "launch failure")
    free = []
    for _ in range(600):
        made.turns(1)
        free.append(made.ray.free["n"][1] == 1.0)
    assert sum(free) > 0.6 * len(free)
    made.ray.release(first[0])
    made.turns(100)
    assert made.held() == [0]


def test_a_node_that_is_lost_is_forgotten_and_one_that_comes_is_looked_at(watched):
    made = watched(broken=("1",), a=2)
    made.turns()
    made.ray.free = {"b": [1.0, 1.0]}
    made.turns()
    assert made.ray.asked == [("a", None), ("b", None)] and made.held() == [1]
    made.gpus.failed("a", ("0",), "its node died")  # nobody is left to ask
    made.turns()
    assert made.held() == [1]


def test_an_answer_that_is_lost_is_asked_for_again(watched):
    made = watched(broken=("0",), n=1)
    made.turns()
    made.ray.lost = {"n"}
    made.turns(70)
    made.broken, made.ray.lost = set(), set()
    made.turns(70)
    assert made.held() == [] and made.told[-1] == ("GPU 0 of 10.0.0.0", None)


@pytest.mark.parametrize(
    ("visible", "given", "expected"),
    [
        (None, None, ["0", "1"]), ("", None, ["0", "1"]), ("4,6", None, ["4", "6"]),
        ("GPU-a,GPU-b,GPU-c", None, ["GPU-a", "GPU-b"]), ("4,6", ["6"], ["6"]),
    ],
)  # fmt: skip
def test_gpus_go_by_the_names_that_ray_gives_them(
    visible: str | None, given: list[str] | None, expected: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "environ", {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})
    assert list(look_at_gpus(dict.fromkeys, 2, given)) == expected


# --- a study


@pytest.mark.parametrize("step", [1, 3])
def test_63_healthy_trials_and_one_bad_gpu_end_complete(step: int, plan_of, open_session, fake_tune, watched):
    """64 trials on eight GPUs, of which one passes its probe and fails every trial, at this report."""
    session = open_session(plan_of("--samples", "1", "--seeds", "64"))
    made, crash = watched(), crash_of(fake_tune)
    made.gpus._tell = session.set_aside
    met: list[int] = []

    class OnGpus(fake_tune):
        def rows(self, job: Any) -> Iterator[dict[str, Any]]:
            made.turns(1)
            while (taken := made.ray.take()) is None:
                yield {"waiting": "a GPU"}
                made.turns(1)
            key, node, gpu = taken
            try:
                for row in super().rows(job):
                    if gpu == 3 and row["step"] == job.recorded + step:
                        failure = Failure("node", "CUDA error: launch failure", node, (str(gpu),))
                        met.append(job.trial)
                        made.gpus.failed(node, failure.gpus, failure.reason)
                        raise crash(failure)
                    yield row
            finally:
                made.ray.release(key)

        def _one_report(self, tune_id: str, rows: Iterator[dict[str, Any]]) -> bool:
            row = next(rows, None)
            if row is not None and "waiting" in row:
                return True
            return super()._one_report(tune_id, iter([row]) if row is not None else iter(()))

    OnGpus(session, slots=8).run()
    trials = session.ledger.trials.values()
    assert session.queue.complete and session.stopping is None
    assert [trial.state for trial in trials] == ["complete"] * 64
    assert met and sum(len(trial.moves) for trial in trials) == len(met)
    assert not any(trial.retries for trial in trials)

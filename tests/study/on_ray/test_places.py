"""Where trials can run: which failure makes which place suspect, and what happens where none is left."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from study.errors import StudyError
from study.failures import Failure
from study.on_ray import places as module
from study.on_ray.places import Places

GPU = Failure("node", "GPUError: CUDA does not start", "1a", ("3",))
DATA = Failure("node", "NodeError: cannot read the data", "1a", ("3",))
CRASH = Failure("trial", "its worker process died")


class Looked:
    """Nodes or GPUs: notes what is asked of it."""

    def __init__(self) -> None:
        self.has_room, self.settled, self.heard = True, True, []
        self.problems: list[str] = []

    def room(self) -> bool:
        return self.has_room

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.heard.append((name, *arguments))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def places_of(plan_of, open_session, clock, monkeypatch) -> Any:
    monkeypatch.setattr(module, "Nodes", lambda *arguments: Looked())
    monkeypatch.setattr(module, "Gpus", lambda *arguments: Looked())

    def make(*options: str, gpus: float = 1.0) -> Places:
        session = open_session(plan_of("--samples", "2", "--patience", "10m", *options))
        session.gpus_per_trial = gpus
        return Places(session, dict.fromkeys)

    return make


@pytest.mark.parametrize(
    ("failure", "address", "nodes", "gpus"),
    [
        (GPU, (), [], [("failed", "1a", ("3",), GPU.reason)]),
        (DATA, (), [("failed", "1a", DATA.reason)], []),
        (CRASH, (), [], []),  # nothing of one machine is looked at for that
        (CRASH, ("--address", "auto"), [("suspect", "")], []),
        (GPU, ("--address", "auto"), [], [("failed", "1a", ("3",), GPU.reason)]),
        (Failure("memory", "CUDA out of memory", "1a", ("3",)), ("--address", "auto"), [], []),
    ],
)
def test_what_a_failure_makes_suspect(failure, address, nodes, gpus, places_of):
    places = places_of(*address)
    places.suspect(failure)
    assert (places.nodes.heard, places.gpus.heard) == (nodes, gpus)


def test_without_gpus_a_node_is_looked_at(places_of):
    places = places_of(gpus=0.0)
    places.suspect(GPU)
    assert places.gpus is None and places.nodes.heard == [("failed", "1a", GPU.reason)]


@pytest.mark.parametrize("which", ["nodes", "gpus"])
def test_one_machine_without_a_place_stops_once_patience_is_over(which: str, places_of, clock, caplog):
    places = places_of()
    looked = getattr(places, which)
    places.poll()
    looked.has_room, looked.problems = False, ["GPU 0 of 10.0.0.5: CUDA does not start"]
    for _ in range(10):
        places.poll()
        clock.now += 60.0
    assert caplog.text.count("no place is left that can run a trial") == 1
    assert "(GPU 0 of 10.0.0.5: CUDA does not start)" in caplog.text and places.session.stopping is None
    clock.now += 1.0
    places.poll()
    said = "for 10:00 no place could run a trial: GPU 0 of 10.0.0.5: CUDA does not start"
    assert places.session.stopping == said


def test_a_place_that_comes_back_ends_the_wait(places_of, clock):
    places = places_of()
    for _ in range(3):
        places.gpus.has_room = False
        places.poll()
        clock.now += 500.0
        places.gpus.has_room = True
        places.poll()
    assert places.session.stopping is None


def test_a_cluster_waits_for_new_nodes(places_of, clock):
    places = places_of("--address", "auto")
    places.nodes.has_room = False
    places.poll()
    clock.now += 86400.0
    places.poll()
    assert places.session.stopping is None


def test_a_machine_none_of_whose_gpus_works_is_refused(places_of):
    places = places_of()
    places.check(lambda: False)
    places.gpus.has_room, places.gpus.problems = False, ["GPU 0 of 10.0.0.5: CUDA does not start"]
    with pytest.raises(StudyError, match=r"no GPU is left .*: GPU 0 of 10\.0\.0\.5: .*--gpus-per-trial 0"):
        places.check(lambda: False)
    places_of("--address", "auto").check(lambda: False)  # to which others may come

"""The hooks that Tune calls: nothing of theirs may end Tune's loop, and reasons are short and true."""

from __future__ import annotations

import dataclasses
import pickle
from types import SimpleNamespace
from typing import Any

import pytest
from ray import cloudpickle
from ray.exceptions import ActorDiedError, OutOfMemoryError, RayTaskError
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from study.decide.session import NO_MORE
from study.failures import Failure
from study.job import Job
from study.on_ray.hooks import (
    SessionCallback,
    SessionScheduler,
    SessionSearcher,
    SessionStopper,
    failure_in,
    failure_of_trial,
)

JOB = Job(
    3, {"seed": 0}, None, "data", "cache", "s", "d", "trials/0003", -1, "stages", 2, 1800.0, 900.0, 1.0, 0.0,
    1, False,
)  # fmt: skip
HOOKS = (SessionSearcher, SessionScheduler, SessionCallback, SessionStopper)


class Recorder:
    """A session that notes what it hears."""

    def __init__(self, answer: Any = None):
        self.answer, self.heard, self.stopped, self.error = answer, [], None, None

    def __getattr__(self, name: str) -> Any:
        def hear(*arguments: Any) -> Any:
            self.heard.append((name, *arguments))
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

        return hear

    def stop(self, why: str) -> None:
        self.stopped = why


def trial(**values: Any) -> Any:
    return SimpleNamespace(trial_id="t1", **values)


def test_rows_go_to_the_session_without_what_tune_adds():
    session = Recorder(True)
    result = {"step": 3, "mAP": 0.5, "done": False, "pid": 7, "config": {}, "config/trial": 0,
              "training_iteration": 4, "time_total_s": 1.0}  # fmt: skip
    decision = SessionScheduler(session).on_trial_result(None, trial(), result)
    assert decision == TrialScheduler.CONTINUE and session.heard == [("hear", "t1", {"step": 3, "mAP": 0.5})]


def test_the_session_decides_who_stops():
    assert (
        SessionScheduler(Recorder(False)).on_trial_result(None, trial(), {"step": 1}) == TrialScheduler.STOP
    )


def test_that_a_worker_was_replaced_is_passed_on():
    session = Recorder(False)
    SessionScheduler(session).on_trial_result(None, trial(), {"superseded": "by attempt 2", "done": False})
    assert session.heard == [("hear", "t1", {"superseded": "by attempt 2"})]


def test_tunes_closing_report_is_not_a_row():
    session = Recorder(False)
    decision = SessionScheduler(session).on_trial_result(None, trial(), {"done": True, "pid": 1})
    assert decision == TrialScheduler.CONTINUE and not session.heard


@pytest.mark.parametrize(
    ("answer", "passed"), [(NO_MORE, Searcher.FINISHED), (None, None), (JOB, dataclasses.asdict(JOB))]
)
def test_what_is_asked_for_is_passed_on(answer: Any, passed: Any):
    assert SessionSearcher(Recorder(answer)).suggest("t1") == passed


def test_an_error_stops_the_session_and_not_tunes_loop():
    session = Recorder(ValueError("broken"))
    assert SessionSearcher(session).suggest("t1") is None
    assert session.stopped == "ValueError: broken" and isinstance(session.error, ValueError)
    decision = SessionScheduler(session).on_trial_result(None, trial(), {"step": 1})
    assert decision == TrialScheduler.STOP


def test_a_second_ctrl_c_is_not_held_up():
    class Impatient(Recorder):
        def __getattr__(self, name: str) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SessionSearcher(Impatient()).suggest("t1")


def test_a_trial_that_is_put_down_has_left_unless_it_crashed():
    session = Recorder()
    searcher = SessionSearcher(session)
    searcher.on_trial_complete("t1", error=True)
    searcher.on_trial_complete("t2")
    assert session.heard == [("left", "t2")]


def test_every_turn_and_what_tune_gives_up_is_passed_on():
    session, turns = Recorder(), []
    callback = SessionCallback(session, turns.append)
    callback.on_step_end(1, ["tunes trials"])
    assert (turns, session.heard) == ([["tunes trials"]], [])
    callback.on_trial_error(1, [], trial(pickled_error_file=None))
    assert session.heard == [("failed", "t1", "unknown")]


class Crashed(SimpleNamespace):
    """A trial of Tune's that has crashed."""

    trial_id, pickled_error_file, config = "t1", None, None

    def set_config(self, config: Any) -> None:
        self.config = config


def test_a_crashed_trial_is_started_again_with_the_job_of_its_next_attempt():
    session, crashes, stopped = Recorder(JOB), [], []
    scheduler, crashed = SessionScheduler(session, crashes.append), Crashed()
    controller = SimpleNamespace(stop_trial=stopped.append)
    scheduler.on_trial_error(controller, crashed)
    scheduler.on_trial_add(controller, crashed)
    assert crashed.config == dataclasses.asdict(JOB) and stopped == []
    assert crashes == [Failure("trial", "unknown")] and session.heard == [("crashed", "t1", crashes[0])]


@pytest.mark.parametrize("answer", [None, ValueError("broken")])
def test_a_crashed_trial_that_is_not_tried_again_is_taken_from_tunes_queue(answer: Any):
    stopped: list[Any] = []
    scheduler, crashed = SessionScheduler(Recorder(answer)), Crashed()
    controller = SimpleNamespace(stop_trial=stopped.append)
    scheduler.on_trial_add(controller, crashed)  # when it is new
    assert stopped == []
    scheduler.on_trial_error(controller, crashed)
    scheduler.on_trial_add(controller, crashed)
    assert stopped == [crashed] and crashed.config is None


def test_that_a_trial_waits_is_passed_on_and_stops_it_where_the_session_stops():
    for goes_on in (True, False):
        session = Recorder(goes_on)
        decision = SessionScheduler(session).on_trial_result(None, trial(), {"waiting": "", "pid": 1})
        assert session.heard == [("waits", "t1", "")]
        assert decision == (TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)


def test_an_error_in_a_turn_stops_the_session_by_name():
    def broken(trials: list[Any]) -> None:
        raise OSError("no terminal")

    session = Recorder()
    SessionCallback(session, broken).on_step_end(1, [])
    assert session.stopped == "OSError: no terminal" and isinstance(session.error, OSError)


@pytest.mark.parametrize("kind", HOOKS)
def test_tunes_snapshots_leave_the_session_out(kind: Any):
    hook = kind(SimpleNamespace(unpicklable=lambda: None))
    assert not hasattr(pickle.loads(pickle.dumps(hook)), "session")


def task_error(cause: BaseException) -> RayTaskError:
    return RayTaskError("run_trial", "Traceback (most recent call last):\n ...", cause)


TOLD = Failure("node", "GPUError: CUDA does not start", "1a2b", ("3",))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (task_error(RuntimeError("no room")), "RuntimeError: no room"),
        (task_error(KeyError("left_out")), "KeyError: 'left_out'"),
        (task_error(ValueError("first line\nsecond line")), "ValueError: first line"),
        (task_error(ValueError()), "ValueError: no message"),
        (ActorDiedError(), "its worker process died (killed, or crashed in native code)"),
        (OutOfMemoryError("Task was killed due to the node running low on memory."),
         "its node ran out of memory and Ray killed the worker"),
        (TimeoutError("no answer"), "TimeoutError: no answer"),
    ],
)  # fmt: skip
def test_reasons_are_one_true_line(error: BaseException, reason: str, tmp_path):
    assert failure_in(error) == Failure("trial", reason)
    path = tmp_path / "error.pkl"
    path.write_bytes(cloudpickle.dumps(error))
    assert failure_of_trial(trial(pickled_error_file=path)) == Failure("trial", reason)


def test_what_a_worker_tells_is_heard_and_a_lost_node_is_the_nodes_failure():
    assert failure_in(task_error(RuntimeError(TOLD.told()))) == TOLD
    died = ActorDiedError()
    died.error_msg = "The actor died because its node has died. Node Id: 1a2b"
    assert failure_in(died) == Failure("node", "its node died")


@pytest.mark.parametrize("content", [None, b"", b"junk"])
def test_a_reason_that_cannot_be_read(content: bytes | None, tmp_path):
    path = tmp_path / "error.pkl"
    if content is not None:
        path.write_bytes(content)
    assert failure_of_trial(trial(pickled_error_file=path)).reason == "unknown"
    assert failure_of_trial(trial(pickled_error_file=None)).reason == "unknown"

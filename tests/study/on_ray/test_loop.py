"""What is refused once it is known what the cluster has."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pandas as pd
import pytest
import ray

from study.errors import OptionError, StudyError
from study.on_ray.loop import (
    ResultsWriter,
    _as_it_was,
    _callback,
    _check_cluster,
    _check_folder,
    _connect,
    _quiet_ray,
    _scheduler,
    _signals,
    _without_hangup,
)
from study.source import REPOSITORY, code_version


def test_gpu_hours_where_trials_get_no_gpu_are_refused(plan_of, open_session, monkeypatch):
    session = open_session(plan_of("--gpu-hours", "5"))
    monkeypatch.setattr("study.on_ray.loop.wait_for_resources", lambda plan, stopping: 0.0)
    with pytest.raises(OptionError, match=r"--gpu-hours 5: the trials use no GPU, .* use --time-budget"):
        _check_cluster(session, dict)


def test_the_table_is_written_when_a_trial_has_ended_and_no_oftener(
    plan_of, open_session, fake_tune, monkeypatch
):
    monkeypatch.setattr("study.on_ray.loop._TABLE_SHARE", float("inf"))  # all of the time may go into it
    session = open_session(plan_of("--samples", "2"))
    writer, path = ResultsWriter(session), session.plan.folder / "results.parquet"
    writer.poll()
    assert not path.is_file()  # no trial, no row
    fake_tune(session).run()
    writer.poll()
    assert path.is_file() and len(pd.read_parquet(path).trial.unique()) == 2
    path.unlink()
    writer.poll()  # nothing has ended since
    assert not path.is_file()


def test_one_turn_looks_at_everything(plan_of, open_session):
    session, looked = open_session(plan_of("--samples", "1")), []
    display = SimpleNamespace(poll=lambda: looked.append("display"))
    places = SimpleNamespace(poll=lambda: looked.append("places"))
    callback = _callback(session, display, places, lambda: looked.append("models"))
    callback.on_step_end(1, [])
    assert looked == ["display", "models", "places"] and session.error is None


def test_what_only_watches_does_not_end_the_study(plan_of, open_session, caplog):
    session, looked = open_session(plan_of("--samples", "1")), []

    def broken():
        looked.append("broken")
        raise OSError("no terminal")

    places = SimpleNamespace(poll=lambda: looked.append("places"), suspect=lambda failure: broken())
    callback = _callback(session, SimpleNamespace(poll=broken), places, lambda: None)
    scheduler = _scheduler(session, places)
    for _ in range(2):
        callback.on_step_end(1, [])
        scheduler.on_trial_error(None, SimpleNamespace(trial_id="t1", pickled_error_file=None))
    assert looked == ["broken", "places", "broken"] * 2
    assert session.error is None and session.stopping is None
    said = [line.split("; ")[0] for line in caplog.messages]
    assert said == ["the display: OSError: no terminal", "the look at nodes and GPUs: OSError: no terminal"]
    assert (session.plan.folder / "ray" / "driver.log").read_text().count("OSError: no terminal") == 2


@pytest.mark.parametrize("ignored", [False, True])
def test_a_hangup_stops_the_session_unless_nohup_ignores_it(plan_of, open_session, ignored):
    session = open_session(plan_of("--samples", "1"))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        with _signals(session):
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is (signal.SIG_IGN if ignored else signal.SIG_DFL)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (session.interrupted, session.stopping) == ((False, None) if ignored else (True, "signal SIGHUP"))


def test_what_ray_starts_here_does_not_hear_of_a_hangup():
    asked = "import signal; print(signal.SIGHUP in signal.pthread_sigmask(signal.SIG_BLOCK, ()))"
    with _without_hangup():
        inside = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True)
    assert inside.stdout == "True\n"
    assert signal.SIGHUP not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_process_is_after_a_session_what_it_was(monkeypatch):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    monkeypatch.setenv("PYTHONPATH", "mine")
    monkeypatch.delenv("TUNE_DISABLE_SIGINT_HANDLER", raising=False)
    log, faults = logging.getLogger("ray.tune"), faulthandler.is_enabled()
    before = dict(os.environ), log.level, list(log.handlers), log.propagate
    handler = logging.NullHandler()
    with _as_it_was():
        _quiet_ray()
        os.environ["PYTHONPATH"] = "theirs:mine"
        log.addHandler(handler)
        log.propagate = not log.propagate
        faulthandler.enable()
        assert os.environ["TUNE_DISABLE_SIGINT_HANDLER"] == "1" and log.level == logging.CRITICAL
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "1"  # a caller's own choice holds
    assert (dict(os.environ), log.level, list(log.handlers), log.propagate) == before
    assert faulthandler.is_enabled() == faults


def test_another_copy_of_the_code_in_the_working_directory_is_refused(tmp_path):
    _check_folder(tmp_path)
    _check_folder(REPOSITORY)
    (tmp_path / "search_spaces").mkdir()
    _check_folder(tmp_path)  # not the package
    (tmp_path / "search_spaces" / "__init__.py").touch()
    with pytest.raises(StudyError, match=r"the working directory .* holds another search_spaces than .*"):
        _check_folder(tmp_path)


@pytest.mark.parametrize("theirs", ["0123456789abcdef", ray.exceptions.RayError("No module named 'study'")])
def test_a_ray_that_is_running_must_have_this_code(plan_of, monkeypatch, theirs):
    def get(reference):
        if isinstance(theirs, Exception):
            raise theirs
        return theirs

    task = SimpleNamespace(options=lambda **_: SimpleNamespace(remote=lambda: None))
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "remote", lambda function: task)
    monkeypatch.setattr(ray, "get", get)
    with pytest.raises(StudyError, match=r"workers of the Ray .*they have (0123|No module).*ray.shutdown"):
        _connect(plan_of())
    monkeypatch.setattr(ray, "get", lambda reference: code_version())
    _connect(plan_of())

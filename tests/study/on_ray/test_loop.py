"""What is refused once it is known what the cluster has."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from study.errors import OptionError
from study.on_ray.loop import ResultsWriter, _callback, _check_cluster


def test_gpu_hours_where_trials_get_no_gpu_are_refused(plan_of, open_session, monkeypatch):
    session = open_session(plan_of("--gpu-hours", "5"))
    monkeypatch.setattr("study.on_ray.loop.wait_for_resources", lambda plan, stopping: 0.0)
    with pytest.raises(OptionError, match=r"--gpu-hours 5: the trials use no GPU, .* use --time-budget"):
        _check_cluster(session)


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
    nodes = SimpleNamespace(poll=lambda: looked.append("nodes"), suspect=lambda: looked.append("suspected"))
    callback = _callback(session, display, nodes)
    callback.on_step_end(1, [])
    assert looked == ["display", "nodes"]
    callback.on_trial_error(1, [], SimpleNamespace(trial_id="t1", pickled_error_file=None))
    assert looked[2:] == ["suspected"] and session.error is None

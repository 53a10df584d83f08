"""What is refused once it is known what the cluster has."""

from __future__ import annotations

import pytest

from study.errors import OptionError
from study.on_ray.loop import _check_cluster


def test_gpu_hours_where_trials_get_no_gpu_are_refused(plan_of, open_session, monkeypatch):
    session = open_session(plan_of("--gpu-hours", "5"))
    monkeypatch.setattr("study.on_ray.loop.wait_for_resources", lambda plan, stopping: 0.0)
    with pytest.raises(OptionError, match=r"--gpu-hours 5: the trials use no GPU, .* use --time-budget"):
        _check_cluster(session)

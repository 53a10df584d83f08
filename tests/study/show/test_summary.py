"""What is printed at the end of a session."""

from __future__ import annotations

import io

from screens import screen, text

from study.show.summary import summary
from study.show.terminal import Terminal


def test_it_is_readable_at_80_columns(plan_of, play):
    session = play(plan_of("--samples", "6", "--pruner", "none"))
    console = screen()
    summary(session, console)
    output = text(console)
    assert all(
        len(line) <= 80 for line in output.splitlines() if "results:" not in line and "--resume" not in line
    )
    assert "configurations by the mAP of the last merge step" in output and "0*" in output
    assert (
        "* the paper's configuration, " in output
        and " fields changed by options" in output
        and "untrained network: mAP " in output
    )
    assert session.data.protocol in output
    assert f"--resume {session.plan.folder} --samples 12" in output.replace("'", "")


def test_measurements_without_cameras_stand_beside_the_others(plan_of, open_session, fake_tune):
    session = open_session(plan_of("--samples", "4", "--pruner", "none"))

    class Normalised(fake_tune):
        def rows(self, job):
            for row in super().rows(job):
                yield row | {"mAP_camera_normalised": 0.123, "rank1_camera_normalised": 0.456}

    Normalised(session).run()
    console = Terminal(io.StringIO())  # the command's own
    console.width = 160
    summary(session, console)
    lines = text(console).splitlines()
    table = [line.split() for line in lines[1:4]]  # headings of two words stand on two lines
    assert table[0] == ["cam-norm", "cam-norm"] and table[1][6:9] == ["selected", "mAP", "rank-1"]
    assert table[2][9:11] == ["12.3", "45.6"]
    assert "untrained network: cam-norm mAP 12.3, cam-norm rank-1 45.6" in lines
    assert any(line.startswith("cam-norm: on test features normalised per camera") for line in lines)


def test_the_paper_stands_in_it_even_when_it_is_worst(plan_of, open_session, fake_tune):
    session = open_session(plan_of("--samples", "8", "--pruner", "none"))

    class Worst(fake_tune):
        def rows(self, job):
            for row in super().rows(job):
                yield row | ({"mAP": 0.01} if job.trial == 0 else {})

    Worst(session).run()
    console = screen()
    summary(session, console)
    assert "0*   1.0" in text(console)


def test_failures_are_printed_once_per_reason(plan_of, open_session):
    session = open_session(plan_of("--samples", "4"))
    for tune_id in ("a", "b"):
        session.ask(tune_id)
        session.failed(tune_id, "its worker process died")
    console = screen(200)
    summary(session, console)
    assert "trials 0, 1 failed: its worker process died" in text(console)
    assert "failed trials again, from their checkpoints: python study/run.py" in text(console)
    assert "to go on: python study/run.py --resume" in text(console)

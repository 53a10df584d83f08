"""What the user sees while a study runs, on a terminal of 80 columns and in a pipe."""

from __future__ import annotations

import pytest
from screens import screen, text

from study.failures import Failure
from study.show.console import Display
from study.show.view import of_session


@pytest.fixture
def halfway(plan_of, play):
    """Two trials under way, one of them at step 3."""
    return play(plan_of("--samples", "6", "--pruner", "none"), slots=2, cut=25)


@pytest.mark.parametrize("width", [80, 120])
def test_the_live_table_fits(halfway, width: int):
    console = screen(width)
    display = Display(halfway, console)
    for job in halfway.running.values():
        job.started = halfway.began
    console.print(display._table(of_session(halfway)))
    lines = text(console).splitlines()
    assert max(map(len, lines)) <= width
    assert "done" in lines[0] and lines[1].split() == [
        "trial",
        "step",
        "epoch",
        "mAP",
        "left",
        "configuration",
    ]
    assert len(lines) == 2 + len(halfway.running)


def test_each_end_is_one_line_printed_once(plan_of, open_session, fake_tune):
    session = open_session(plan_of("--samples", "4"))
    console = screen(300)
    with Display(session, console):
        fake_tune(session).run()
    lines = text(console).splitlines()
    assert len(lines) == len(session.ledger.trials) == len(set(lines))
    assert "trial 0 [paper] complete: mAP " in lines[0] and "λ1 0.06" in lines[0]


def test_measurements_without_cameras_have_a_column_and_are_said_at_the_end(plan_of, open_session):
    session = open_session(plan_of("--samples", "4"))
    console = screen(200)
    display = Display(session, console)
    session.ask("t")
    session.started("t")
    measured = {"mAP": 0.2, "mAP_camera_normalised": 0.123}
    session.hear("t", {"step": 1, "total_steps": 2} | measured)
    console.print(display._table(of_session(session)))
    lines = text(console).splitlines()
    assert lines[1].split()[3:6] == ["mAP", "cam-norm", "mAP"] and lines[2].split()[3:5] == ["20.0", "12.3"]
    assert "mAP 20.0, cam-norm mAP 12.3" in display._end_of(session.ledger.trials[0])


def test_a_retry_and_a_stop_are_printed_with_the_reason(plan_of, open_session):
    session = open_session(plan_of("--samples", "4"))
    console = screen(200)
    with Display(session, console):
        session.ask("t")
        session.started("t")
        session.hear("t", {"step": 1, "mAP": 0.2, "total_steps": 5})
        session.crashed("t", Failure("trial", "its worker process died"))
        session.crashed("t", Failure("node", "CUDA does not start"))
        session.stop("signal SIGINT")
        session.stop("again")
    assert text(console).splitlines() == [
        "0:00 trial 0 goes on from merge step 1: its worker process died",
        "0:00 trial 0 goes on elsewhere: CUDA does not start",
        "0:00 stopping: signal SIGINT",
    ]


def test_what_is_set_aside_stands_in_table_and_line(halfway):
    halfway.set_aside("GPU 3 of 10.0.0.5", "CUDA does not start")
    console = screen(200)
    display = Display(halfway, console)
    console.print(display._table(of_session(halfway)))
    display._drawn = 0.0
    display.poll()
    assert text(console).count("set aside: GPU 3 of 10.0.0.5") == 2


def test_a_pipe_gets_a_line_now_and_then(halfway):
    console = screen(200)
    display = Display(halfway, console)
    display.poll()
    assert text(console) == ""
    display._drawn = 0.0
    for job in halfway.running.values():
        job.started = halfway.began
    display.poll()
    display.poll()
    (line,) = text(console).splitlines()
    assert "/6 done" in line and "running: trial" in line and "\x1b" not in line


def test_a_terminal_that_is_gone_gets_lines_instead_of_a_table(halfway):
    console = screen(120, terminal=True)
    with Display(halfway, console) as display:
        assert display._live is not None
        console._force_terminal = False  # what `Output.isatty` then says
        before = len(text(console))
        display._drawn = 0.0
        display.poll()
        assert display._live is None and console.no_color
        assert "running: trial 4 step 0/5; " in text(console)[before:] and text(console).endswith("\n")


def test_a_display_that_is_broken_does_not_end_the_session(plan_of, open_session, fake_tune, caplog):
    session = open_session(plan_of("--samples", "2"))
    with Display(session, screen(80)) as display:
        display._end_of = None
        fake_tune(session).run()
    assert session.error is None and session.queue.complete
    assert [line for line in caplog.messages if line.startswith("the display: TypeError")]


def test_a_failed_trial_is_told_with_the_place_of_its_output(plan_of, open_session):
    session, console = open_session(plan_of("--samples", "1", "--storage", "s3://b/s?region=x")), screen(300)
    with Display(session, console):
        session.ask("t")
        session.failed("t", "its worker process died")
    (line,) = text(console).splitlines()
    assert "trial 0 [paper] failed: its worker process died · " in line
    assert line.endswith(" · what its workers printed: s3://b/s/study/0000/output.log?region=x")

"""What the user sees, on a terminal of 80 columns and in a pipe."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from study.show.commands import next_command
from study.show.console import Display
from study.show.summary import summary
from study.show.view import of_session
from study.show.wording import clock, parameters, percent


def screen(width: int = 80, terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=terminal, highlight=False, markup=False)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture
def halfway(plan_of, play):
    """Two trials under way, one of them at step 3."""
    return play(plan_of("--samples", "6", "--pruner", "none"), slots=2, cut=25)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0:00"), (65.9, "1:05"), (3600, "1:00:00"), (7384, "2:03:04"), (180000, "2 d 02:00"), (-3, "0:00")],
)
def test_times(seconds: float, expected: str):
    assert clock(seconds) == expected


def test_values():
    assert percent(0.18349) == "18.3" and percent(None) == "–" and percent(0.0) == "0.0"


def test_parameters_tell_trials_apart(plan_of, play):
    session = play(plan_of("--samples", "2"))
    assert parameters(session.ledger.trials[0], session.plan) == "λ1 0.06 λ2 0.003 τ 0.1 α linear 0.5"
    plan = plan_of("--plan", "table1", "--seeds", "2")
    names = [
        parameters(t, plan)
        for t in play(plan_of("--plan", "table1", "--seeds", "2", "--name", "p")).ledger.trials.values()
    ]
    assert names[0] == "seed 0" and "λ1 0 λ2 0 seed 1" in names and len(set(names)) == 6


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


def test_a_retry_and_a_stop_are_printed_with_the_reason(plan_of, open_session):
    session = open_session(plan_of("--samples", "4"))
    console = screen(200)
    with Display(session, console):
        session.ask("t")
        session.started("t")
        session.hear("t", {"step": 1, "mAP": 0.2, "total_steps": 5})
        session.retried("t", "its worker process died")
        session.stop("signal SIGINT")
        session.stop("again")
    assert text(console).splitlines() == [
        "0:00 trial 0 goes on from merge step 1: its worker process died",
        "0:00 stopping: signal SIGINT",
    ]


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


class TestSummary:
    def test_it_is_readable_at_80_columns(self, plan_of, play):
        session = play(plan_of("--samples", "6", "--pruner", "none"))
        console = screen()
        summary(session, console)
        output = text(console)
        assert all(
            len(line) <= 80
            for line in output.splitlines()
            if "results:" not in line and "--resume" not in line
        )
        assert "configurations by the mAP of the last merge step" in output and "0*" in output
        assert "* the paper's configuration" in output and "untrained network: mAP " in output
        assert session.data.protocol in output
        assert f"--resume {session.plan.folder} --samples 12" in output.replace("'", "")

    def test_the_paper_stands_in_it_even_when_it_is_worst(self, plan_of, open_session, fake_tune):
        session = open_session(plan_of("--samples", "8", "--pruner", "none"))

        class Worst(fake_tune):
            def rows(self, job):
                for row in super().rows(job):
                    yield row | ({"mAP": 0.01} if job.trial == 0 else {})

        Worst(session).run()
        console = screen()
        summary(session, console)
        assert "0*   1.0" in text(console)

    def test_failures_are_printed_once_per_reason(self, plan_of, open_session):
        session = open_session(plan_of("--samples", "4"))
        for tune_id in ("a", "b"):
            session.ask(tune_id)
            session.failed(tune_id, "its worker process died")
        console = screen(200)
        summary(session, console)
        assert "trials 0, 1 failed: its worker process died" in text(console)
        assert "to go on: python study/run.py --resume" in text(console)

    def test_what_to_type_next(self, halfway, plan_of, play, monkeypatch, tmp_path):
        assert next_command(halfway.plan, False).startswith("to go on: ")
        done = play(plan_of("--plan", "table1", "--name", "t"))
        assert next_command(done.plan, True).endswith("--seeds 3")
        (tmp_path / "studies").mkdir()
        monkeypatch.chdir(tmp_path)
        assert next_command(plan_of("--samples", "2", "--studies", "studies", "--name", "n"), True) == (
            "more of the same search: python study/run.py --resume n --samples 4"
        )

"""Optuna's study in a real PostgreSQL: complete after cuts and outages, and refused where it cannot be."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from postgres import Server, missing

from study import run
from study.command.parser import parser
from study.command.resolve import overrides
from study.decide.session import Session
from study.errors import OptionError, StorageError
from study.search import database
from study.search.database import DatabaseAwayError, check_database

SAMPLES = ("--samples", "7", "--grace", "1")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    why = missing()
    if why is not None:
        pytest.skip(why)
    running = Server()
    try:
        running.start()
        yield running
    finally:
        running.close()


@pytest.fixture
def url(server: Server) -> str:
    """An Optuna storage without studies."""
    if server.process is None:
        server.start()
    for name in optuna.get_all_study_names(server.url()):
        optuna.delete_study(study_name=name, storage=server.url())
    return server.url()


def kept(url: str, name: str = "study") -> dict[int, tuple]:
    """What the database holds of the ledger's trials, read as optuna-dashboard would."""
    trials = optuna.load_study(study_name=name, storage=url).trials
    assert all("trial" in trial.user_attrs for trial in trials)
    output = {
        t.user_attrs["trial"]: (t.state, t.value, t.params, t.distributions, t.intermediate_values)
        for t in trials
    }
    assert len(output) == len(trials)
    return output


def in_memory(session: Session) -> dict[int, tuple]:
    assert session.optuna is not None
    return {
        t.user_attrs["trial"]: (t.state, t.value, t.params, t.distributions, t.intermediate_values)
        for t in session.optuna.study.trials
        if "trial" in t.user_attrs
    }


def check(url: str, session: Session) -> None:
    """The database says what the ledger says, and nothing is left running."""
    found = kept(url)
    states = {"complete": "COMPLETE", "pruned": "PRUNED", "diverged": "COMPLETE", "failed": "FAIL"}
    assert {n: state.name for n, (state, *_) in found.items()} == {
        n: states[trial.state] for n, trial in session.ledger.trials.items()
    }
    assert found == in_memory(session)


@pytest.mark.slow
def test_complete_pruned_and_failed_trials(url: str, plan_of, open_session, fake_tune):
    class Failing(fake_tune):
        def rows(self, job):
            for row in super().rows(job):
                if job.trial == 2 and row["step"] == 1:
                    yield {"failed": "GPU out of memory"}
                if job.trial == 3 and row["step"] == 1:
                    yield {"diverged": "loss is nan"}
                yield row

    session = open_session(plan_of(*SAMPLES, "--optuna-storage", url))
    Failing(session, slots=2).run()
    states = {trial.state for trial in session.ledger.trials.values()}
    assert states == {"complete", "pruned", "failed", "diverged"}
    check(url, session)


@pytest.mark.slow
@pytest.mark.parametrize(("cut", "sampler"), [(1, "tpe"), (11, "cmaes"), (19, "tpe")])
def test_a_killed_study_goes_on_as_if_nothing_had_happened(url: str, plan_of, play, cut: int, sampler: str):
    options = (*SAMPLES, "--sampler", sampler)
    whole = play(plan_of(*options, "--name", "whole"))  # with the journal
    options = (*options, "--optuna-storage", url)
    play(plan_of(*options), cut=cut)
    session = play(plan_of(*options))
    check(url, session)
    curves = [
        [(trial.params, trial.state, trial.curve()) for trial in s.ledger.trials.values()]
        for s in (whole, session)
    ]
    assert curves[0] == curves[1]


@pytest.mark.slow
def test_an_outage_costs_the_study_nothing(
    url: str, server: Server, plan_of, open_session, fake_tune, play, caplog
):
    whole = play(plan_of(*SAMPLES, "--name", "whole"))

    class Outage(fake_tune):
        def rows(self, job):
            for row in super().rows(job):
                if job.trial == 2 and row["step"] == 1:
                    server.stop()
                yield row

    session = open_session(plan_of(*SAMPLES, "--optuna-storage", url))
    Outage(session).run()
    assert session.queue.complete and in_memory(session) == in_memory(whole)
    assert caplog.text.count("the study goes on, and fills it in when it is back") == 1
    server.start()
    assert any(state == TrialState.RUNNING for state, *_ in kept(url).values())
    check(url, open_session(plan_of(*SAMPLES, "--optuna-storage", url)))


@pytest.mark.slow
def test_a_database_that_comes_back_is_filled_in(
    url: str, server: Server, plan_of, open_session, fake_tune, caplog, monkeypatch
):
    monkeypatch.setattr(database, "_PAUSE", 0.0)

    class Outage(fake_tune):
        def rows(self, job):
            for row in super().rows(job):
                if (job.trial, row["step"]) == (1, 2):
                    server.stop()
                if (job.trial, row["step"]) == (3, 1):
                    server.start()
                yield row

    session = open_session(plan_of("--samples", "5", "--pruner", "none", "--optuna-storage", url))
    Outage(session).run()
    check(url, session)
    assert caplog.text.count("is back and has been filled in") == 1


@pytest.mark.slow
def test_a_study_may_move_to_a_database_and_back(url: str, plan_of, play):
    play(plan_of(*SAMPLES), cut=12)
    play(plan_of(*SAMPLES, "--optuna-storage", url), cut=12)
    check(url, play(plan_of(*SAMPLES, "--optuna-storage", url)))
    assert play(plan_of(*SAMPLES)).queue.complete


@pytest.mark.slow
def test_an_emptied_database_is_made_again(url: str, plan_of, play, open_session):
    plan = plan_of(*SAMPLES, "--optuna-storage", url)
    before = kept(url) if play(plan) else {}
    optuna.delete_study(study_name="study", storage=url)
    open_session(plan)
    assert kept(url) == before


@pytest.mark.slow
def test_a_study_that_was_changed_in_the_database_is_made_again(url: str, plan_of, play, open_session):
    plan = plan_of(*SAMPLES, "--optuna-storage", url)
    play(plan, cut=12)
    before = kept(url)
    study = optuna.load_study(study_name="study", storage=url)
    running = next(trial.number for trial in study.trials if trial.state == TrialState.RUNNING)
    study.tell(running, 0.5)
    open_session(plan)
    assert kept(url) == before


@pytest.mark.slow
def test_another_folders_study_of_the_same_name_is_left_alone(url: str, plan_of, play, tmp_path: Path):
    plan = plan_of(*SAMPLES, "--optuna-storage", url)
    play(plan)
    before = kept(url)
    other = plan_of(*SAMPLES, "--optuna-storage", url, "--studies", str(tmp_path / "elsewhere"))
    with pytest.raises(StorageError, match="holds a study study of another study folder; use another --name"):
        play(other)
    assert kept(url) == before


# --- no answer when a session begins

AWAY = "postgresql://study@127.0.0.1:1/postgres"


@pytest.fixture
def driver() -> None:
    pytest.importorskip("psycopg", reason="no psycopg (pip install -e '.[postgres]')")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (AWAY, "port 1 failed: Connection refused"),
        ("postgresql://study@no-such-host.invalid/x", "no-such-host.invalid"),
    ],
)
def test_a_server_that_does_not_answer_is_away(driver, url: str, said: str):
    with pytest.raises(DatabaseAwayError, match=f"--optuna-storage {url}: .*{said}"):
        check_database(url)


@pytest.mark.parametrize(
    ("message", "away"),
    [
        ("FATAL:  the database system is starting up", True),
        ("FATAL:  the database system is shutting down", True),
        ("FATAL:  sorry, too many clients already", True),
        ("connection timeout expired", True),
        ('FATAL:  password authentication failed for user "study"', False),
    ],
)
def test_what_a_server_says_that_answers(driver, message: str, away: bool, monkeypatch: pytest.MonkeyPatch):
    import psycopg

    def refuse(*arguments, **options):
        raise psycopg.OperationalError(message)

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        monkeypatch.setattr("psycopg.connect", refuse)
        url = f"postgresql://study@127.0.0.1:{listening.getsockname()[1]}/x"
        with pytest.raises((DatabaseAwayError, StorageError), match=message) as told:
            check_database(url)
    assert (told.type is DatabaseAwayError) == away


def test_a_study_runs_without_its_database(driver, plan_of, play, caplog):
    whole = play(plan_of(*SAMPLES, "--name", "whole"))
    session = play(plan_of(*SAMPLES, "--optuna-storage", AWAY))
    assert session.queue.complete and in_memory(session) == in_memory(whole)
    said = [line for line in caplog.messages if "Optuna's database" in line]
    assert len(said) == 1 and "Connection refused" in said[0]
    assert said[0].endswith("goes on, and fills it in when it is back")


def test_a_dry_run_says_that_the_database_does_not_answer(
    driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.chdir(tmp_path)
    assert run.main(["--optuna-storage", AWAY, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert f"--optuna-storage {AWAY}: " in out and "the study runs, and fills it in when it is back" in out


@pytest.mark.slow
def test_a_database_that_was_down_at_the_start_is_filled_in(
    url: str, server: Server, plan_of, open_session, fake_tune, caplog, monkeypatch
):
    monkeypatch.setattr(database, "_PAUSE", 0.0)

    class Late(fake_tune):
        def rows(self, job):
            for row in super().rows(job):
                if (job.trial, row["step"]) == (3, 1):
                    server.start()
                yield row

    server.stop()
    session = open_session(plan_of("--samples", "5", "--pruner", "none", "--optuna-storage", url))
    Late(session).run()
    check(url, session)
    assert caplog.text.count("fills it in when it is back") == 1
    assert caplog.text.count("is back and has been filled in") == 1


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_a_session_without_the_database_comes_between_two_with_it(
    url: str, server: Server, plan_of, play, sampler: str
):
    """What is drawn depends on the ledger alone, but for the state of CMA-ES, which begins anew."""
    options = ("--samples", "14", "--sampler", sampler, "--pruner", "none", "--no-tables")
    whole = play(plan_of(*options, "--name", "whole"))
    options = (*options, "--optuna-storage", url)
    play(plan_of(*options), cut=60)
    server.stop()
    play(plan_of(*options), cut=12)
    server.start()
    session = play(plan_of(*options))
    check(url, session)
    drawn = [[trial.params for trial in s.ledger.trials.values()] for s in (whole, session)]
    assert (drawn[0] == drawn[1]) == (sampler == "tpe") and len(drawn[1]) == 14


# --- refused before anything starts


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "not the URL of a database"),
        ("postgres://u@h/d", "no such kind of database"),
        ("oracle://u@h/d", "needs the Python package .*: python -m pip install"),
        ("postgresql://u:secret@h/d", "the password would stand in study.json; write [$]NAME"),
        ("postgresql://u:$NOT_SET_HERE@h/d", "[$]NOT_SET_HERE is not set in the environment"),
        ("sqlite:////nowhere/at/all.db", "unable to open database file"),
    ],
)
def test_urls_that_cannot_be_used(url: str, said: str):
    with pytest.raises(StorageError, match=f"--optuna-storage.*{said}") as refused:
        check_database(url)
    assert "secret" not in str(refused.value)


@pytest.mark.slow
def test_refused_connections_and_wrong_names(server: Server, monkeypatch: pytest.MonkeyPatch):
    if server.process is None:
        server.start()
    with pytest.raises(StorageError, match='database "missing" does not exist'):
        check_database(server.url("missing"))
    with pytest.raises(StorageError, match='role "nobody-here" does not exist'):
        check_database(server.url().replace("study@", "nobody-here@"))
    monkeypatch.setenv("STUDY_DB_PASSWORD", "p@ss/word")
    check_database(server.url().replace("study@", "study:$STUDY_DB_PASSWORD@"))


def test_the_command_refuses_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.chdir(tmp_path)
    assert run.main(["--optuna-storage", "postgres://u@h/d"]) == 2
    assert "study/run.py: error: --optuna-storage postgres://u@h/d: no such kind" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_storage_may_change_when_a_study_is_resumed(plan_of: Callable):
    plan = plan_of("--optuna-storage", "sqlite:///a.db")
    for text, expected in (("sqlite:///b.db", "sqlite:///b.db"), ("journal", None)):
        argv = ["--resume", "study", "--optuna-storage", text]
        assert overrides(plan, parser().parse_args(argv), argv).optuna_storage == expected
    assert overrides(plan, parser().parse_args(["--resume", "study"]), []).optuna_storage == "sqlite:///a.db"
    with pytest.raises(OptionError):
        argv = ["--resume", "study", "--storage", "/elsewhere"]
        overrides(plan, parser().parse_args(argv), argv)

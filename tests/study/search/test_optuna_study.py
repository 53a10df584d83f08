"""Optuna's study against the ledger: whichever of the two is ahead, or lost, they end up equal."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from ledgers import rewrite
from optuna.trial import TrialState

from dcreid.config import Config
from study.search.optuna_study import journal


def content(session) -> dict:
    """What Optuna holds of the ledger's trials."""
    return {
        t.user_attrs["trial"]: (t.state, t.value, t.params, t.distributions, t.intermediate_values)
        for t in session.optuna.study.trials
        if "trial" in t.user_attrs
    }


@pytest.fixture
def options() -> tuple[str, ...]:
    return ("--samples", "7", "--pruner", "none")


@pytest.fixture
def cut(plan_of, play, options):
    """A session that was killed with one trial under way."""
    return play(plan_of(*options), cut=20)


def test_a_deleted_journal_is_made_again(plan_of, play, open_session, options):
    before = content(play(plan_of(*options)))
    (plan_of().folder / "optuna.journal").unlink()
    assert content(open_session(plan_of(*options))) == before


@pytest.mark.parametrize("kept", [0.3, 0.7, 0.999])
def test_a_journal_cut_by_a_crash_is_mended(plan_of, play, open_session, options, kept: float):
    before = content(play(plan_of(*options)))
    path = plan_of().folder / "optuna.journal"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    assert content(open_session(plan_of(*options))) == before


def test_a_damaged_journal_is_set_aside(plan_of, play, open_session, options, caplog):
    before = content(play(plan_of(*options)))
    path = plan_of().folder / "optuna.journal"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:5], b"\x00garbage\n", *lines[5:]]))
    assert content(open_session(plan_of(*options))) == before
    assert "was damaged" in caplog.text and path.with_suffix(".damaged").is_file()


def test_a_storage_ahead_of_the_ledger(plan_of, play, open_session, options, cut):
    number, trial = next((n, t) for n, t in cut.ledger.trials.items() if t.state == "running")
    study, found = cut.optuna.study, content(cut)[number]
    assert found[0] == TrialState.RUNNING
    optuna_number = cut.optuna._numbers[number]
    study.tell(optuna_number, 0.5)  # complete there, running in the ledger
    again = open_session(plan_of(*options))
    assert content(again)[number] == found and trial.state == "running"


def test_a_ledger_ahead_of_the_storage(plan_of, play, options, open_session, monkeypatch):
    session = open_session(plan_of(*options))
    monkeypatch.setattr(session.optuna, "report", lambda *_: False)
    monkeypatch.setattr(session.optuna, "tell", lambda *_: None)
    job = session.ask("t")
    for step in range(6):
        session.hear("t", {"step": step, "mAP": 0.1 * step, "total_steps": 5})
    assert job.trial == 0 and content(session)[0][0] == TrialState.RUNNING
    state, value, *_, curve = content(open_session(plan_of(*options)))[0]
    assert (state, value) == (TrialState.COMPLETE, 0.5) and len(curve) == 5


def test_a_storage_that_says_something_else_is_made_again(plan_of, play, open_session, options, caplog):
    """Another's parameters, and one trial of the ledger twice."""
    before = content(play(plan_of(*options)))
    study = open_session(plan_of(*options)).optuna.study
    other = next(trial for trial in study.trials if trial.user_attrs["trial"] == 2)
    for attributes in ({"trial": 2}, {"trial": 99}):
        study.add_trial(
            optuna.create_trial(
                state=TrialState.COMPLETE,
                value=other.value,
                params=other.params,
                distributions=other.distributions,
                user_attrs=attributes,
                intermediate_values=other.intermediate_values,
            )
        )
        caplog.clear()
        again = open_session(plan_of(*options))
        assert content(again) == before and len(again.optuna.study.trials) == len(before)
        assert "does not fit the ledger" in caplog.text
        study = again.optuna.study


def test_running_trials_of_other_parameters_are_made_again(plan_of, open_session, options, cut):
    (number,) = (n for n, t in cut.ledger.trials.items() if t.state == "running")
    cut.optuna.discard(cut.optuna.ask(999))  # behind it in the storage
    drawn = cut.ledger.trials[number].params
    name = next(name for name, value in drawn.items() if isinstance(value, float))
    before, after = f'"{name}": {drawn[name]!r}', f'"{name}": {drawn[name] * 0.99!r}'
    rewrite(cut.ledger.path, lambda text: text.replace(before, after))
    again = open_session(plan_of(*options))
    assert content(again)[number][2] == again.ledger.trials[number].params != drawn


def test_trials_that_only_optuna_knows_are_told_as_failed(plan_of, open_session, options, cut):
    asked = cut.optuna.ask(999)  # the driver died between Optuna's storage and the ledger
    again = open_session(plan_of(*options))
    assert again.optuna.study.trials[asked.number].state == TrialState.FAIL
    running = [t for t in again.optuna.study.trials if t.state == TrialState.RUNNING]
    assert len(running) == 1


def test_a_lock_left_by_a_killed_driver_does_not_matter(tmp_path: Path):
    (tmp_path / "optuna.journal.lock").write_bytes(b"")
    study = optuna.create_study(storage=journal(tmp_path))
    assert not study.trials


@pytest.mark.parametrize("sampler", ["cmaes", "gp"])
def test_a_study_whose_strip_for_zero_was_narrower_goes_on_with_todays(
    plan_of, play, open_session, monkeypatch, caplog, sampler: str
):
    options = ("--samples", "5", "--pruner", "none", "--sampler", sampler)
    with monkeypatch.context() as before:
        before.setattr("search_spaces.prior._ZERO_STRIP", 0.2)
        old = content(play(plan_of(*options), cut=20))
    session = open_session(plan_of(*options))
    assert "does not fit the ledger" in caplog.text
    space, found = session.plan.search_space, content(session)
    (low,) = {of[3]["merge.lambda1.or_zero"].low for of in old.values()}
    assert low == pytest.approx(0.003 * (0.003 / 1.0) ** 0.2)
    for number, (state, value, params, distributions, curve) in found.items():
        assert (state, value, params, curve) == (*old[number][:3], old[number][4])
        assert distributions == space.distributions()
        drawn = space.draw(optuna.trial.FixedTrial(params))
        held = Config.from_dict(session.ledger.trials[number].config).flat()
        assert drawn == {name: held[name] for name in drawn}
    caplog.clear()
    assert content(open_session(plan_of(*options))) == found and not caplog.text

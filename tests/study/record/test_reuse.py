"""Results that are known already are taken over and not computed again, unless --force says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from ledgers import rewrite

from dcreid.config import Config
from study.__main__ import main
from study.errors import StudyError
from study.record.folder import describe, write_description
from study.record.ledger import Ledger
from study.record.results import results_table
from study.record.reuse import KnownResults, Library
from study.show.status import Status


@pytest.fixture
def finished(plan_of, play, data):
    """A plan that has run, in a study called table1."""
    plan = plan_of("--plan", "table1", "--name", "table1")
    write_description(plan.folder, describe(plan, data, "c"))
    return play(plan)


def starts(session) -> list[int]:
    return [t.number for t in session.ledger.trials.values() if t.attempts]


def test_a_plan_takes_over_what_another_study_has_computed(finished, plan_of, open_session, fake_tune):
    plan = plan_of("--plan", "table1", "--reuse", "table1")
    session = open_session(plan)
    taken = session.queue.take_over()
    theirs = list(finished.ledger.trials.values())
    assert len(taken) == len(theirs) and session.queue.complete and starts(session) == []
    for ours, other in zip(taken, theirs, strict=True):
        assert (ours.config, ours.state, ours.value, ours.steps) == (
            other.config, other.state, other.value, other.steps,
        )  # fmt: skip
        assert (ours.origin, ours.labels) == (other.origin, other.labels)
        assert ours.reused == f"study table1, trial {other.number}" and ours.attempts == 0
        assert ours.seconds == ours.gpu_seconds == 0.0
    again = Ledger(session.ledger.path, read_only=True)
    assert again.trials == session.ledger.trials
    table = results_table("study", taken, "last")
    assert table.reused.str.startswith("study table1, trial ").all()


def test_the_rest_is_computed(finished, plan_of, open_session, fake_tune):
    session = open_session(plan_of("--plan", "table1", "--seeds", "2", "--reuse", "table1"))
    assert {t.seed for t in session.queue.take_over()} == {0}
    fake_tune(session).run()
    assert session.queue.complete
    assert {session.ledger.trials[n].seed for n in starts(session)} == {1}


def test_a_search_takes_over_the_paper_and_draws_that_are_known(plan_of, play, data, open_session, fake_tune):
    plan = plan_of("--samples", "4", "--pruner", "none", "--name", "first")
    write_description(plan.folder, describe(plan, data, "c"))
    first = play(plan)
    session = open_session(plan_of("--samples", "6", "--pruner", "none", "--reuse", "first"))
    output = []
    session.on_change = lambda event, trial: output.append((event, trial.number))
    assert len(session.queue.take_over()) == 1
    fake_tune(session).run()
    trials = session.ledger.trials
    # The same seed draws the same as long as the history is the same.
    assert [trials[n].reused for n in range(4)] == [f"study first, trial {n}" for n in range(4)]
    assert [("taken over", n) in output for n in range(5)] == [False, True, True, True, False]
    assert starts(session) == [4, 5] and session.queue.complete
    for number, trial in first.ledger.trials.items():
        assert (trials[number].value, trials[number].params) == (trial.value, trial.params)
    frozen = {t.user_attrs["trial"]: t for t in session.optuna.study.trials}
    assert all(frozen[n].value == trials[n].value and frozen[n].state.is_finished() for n in trials)
    assert frozen[2].intermediate_values == trials[2].curve()


def test_the_objective_is_this_studys(plan_of, play, data, open_session):
    plan = plan_of("--samples", "2", "--pruner", "none", "--name", "first")
    write_description(plan.folder, describe(plan, data, "c"))
    play(plan)
    session = open_session(plan_of("--samples", "1", "--objective", "best", "--reuse", "first"))
    (paper,) = session.queue.take_over()
    assert paper.value == max(paper.curve().values())


def test_what_another_pruner_ended_or_what_failed_is_not_taken_over(finished, plan_of, open_session):
    for state, number in {"pruned": 0, "failed": 1}.items():
        mark = f'"trial": {number}, "state": '
        rewrite(
            finished.ledger.path,
            lambda text, m=mark, s=state: text.replace(f'{m}"complete"', f'{m}"{s}"'),
        )
    session = open_session(plan_of("--plan", "table1", "--reuse", "table1"))
    assert len(session.queue.take_over()) == len(finished.ledger.trials) - 2


def test_other_code_or_data_does_not_fit_and_is_told(finished, data):
    folder = str(finished.plan.folder)
    digest = finished.ledger.trials[0].digest
    right = Library([folder], data.fingerprint(), finished.queue.known.code)
    assert right.find(digest) is not None and "nothing fits" not in right.notes[0]
    assert right.notes == [f"--reuse {folder}: {len(finished.ledger.trials)} trials with all their results"]
    (code,) = Library([folder], data.fingerprint(), "abc").notes
    assert "other code of dcreid than abc, so that nothing fits" in code
    (other,) = Library([folder], "other", finished.queue.known.code).notes
    assert "made on other data, so that nothing fits" in other


def test_results_are_known_for_the_same_configuration_data_and_code_only(finished, data):
    plan, ledger = finished.plan, finished.ledger
    config = Config.from_dict(ledger.trials[1].config)
    known = KnownResults(plan, ledger, data.fingerprint())
    found = known.find(config)
    assert found is not None and found.trial.number == 1
    assert known.find(config.replace(seed=9)) is None
    assert KnownResults(plan, ledger, "other data").find(config) is None
    known.code = "other code"
    assert known.find(config) is None


def test_of_what_failed_nothing_is_known(finished, data):
    known = KnownResults(finished.plan, finished.ledger, data.fingerprint())
    trial = finished.ledger.trials[1]
    trial.state = "failed"
    config = Config.from_dict(trial.config)
    assert known.twin(config) is None and known.find(config) is None


def test_the_first_study_that_has_a_result_counts(finished, plan_of, play, data):
    other = plan_of("--plan", "table1", "--name", "other")
    write_description(other.folder, describe(other, data, "c"))
    play(other)
    folders, digest = [str(finished.plan.folder), str(other.folder)], finished.ledger.trials[0].digest
    for named in (folders, folders[::-1]):
        found = Library(named, data.fingerprint(), finished.queue.known.code).find(digest)
        assert found is not None and found.source == f"study {Path(named[0]).name}, trial 0"


def test_a_study_that_is_gone_since_costs_nothing_but_its_results(finished, plan_of, open_session):
    plan = plan_of("--plan", "table1", "--reuse", "table1")
    finished.plan.folder.rename(finished.plan.folder.with_name("moved"))
    session = open_session(plan)
    assert session.queue.take_over() == [] and "not readable" in session.queue.known.library.notes[0]


def test_a_study_that_is_not_there_is_refused(plan_of):
    with pytest.raises(StudyError, match=r"--reuse nothing: no study\.json in"):
        plan_of("--reuse", "nothing")


def test_status_tells_what_was_taken_over(finished, plan_of, open_session, data, capsys):
    plan = plan_of("--plan", "table1", "--reuse", "table1")
    write_description(plan.folder, describe(plan, data, "c"))
    open_session(plan).queue.take_over()
    status = Status.read(str(plan.folder), "studies")
    assert status.view.queue.complete and status.view.seconds == 0.0
    assert {status.view.state(trial) for trial in status.view.trials} == {"reused"}
    assert main(["status", str(plan.folder)]) == 0
    assert "taken over from study table1: trials 0, 1, 2" in capsys.readouterr().out


def test_a_given_run_takes_over_what_this_study_has_computed(plan_of, play, open_session):
    session = play(plan_of("--samples", "2", "--pruner", "none"))
    rewrite(session.ledger.path, lambda text: text.replace('"origin": "paper"', '"origin": "search"'))
    again = open_session(plan_of("--samples", "2", "--pruner", "none"))
    (paper,) = again.queue.take_over()
    assert paper.reused == "trial 0 of this study" and paper.steps == again.ledger.trials[0].steps


# --- --force


def test_force_computes_given_runs_again(finished, plan_of, open_session, fake_tune):
    before = len(finished.ledger.trials)
    session = open_session(plan_of("--plan", "table1", "--name", "table1", "--force"))
    assert session.queue.outlook() == f"0 done, 0 resumed, {before} new" and session.queue.take_over() == []
    fake_tune(session).run()
    assert session.queue.complete and len(session.ledger.trials) == 2 * before
    old, new = (list(session.ledger.trials.values())[i : i + before] for i in (0, before))
    assert [t.config for t in old] == [t.config for t in new] and all(t.attempts == 1 for t in new)
    assert open_session(plan_of("--plan", "table1", "--name", "table1")).queue.complete


def test_force_goes_on_after_a_cut_and_begins_anew_once_complete(finished, plan_of, play, open_session):
    plan = plan_of("--plan", "table1", "--name", "table1", "--force")
    before = len(finished.ledger.trials)
    play(plan, cut=8)
    session = play(plan)
    assert session.queue.complete and len(session.ledger.trials) == 2 * before
    session.ledger.append("session_end", why=None, complete=True)
    assert not open_session(plan).queue.complete


def test_force_takes_nothing_over(finished, plan_of, open_session):
    session = open_session(plan_of("--plan", "table1", "--reuse", "table1", "--force"))
    assert session.queue.take_over() == [] and not session.queue.complete


def test_force_may_draw_the_same_again(plan_of, play, tmp_path: Path):
    path = tmp_path / "small.toml"
    path.write_text('[train.alpha_schedule]\nchoices = ["linear", "fixed"]\n')
    session = play(plan_of("--samples", "6", "--space", str(path), "--sampler", "random", "--force"))
    assert session.queue.complete and len(session.ledger.trials) == 6

"""results.parquet: the ledger as a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from study.errors import StudyError
from study.record import ledger as module
from study.record.ledger import Ledger
from study.record.results import results_table, write_results


def test_the_table_equals_the_ledger(plan_of, play):
    session = play(plan_of("--samples", "6"))
    table = results_table("study", list(session.ledger.trials.values()), "last")
    rows = {(t.number, step): row for t in session.ledger.trials.values() for step, row in t.steps.items()}
    assert [(row.trial, row.step) for row in table.itertuples()] == list(rows)
    for row in table.itertuples():
        assert row.mAP == rows[row.trial, row.step]["mAP"]


def test_the_tables_best_step_is_the_first_of_equals_and_no_untrained_one(plan_of, play):
    trial = play(plan_of("--samples", "1")).ledger.trials[0]
    for step, value in enumerate((0.9, 0.4, 0.5, 0.3, 0.5, 0.1)):
        trial.steps[step] |= {"mAP": value}
    table = results_table("study", [trial], "last").set_index("step")
    assert table.best_step.fillna(-1).tolist() == [-1, 1, 2, 2, 2, 2]
    assert table.best_mAP.fillna(-1).tolist() == [-1, 0.4, 0.5, 0.5, 0.5, 0.5]


def test_the_selected_step_is_that_of_the_highest_score_so_far_with_its_map(plan_of, play):
    trial = play(plan_of("--samples", "1")).ledger.trials[0]
    means = (0.9, 0.4, 0.5, None, 0.8, 0.1)
    scores = (0.99, 0.4, 0.7, 0.9, 0.9, None)
    for step, (mean, score) in enumerate(zip(means, scores, strict=True)):
        trial.steps[step] |= {"mAP": mean, "unlabelled": score}
    table = results_table("study", [trial], "unlabelled").set_index("step")
    assert table.selected_step.fillna(-1).tolist() == [-1, 1, 2, 3, 3, 3]
    assert table.selected_mAP.fillna(-1).tolist() == [-1, 0.4, 0.5, -1, -1, -1]
    assert table.best_step.fillna(-1).tolist() == [-1, 1, 2, 2, 4, 4]
    assert trial.selected_step == 3 and trial.selected is trial.steps[3]
    assert set(table.value) == {0.9}


def test_a_driver_that_was_replaced_does_not_write_over_its_successors_table(
    plan_of, play, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "fcntl", None)  # a file system without locks
    session = play(plan_of("--samples", "2"))
    folder: Path = session.plan.folder
    successor = Ledger(session.ledger.path)
    successor.append("session", command="c", pid=2)
    write_results(folder, successor, "last")
    written = (folder / "results.parquet").stat().st_ino
    with pytest.raises(StudyError, match="another driver has written to it"):
        write_results(folder, session.ledger, "last")
    assert (folder / "results.parquet").stat().st_ino == written

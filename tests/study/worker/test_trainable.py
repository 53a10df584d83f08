"""The trainable without Tune: rows, checkpoints, and a cut that costs nothing."""

from __future__ import annotations

import errno
import itertools
import json
import logging
import os
import platform
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_runs import CLOCKS

from dcreid.config import Config
from dcreid.data import load_dataset
from dcreid.evaluation.partitions import partition_name
from dcreid.network.backbone import Backbone
from dcreid.training import DivergedError
from study.errors import NodeError
from study.failures import Failure
from study.job import Job
from study.record.storage import Storage
from study.record.trial_tables import load_classes, load_joins, load_queries
from study.worker import trainable
from study.worker.checkpoints import SupersededError, checkpoint_steps, load_state
from study.worker.heartbeat import Heartbeat
from study.worker.rows import _chosen_steps, trial_rows
from study.worker.trainable import run_trial

# Of a row, what a second run measures anew.
_CLOCKS = (*CLOCKS, "saved_seconds")


def results(rows: Any) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in _CLOCKS} for row in rows]


def test_rows_are_the_untrained_network_and_every_step(job):
    rows = list(trial_rows(job))
    assert [row["step"] for row in rows] == list(range(rows[0]["total_steps"] + 1))
    assert rows[0]["mAP"] is not None and "loss" not in rows[0] and rows[1]["loss"] > 0
    for before, after in itertools.pairwise(rows):
        assert before["labels_after"] == after["labels_before"] != after["labels_after"]
    json.dumps(rows)


def test_a_trial_reads_its_studys_half_and_no_other(plan_of, job_of):
    small = ("--first-epochs", "0", "--later-epochs", "0", "--height", "32", "--width", "16")
    job = job_of(plan_of(*small, "--split", "first_half"))
    rows = list(trial_rows(job))
    half = load_dataset(Config.from_dict(job.config).data, None)
    assert rows[0]["classes_after"] == len(half.train) and rows[0]["mAP"] is not None
    assert rows[0]["queries"] + rows[0]["queries_skipped"] == len(half.query)
    for split in ("official", "second_half"):
        with pytest.raises(NodeError, match=f"other data: fingerprint .*{half.fingerprint()}"):
            next(trial_rows(replace(job, config=plan_of(*small, "--split", split).base)))


def test_a_cut_trial_goes_on_exactly(job, tmp_path: Path):
    whole = results(trial_rows(replace(job, **{"storage": str(tmp_path / "whole")})))
    rows = trial_rows(job)
    first = results([next(rows), next(rows), next(rows)])
    rows.close()
    assert first + results(trial_rows(replace(job, **{"recorded": 2}))) == whole
    ours, theirs = (load_joins(Storage(str(tmp_path / name)), job.stamp) for name in ("trial", "whole"))
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    assert len(ours) == whole[0]["classes_after"] - whole[-1]["classes_after"]


def test_every_query_is_kept_and_adds_up_to_the_rows(job, data, tmp_path: Path):
    rows = list(trial_rows(job))
    table = load_queries(Storage(job.storage), job.stamp)
    assert table is not None and sorted(set(table.step)) == [row["step"] for row in rows]
    for row in rows:
        queries = table[table.step == row["step"]]
        assert len(queries) == row["queries"]
        assert queries.average_precision.mean() == pytest.approx(row["mAP"], abs=1e-12)
        assert queries.average_precision_trapezoid.mean() == pytest.approx(row["mAP_trapezoid"], abs=1e-12)
        assert (queries.first_match <= 5).mean() == pytest.approx(row["rank5"], abs=1e-12)
        assert np.array_equal(queries.identity, data.test.identities[data.query[queries["query"]]])
        assert np.array_equal(queries.camera, data.test.cameras[data.query[queries["query"]]])


def test_the_classes_of_every_step_are_kept_by_tracklet(job, data):
    """In the order of the data set: those that the rows name."""
    rows = list(trial_rows(job))[1:]
    table = load_classes(Storage(job.storage), job.stamp)
    for row in rows:
        classes = table[table.step == row["step"]]
        assert classes.tracklet.tolist() == list(range(len(data.train)))
        found = classes["class"].to_numpy()
        assert partition_name(found) == row["labels_after"]
        assert sorted(np.bincount(found))[-1] == row["class_size_max"]
        alone = np.bincount(found)[found] == 1
        assert (classes.confidence[alone] == 0).all() and classes.confidence.between(0, 1).all()
    assert len(table) == len(rows) * len(data.train)


@pytest.mark.parametrize("reports", [1, 3])
def test_a_cut_trial_keeps_the_queries_and_classes_of_every_step(job, tmp_path: Path, reports: int):
    """Cut before the first checkpoint, and behind the second."""
    list(trial_rows(replace(job, **{"storage": str(tmp_path / "whole")})))
    rows = trial_rows(job)
    for _ in range(reports):
        next(rows)
    rows.close()
    list(trial_rows(replace(job, **{"recorded": reports - 1})))
    for load in (load_queries, load_classes):
        ours, theirs = (load(Storage(str(tmp_path / name)), job.stamp) for name in ("trial", "whole"))
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


def test_activations_are_recomputed_where_the_job_says_so(job, monkeypatch: pytest.MonkeyPatch):
    output = []
    monkeypatch.setattr(Backbone, "checkpoint_activations", lambda self: output.append(self))
    next(trial_rows(job))
    assert not output
    next(trial_rows(replace(job, **{"checkpoint_activations": True})))
    assert len(output) == 1


def test_the_checkpoints_kept_are_the_first_of_the_highest_map_and_of_the_highest_score():
    values = ((0.3, 0.8), (0.5, 0.7), (None, 0.9), (0.5, 0.9), (0.4, None))
    history = [SimpleNamespace(step=i, mAP=m, unlabelled=s) for i, (m, s) in enumerate(values, 1)]
    assert _chosen_steps(history) == {2, 3} and _chosen_steps(history[:1]) == {1}
    assert _chosen_steps(history[2:3]) == {3}
    assert _chosen_steps([SimpleNamespace(step=1, mAP=None, unlabelled=None)]) == set()


def test_a_trial_keeps_the_newest_two_the_best_and_the_selected_checkpoint_until_it_has_finished(job):
    rows, kept, chosen = [], [], set()
    for row in trial_rows(job):
        rows.append(row)
        kept = checkpoint_steps(Storage(job.storage))
        measured = rows[1:]
        chosen = {
            max(measured, key=lambda row: row[name])["step"] for name in ("mAP", "unlabelled") if measured
        }
        last = row["step"]
        if 0 < last < row["total_steps"]:
            assert set(kept) == {last} | ({last - 1} - {0}) | chosen
    assert set(kept) == {last} | chosen
    state = load_state(Storage(job.storage), f"step-{last:03d}.pt", job.stamp, print)
    assert state is not None and state["memory"] is None and len(state["joins"]) == last


def test_rows_that_were_lost_are_told_from_what_a_finished_trial_has_kept(job):
    whole = results(trial_rows(job))
    assert results(trial_rows(replace(job, **{"recorded": 2}))) == whole[3:]
    # And where that is not enough, the trial is done again from its start, not from another memory.
    last = whole[-1]["step"]
    Storage(job.storage).delete(f"step-{last:03d}.pt")
    assert results(trial_rows(replace(job, **{"recorded": last - 1}))) == whole[last:]


def test_steps_that_the_driver_missed_are_told_from_the_checkpoint(job):
    whole = results(trial_rows(job))
    assert results(trial_rows(replace(job, **{"recorded": 1}))) == whole[2:]
    assert results(trial_rows(replace(job, **{"recorded": whole[-1]["step"]}))) == []


def test_recorded_steps_whose_checkpoints_are_lost_are_not_told_again(job):
    whole = results(trial_rows(job))
    storage = Storage(job.storage)
    for step in checkpoint_steps(storage):
        storage.delete(f"step-{step:03d}.pt")
    assert results(trial_rows(replace(job, **{"recorded": 3}))) == whole[4:]


def test_checkpoints_of_another_configuration_are_set_aside_and_the_work_is_done(job, tmp_path: Path, caplog):
    """As where a bucket is used again: the folder's number is the same."""
    other = replace(job, config={**job.config, "seed": 5}, digest="another configuration")
    list(trial_rows(other))
    whole = results(trial_rows(replace(job, **{"storage": str(tmp_path / "whole")})))
    assert results(trial_rows(job)) == whole
    assert "step-005.pt is of another configuration and is not used" in caplog.text
    assert results(trial_rows(replace(job, recorded=4))) == whole[5:]  # from its own now


def test_a_worker_that_was_taken_for_dead_stops_before_it_writes(job):
    cut_off, successor = trial_rows(job), trial_rows(job)
    next(cut_off)
    next(successor)
    next(successor)
    written = {path.name: path.stat().st_ino for path in Path(job.storage).glob("[cjqs]*")}
    assert written.keys() == {"classes.parquet", "joins.parquet", "queries.parquet", "step-001.pt"}
    with pytest.raises(SupersededError, match="attempt 1 has been replaced by attempt 2"):
        next(cut_off)
    assert written == {path.name: path.stat().st_ino for path in Path(job.storage).glob("[cjqs]*")}
    assert next(successor)["step"] == 2


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    monkeypatch.setattr(trainable.tune, "report", rows.append)
    return rows


def raising(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def rows(job: Job, *others: Any) -> Any:
        logging.getLogger("dcreid.study").warning("step-001.pt is damaged and passed over")
        yield {"step": 1}
        raise error

    monkeypatch.setattr(trainable, "trial_rows", rows)


def test_divergence_is_told_as_such(job, output, monkeypatch):
    raising(monkeypatch, DivergedError("loss is nan in epoch 1 of stage 2"))
    run_trial(vars(job))
    assert output[-1] == {"diverged": "loss is nan in epoch 1 of stage 2"}


def test_warnings_go_with_the_next_row_once(job, output, monkeypatch):
    raising(monkeypatch, DivergedError("x"))
    run_trial(vars(job))
    assert output[0]["notes"] == ["step-001.pt is damaged and passed over"] and "notes" not in output[1]


def test_an_error_in_the_code_ends_the_trial_and_leaves_its_traceback(job, output, monkeypatch):
    raising(monkeypatch, KeyError("left_out"))
    run_trial(vars(job))
    assert output[-1] == {"failed": "KeyError: 'left_out'"}
    assert "Traceback" in (Path(job.storage) / "output.log").read_text()


@pytest.mark.parametrize("error", [OSError(28, "No space left"), RuntimeError("CUDA error"), MemoryError()])
def test_what_a_second_try_may_mend_is_raised_for_tune(job, output, monkeypatch, error: Exception):
    raising(monkeypatch, error)
    with pytest.raises(RuntimeError) as raised:
        run_trial(vars(job))
    failure = Failure.heard(str(raised.value))
    assert failure is not None and f"{type(error).__name__}: " in failure.reason
    notes = ["step-001.pt is damaged and passed over"]
    assert output == [{"step": 1, "training_iteration": 1, "notes": notes}]


def test_a_worker_that_was_replaced_says_so_and_does_not_crash(job, output, monkeypatch):
    """A crash would start it again, and two drivers would take the trial from each other for ever."""
    raising(monkeypatch, SupersededError("attempt 1 has been replaced by attempt 2"))
    run_trial(vars(job))
    assert output[-1] == {"superseded": "attempt 1 has been replaced by attempt 2"}


def test_a_node_without_room_for_the_frames_is_to_blame(job, monkeypatch: pytest.MonkeyPatch):
    def refuse(*arguments: int) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr("os.posix_fallocate", refuse)
    with pytest.raises(
        NodeError, match=rf"^{platform.node()}: frame store of train: .*frames\.bin: Disk quota"
    ):
        next(trial_rows(job))


def test_out_of_memory_is_told_as_such_with_what_to_do(job, output, monkeypatch):
    raising(monkeypatch, torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    with pytest.raises(RuntimeError) as raised:
        run_trial(vars(job))
    failure = Failure.heard(str(raised.value))
    assert failure is not None and failure.kind == "memory" and "--batch-size" in failure.reason


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU that works")
def test_a_trial_whose_gpu_does_not_start_reports_no_row(job, output):
    with pytest.raises(RuntimeError) as raised:
        run_trial(vars(replace(job, gpus=0.5)))
    failure = Failure.heard(str(raised.value))
    assert failure is not None and failure.kind == "node" and failure.of_gpu and output == []


def test_a_trial_out_of_memory_goes_on_frugally_to_the_same_weights(job, tmp_path: Path):
    whole = results(trial_rows(replace(job, storage=str(tmp_path / "whole"))))
    rows = trial_rows(job)
    first = results([next(rows), next(rows), next(rows)])
    rows.close()
    rest = results(trial_rows(replace(job, recorded=2, checkpoint_activations=True)))
    assert first + rest == whole


class Outage:
    """A storage that refuses every so many of its calls once more than it is waited for, unless it lasts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, every: int, failures: int):
        self.calls, self.every, self.failures, self.left = 0, every, failures, 0
        for name in ("write", "read", "names", "delete"):
            monkeypatch.setattr(Storage, name, self.refusing(getattr(Storage, name)))

    def refusing(self, method: Any) -> Any:
        def call(storage: Storage, *arguments: Any) -> Any:
            if self.left == 0:
                self.calls += 1
                self.left = self.failures + 1 if self.calls % self.every == 0 else 1
            self.left -= 1
            if self.left:
                raise OSError(116, "Stale file handle")
            return method(storage, *arguments)

        return call


def test_an_outage_of_the_storage_is_waited_out_and_changes_nothing(job, output, monkeypatch, tmp_path: Path):
    run_trial(vars(replace(job, storage=str(tmp_path / "whole"))))
    whole = results(row for row in output if "step" in row)
    output.clear()
    monkeypatch.setattr("study.record.patience.time.sleep", lambda seconds: None)
    with monkeypatch.context() as patch:
        patch.setattr(Heartbeat, "_write", lambda self: None)
        outage = Outage(patch, every=7, failures=3)
        run_trial(vars(replace(job, patience=900.0)))
        assert outage.calls > 20
    assert results(row for row in output if "step" in row) == whole
    waits = [row["waiting"] for row in output if "waiting" in row]
    assert waits[:4] == ["[Errno 116] Stale file handle"] * 3 + [""] and len(waits) >= 8
    ours, theirs = (load_queries(Storage(str(tmp_path / name)), job.stamp) for name in ("trial", "whole"))
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


def test_a_storage_that_does_not_come_back_is_told_as_such(job, output, monkeypatch):
    monkeypatch.setattr("study.record.patience.time.sleep", lambda seconds: None)
    with monkeypatch.context() as patch:
        patch.setattr(Heartbeat, "_write", lambda self: None)
        Outage(patch, every=3, failures=1000)
        with pytest.raises(RuntimeError) as raised:
            run_trial(vars(replace(job, patience=60.0)))
    failure = Failure.heard(str(raised.value))
    assert failure is not None and failure.kind == "passing" and "Stale file handle" in failure.reason

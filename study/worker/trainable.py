"""Algorithm 1 as a Ray Tune trainable: one report after every merge step (`study/worker/rows.py`)."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import ray
from ray import tune

from dcreid.network.backbone import BackboneError
from dcreid.training import DivergedError
from study.errors import StorageError
from study.failures import Failure, failure_of
from study.job import Job
from study.record.patience import Patience
from study.record.storage import Storage
from study.worker.checkpoints import SupersededError
from study.worker.cuda import check_device
from study.worker.heartbeat import Heartbeat
from study.worker.output import WorkerOutput, worker_output
from study.worker.ranks import trial_ranks
from study.worker.rows import trial_rows


def run_trial(config: dict[str, Any]) -> None:
    """Runs the trial of a `Job`, given as a dictionary, and reports rows of results to Tune.

    What a second try may mend, here or elsewhere, is raised as a `Failure` in words, for the driver to judge;
    all other errors end the trial with the reason they are reported with. Tracebacks, and what else is
    printed, are kept in its storage; what is logged on the way goes with the rows; that the storage is waited
    for is reported at once.
    """
    job = Job(**config)
    with worker_output(job) as output:
        _run(job, output)


def _run(job: Job, output: WorkerOutput) -> None:
    log, notes = logging.getLogger("dcreid"), _Notes()
    log.addHandler(notes)
    try:
        # Each pause ends with a report, which is a sign of life.
        patience = Patience(job.patience, _report_waiting, longest=job.hang_timeout / 4)
        heart = Heartbeat(patience(lambda: Storage(job.storage)), job.hang_timeout)
        check_device(job, 0)
        with heart as heartbeat, trial_ranks(job, patience) as ranks:
            for row in trial_rows(job, heartbeat.epoch, ranks, patience):
                log.info("report merge step %d", row["step"])
                output.keep()
                # Its own count would begin anew with every worker; loggers draw curves over it.
                tune.report(row | {"training_iteration": row["step"]} | notes.take())
    except SupersededError as error:
        tune.report({"superseded": str(error)} | notes.take())
    except DivergedError as error:
        tune.report({"diverged": str(error)} | notes.take())
    except (OSError, RuntimeError, MemoryError, StorageError, BackboneError) as error:
        raise RuntimeError(_located(failure_of(error)).told()) from error
    except Exception as error:
        output.tell(error)
        tune.report({"failed": f"{type(error).__name__}: {error}"} | notes.take())
    finally:
        log.removeHandler(notes)


def _report_waiting(error: str | None) -> None:
    """Reports what a storage says while it is waited for, also as a sign of life; None = it is back."""
    tune.report({"waiting": error or ""})


def _located(failure: Failure) -> Failure:
    """The failure with the place where this worker is."""
    if not ray.is_initialized():
        return failure
    context = ray.get_runtime_context()
    gpus = tuple(map(str, context.get_accelerator_ids().get("GPU", [])))
    return dataclasses.replace(failure, node=context.get_node_id(), gpus=gpus)


class _Notes(logging.Handler):
    """Warnings since the last row, each once."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._waiting: list[str] = []
        self._told: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text not in self._told:
            self._told.add(text)
            self._waiting.append(text)

    def take(self) -> dict[str, list[str]]:
        waiting, self._waiting = self._waiting, []
        return {"notes": waiting} if waiting else {}

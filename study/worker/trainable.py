"""Algorithm 1 as a Ray Tune trainable: one report after every merge step (`study/worker/rows.py`)."""

from __future__ import annotations

import logging
from typing import Any

import torch
from ray import tune

from dcreid.training import DivergedError
from study.errors import StorageError
from study.job import Job
from study.record.storage import Storage
from study.worker.heartbeat import Heartbeat
from study.worker.output import WorkerOutput, worker_output
from study.worker.ranks import trial_ranks
from study.worker.rows import trial_rows


def run_trial(config: dict[str, Any]) -> None:
    """Runs the trial of a `Job`, given as a dictionary, and reports rows of results to Tune.

    Errors that a second try may mend (disks, devices) are raised, for Tune to try again; all others
    end the trial with the reason they are reported with. Tracebacks, and what else is printed, are kept in
    its storage; what is logged on the way goes with the rows.
    """
    job = Job(**config)
    with worker_output(job) as output:
        _run(job, output)


def _run(job: Job, output: WorkerOutput) -> None:
    log, notes = logging.getLogger("dcreid"), _Notes()
    log.addHandler(notes)
    try:
        with Heartbeat(Storage(job.storage), job.hang_timeout) as heartbeat, trial_ranks(job) as ranks:
            for row in trial_rows(job, heartbeat.epoch, ranks):
                output.keep()
                tune.report(row | notes.take())
    except DivergedError as error:
        tune.report({"diverged": str(error)} | notes.take())
    except torch.cuda.OutOfMemoryError as error:
        tune.report({"failed": f"GPU out of memory (smaller --batch-size, or fewer trials a GPU): {error}"})
    except (OSError, RuntimeError, MemoryError, StorageError) as error:
        # In words: an exception whose class the driver cannot import would arrive as another.
        raise RuntimeError(f"{type(error).__name__}: {error}") from error
    except Exception as error:
        output.tell(error)
        tune.report({"failed": f"{type(error).__name__}: {error}"} | notes.take())
    finally:
        log.removeHandler(notes)


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

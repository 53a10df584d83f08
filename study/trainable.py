"""Algorithm 1 as a Ray Tune trainable: one report after every merge step.

A trial continues from its newest checkpoint whoever starts it: Tune after a failure, or another
session of the study. Steps that stand in the checkpoint but were never recorded by the driver (it
died in between) are reported from there.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from ray import tune

from dcreid.algorithm import Algorithm, MergeStep
from dcreid.config import Config
from dcreid.data import load_dataset
from dcreid.metrics import RetrievalMetrics
from dcreid.training import DivergedError
from study.checkpoints import load_newest, save_checkpoint
from study.storage import Storage

_HEARTBEAT = 2.0  # seconds between notes about the epoch


def run_trial(job: dict[str, Any]) -> None:
    """Runs the trial that `job` describes (see `Session.job`), reporting rows of results to Tune.

    Errors that a second try may mend (disks, devices) are raised, for Tune to try again; all others
    end the trial with the reason they are reported with, and leave their traceback in its storage.
    What is logged on the way goes with the rows.
    """
    log, notes = logging.getLogger("dcreid"), _Notes()
    log.addHandler(notes)
    try:
        for row in trial_rows(job):
            tune.report(row | notes.take())
    except DivergedError as error:
        tune.report({"failed": str(error), "state": "diverged"} | notes.take())
    except torch.cuda.OutOfMemoryError as error:
        tune.report({"failed": f"GPU out of memory (smaller --batch-size, or fewer trials a GPU): {error}"})
    except (OSError, RuntimeError, MemoryError) as error:
        # In words: an exception whose class the driver cannot import would arrive as another.
        raise RuntimeError(f"{type(error).__name__}: {error}") from error
    except Exception as error:
        Storage(job["storage"]).write("error.txt", traceback.format_exc().encode())
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


def trial_rows(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows of the trial that the driver has not recorded: step 0 is the untrained network."""
    config = Config.from_dict(job["config"])
    storage = Storage(job["storage"])
    storage.clean()
    if job["cpus"]:
        torch.set_num_threads(max(1, int(job["cpus"])))
    data = load_dataset(config.data, None if job["root"] is None else Path(job["root"]))
    device = "cuda" if job["gpus"] and torch.cuda.is_available() else "cpu"
    algorithm = Algorithm(config, data, device=device, cache=Path(job["cache"]), on_epoch=_progress(storage))
    state = load_newest(storage)
    if state is not None:
        algorithm.load_state_dict(state)
    recorded = int(job["recorded"])
    if recorded < 0:
        yield _untrained_row(algorithm.untrained(), algorithm)
    for step in algorithm.history[max(0, recorded) :]:
        yield _row(step, algorithm)
    for step in algorithm:
        save_checkpoint(storage, step.step, algorithm.state_dict(), _best_step(algorithm.history))
        if step.step > recorded:
            yield _row(step, algorithm)


def _row(step: MergeStep, algorithm: Algorithm) -> dict[str, Any]:
    return {
        **dataclasses.asdict(step),
        "total_steps": algorithm.total_steps,
    }


def _untrained_row(metrics: RetrievalMetrics | None, algorithm: Algorithm) -> dict[str, Any]:
    measured = {} if metrics is None else dataclasses.asdict(metrics)
    return {
        "step": 0,
        **measured,
        "classes_after": len(algorithm.store),
        "total_steps": algorithm.total_steps,
        "problems": list(algorithm.problems),
    }


def _best_step(history: list[MergeStep]) -> int | None:
    measured = [step for step in history if step.mAP is not None]
    return max(measured, key=lambda step: (step.mAP, -step.step)).step if measured else None


def _progress(storage: Storage) -> Callable[[int, int, int], None] | None:
    """Notes the epoch for the driver's table, at most every two seconds; on local disks only."""
    if "://" in storage.root:
        return None
    last = 0.0

    def note(stage: int, epoch: int, epochs: int) -> None:
        nonlocal last
        now = time.time()
        if now - last >= _HEARTBEAT:
            last = now
            text = json.dumps({"stage": stage, "epoch": epoch, "epochs": epochs, "time": now})
            storage.write("progress.json", text.encode())

    return note

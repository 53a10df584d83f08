"""A study from Python: make it, run it, look at it, have configurations run.

    from study import Study

    study = Study.create(samples=6)       # the embedded data; the options of `study/run.py` as keywords
    study.run()                           # to the end, or until it is interrupted; again: goes on
    study.trials()                        # a DataFrame, a row per trial
    study.enqueue({"merge.lambda1": 0.1})  # runs next

The commands do the same by the same functions, on the same folders: a study that was made here goes on with
`python study/run.py --resume`, and the other way round.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

from dcreid.checked import one_of, shown
from dcreid.config import Config
from dcreid.model import Model
from study.command.driver import Outcome, Prepared, drive, prepare
from study.command.enqueue import changed, enqueue
from study.command.keywords import SessionOptions, StudyOptions, plain_fields, session_words, study_words
from study.command.parser import Raising, parser
from study.errors import OptionError, StudyError
from study.models import STEPS, step_of
from study.plan import MODELS
from study.record.folder import check_same, describe, locked, write_description
from study.record.results import results_table
from study.show.status import Status
from study.show.terminal import Terminal
from study.show.trials import trials_table

if TYPE_CHECKING:
    import pandas as pd

_log = logging.getLogger("dcreid.study")


@dataclass(frozen=True)
class Chosen:
    """The trial that a study has chosen so far, at the merge step that it is judged by."""

    trial: int
    step: int
    value: float  # of the study's objective
    config: Config = field(repr=False)
    scores: dict[str, Any] = field(repr=False)  # all that was measured at that step, as in `Study.steps`


class Study:
    """One study folder. What is asked for is read from the folder each time, also while a driver is at work.

    Made by `create` or `open`.
    """

    def __init__(self, folder: Path, prepared: Prepared | None = None):
        self.folder = folder
        self._prepared = prepared

    @classmethod
    def create(
        cls,
        name: str | None = None,
        *,
        config: Config | Mapping[str, Any] | None = None,
        **options: Unpack[StudyOptions],
    ) -> Self:
        """A study of these options, checked with its data; one that its folder holds already is gone on with.

        name: of its folder; by default made from the options, so that the same ones find the same study.
        config: fields of the method to hold at a value (`{"merge.lambda1": 0.01}`), or all of trial 0's
        configuration. options: those of `study/run.py`, `samples=50` for `--samples 50`.
        Raises InputError: OptionError, ConfigError or DataError for what cannot be run, StudyError where the
        folder holds another study.
        """
        prepared = _prepared(study_words(name, options, config))
        plan = prepared.plan
        check_same(plan.folder, plan, prepared.data)
        if not (plan.folder / "study.json").is_file():
            with locked(plan.folder):
                description = describe(plan, prepared.data, prepared.command)
                write_description(plan.folder, description, session=False)
        return cls(plan.folder, prepared)

    @classmethod
    def open(cls, name: str | Path, *, studies: str | Path = "studies") -> Self:
        """The study of that name, or in that folder. Raises StudyError.

        Nothing is written, and its data need not be there, until it is run.
        """
        return cls(Status.read(str(name), str(studies)).plan.folder)

    def run(self, *, quiet: bool = False, **options: Unpack[SessionOptions]) -> Outcome:
        """Runs what is left, and says whether the study is complete, or was interrupted.

        options: for this session, as with `study/run.py --resume STUDY`; without any, those of the session
        before hold, or of `create`. quiet: prints nothing.

        Ctrl-C, or the notebook's button, stops between merge steps; the next call goes on from there. That
        needs the main thread: in another one a run goes on to its end, to a `time_budget`, or to that of its
        process. The caller's working directory and streams are left alone; its signal handlers, loggers and
        environment are its own again afterwards. A Ray that is running is used, whatever `address` says, and
        left running. Raises InputError.
        """
        if options or self._prepared is None:
            self._prepared = _prepared(["--resume", str(self.folder), *session_words(options)])
        console = Terminal()
        console.quiet = quiet
        return drive(self._prepared, console, own_process=False)

    def trials(self) -> pd.DataFrame:
        """A row per trial: state, origin, what is searched, value, mAP and step (`trials_table`)."""
        return trials_table(self._status().view)

    def steps(self) -> pd.DataFrame:
        """A row per trial and merge step with all that was measured, as results.parquet has it."""
        status = self._status()
        return results_table(status.plan.name, status.view.trials, status.plan.objective)

    def best(self) -> Chosen | None:
        """The complete trial with the highest objective; None before there is one."""
        status = self._status()
        trial = status.view.best()
        judged = "selected" if status.plan.objective == "unlabelled" else status.plan.objective
        step = None if trial is None else step_of(trial, judged)
        if trial is None or step is None or trial.value is None:
            return None
        return Chosen(
            trial.number, step, trial.value, Config.from_dict(trial.config), dict(trial.steps[step])
        )

    def model(self, which: str = "selected") -> Model:
        """The network of the chosen trial at its `selected`, `last` or (where there are labels) `best` step.

        Raises OptionError for another name, StudyError where there is none yet, ModelError for a bad file.
        """
        if which not in STEPS:
            raise OptionError(f"model {shown(which)}: {one_of(str(which), STEPS)}")
        models = self.folder / MODELS
        kept = [name for name in STEPS if (models / f"{name}.safetensors").is_file()]
        if which not in kept:
            raise StudyError(
                f"model {shown(which)}: {models} holds {', '.join(kept) or 'none yet'}; a study writes them "
                "once a trial has a merge step behind it"
            )
        return Model.load(models / f"{which}.safetensors")

    def enqueue(self, config: Config | Mapping[str, Any]) -> bool:
        """Has a configuration run next, before any is drawn; whether it is going to be.

        config: fields that it has otherwise than trial 0, by dotted name, or all of it. It is one of the
        `samples`, or one more where there are enough already. One that the study has is not run again, which
        is logged. Raises ConfigError or OptionError for one that cannot run, StudyError while the study runs.
        """
        status = self._status()
        base = status.plan.config
        wanted = config if isinstance(config, Config) else changed(base, plain_fields(config))
        there = enqueue(status.plan, wanted, status.description["dataset"]["train_tracklets"])
        if there is not None:
            _log.warning("%s", there)
        return there is None

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def config(self) -> Config:
        """Trial 0's configuration."""
        return self._status().plan.config

    @property
    def complete(self) -> bool:
        """Whether every trial that was asked for is finished."""
        return self._status().view.queue.complete

    def __repr__(self) -> str:
        view = self._status().view
        return f"Study({str(self.folder)!r}: {view.progress('running', 'interrupted', 'failed')})"

    def _status(self) -> Status:
        return Status.read(str(self.folder), str(self.folder.parent))


def _prepared(words: list[str]) -> Prepared:
    given = parser(Raising).parse_args(words)
    if given.address is not None and given.address.startswith("ray://"):
        raise OptionError(
            f"address {given.address}: from Python a study runs in the cluster itself (auto, HOST:PORT); "
            "study/run.py --address ray://… runs one from outside"
        )
    return prepare(given, words)

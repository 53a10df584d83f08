"""Models that a study keeps, for other programs: `models/{selected,last,best}.safetensors` in its folder.

They are those of the trial that the study would choose now: at the merge step that is selected without
labels, at the last one, and where there are test labels at the one with the highest mAP. `python -m study
export` writes a model of any other trial and step whose checkpoint is kept. Beside each lies its card, for
people (`dcreid.model.Card`; the file holds it too).
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dcreid.config import Config
from dcreid.model import Card, Model, measured
from study.decide.session import Session
from study.errors import StudyError
from study.plan import MODELS, StudyPlan
from study.record.ledger import FINISHED, Ledger, TrialRecord
from study.record.storage import Storage
from study.show.status import Status
from study.show.view import StudyView, of_session
from study.show.wording import describe_objective
from study.source import code_version
from study.worker.checkpoints import checkpoint_name, checkpoint_steps, keep_finished, load_state

STEPS = {
    "selected": "the highest score without labels",
    "last": "the last one",
    "best": "the highest mAP, which test labels tell",
}
_BY_HAND = "named by hand"
_TIME_SHARE = 0.05  # of the driver's time that may go into writing models


def step_of(trial: TrialRecord, which: str) -> int | None:
    """The merge step of a trial that one of STEPS means; None where it has none."""
    steps = {
        "selected": trial.selected_step,
        "last": max(0, trial.last_step) or None,
        "best": trial.highest_step("mAP"),
    }
    return steps[which]


@dataclass(frozen=True)
class Origin:
    """Where models come from: a study, and what study.json says of its data and code."""

    plan: StudyPlan
    ledger: Ledger
    data: Mapping[str, Any]
    code: str

    def storage(self, trial: TrialRecord) -> Storage:
        """Where a trial keeps its checkpoints. Raises StorageError."""
        return Storage(self.plan.trial_storage(trial.number))

    def stamp(self, trial: TrialRecord) -> dict[str, str]:
        """What its checkpoints say of themselves."""
        return {"study": self.ledger.study_id, "configuration": trial.digest}

    def model(self, trial: TrialRecord, step: int, chosen: str) -> Model:
        """The network of a trial after a merge step. Raises StudyError where no checkpoint of it is kept."""
        storage = self.storage(trial)
        state = load_state(storage, checkpoint_name(step), self.stamp(trial), storage.pass_over)
        if state is None:
            raise StudyError(_not_kept(trial, step, storage))
        config = Config.from_dict(trial.config)
        bound = "; a bound: trained with the identities" if config.trains_with_identities else ""
        card = Card(
            config=config,
            code=self.code,
            data=f"{self.data['name']}, {self.data['train_tracklets']:,} tracklets; measured on: "
            f"{self.data['protocol']}",
            fingerprint=self.data["fingerprint"],
            chosen=f"{chosen}{bound}",
            scores=measured(trial.steps.get(step, {})),
            untrained=measured(trial.steps.get(0, {})),
            study=self.plan.name,
            trial=trial.number,
            step=step,
        )
        return Model.of(state["backbone"], card)

    def write(self, trial: TrialRecord, which: str) -> None:
        """Writes one of a trial's models into the study's folder, in the place of another. Raises OSError."""
        folder, step = Storage(str(self.plan.folder)), step_of(trial, which)
        weights, card = (f"{MODELS}/{which}.{suffix}" for suffix in ("safetensors", "json"))
        if step is None:
            folder.delete(weights)
            folder.delete(card)
            return
        model = self.model(trial, step, _chosen(trial, step, STEPS[which], self.plan))
        folder.write(weights, model.content())
        folder.write(card, json.dumps(model.card.to_dict(), indent=1).encode())


def leading(view: StudyView) -> TrialRecord | None:
    """The trial whose models are kept: the one to choose, or before one is complete the highest so far.

    None where there is none yet, or its rows were taken over from another study, whose models they are.
    """
    best = view.best()
    if best is None:
        begun = [
            (value, trial)
            for trial in view.trials
            if trial.state == "running"
            and trial.origin != "confirm"
            and (value := trial.objective_value(view.plan.objective)) is not None
        ]
        best = max(begun, key=lambda one: (one[0], -one[1].number), default=(0.0, None))[1]
    return None if best is None or best.reused else best


def export(status: Status, number: int | None, step: int | None, which: str, out: Path) -> Model:
    """Writes the model of a trial and merge step of a study; returns it. Raises StudyError, OSError.

    number: None = the trial that the study would choose. step: None = the one that `which` of STEPS means.
    """
    plan, described = status.plan, status.description
    origin = Origin(plan, status.ledger, described["dataset"], described["code"])
    trial = _named(status.view, number)
    found = step_of(trial, which) if step is None else step
    if found is None:
        raise StudyError(f"--which {which}: trial {trial.number} has no such merge step; name one: --step S")
    why = STEPS[which] if step is None else _BY_HAND
    model = origin.model(trial, found, _chosen(trial, found, why, plan if number is None else None))
    model.save(out)
    return model


def _chosen(trial: TrialRecord, step: int, why: str, plan: StudyPlan | None) -> str:
    """How trial and step were chosen; plan: None = the trial was named by hand."""
    by = _BY_HAND if plan is None else f"highest by {describe_objective(plan.objective)}"
    return f"merge step {step} of {trial.total_steps}: {why}; trial {trial.number}: {by}"


def _named(view: StudyView, number: int | None) -> TrialRecord:
    if number is not None:
        if number not in view.ledger.trials:
            raise StudyError(f"--trial {number}: the study has {len(view.ledger.trials)} trials, from 0 on")
        return view.ledger.trials[number]
    trial = leading(view)
    if trial is None:
        raise StudyError(f"{view.plan.folder}: no trial has come to a merge step yet; name one: --trial N")
    return trial


class ModelsWriter:
    """Keeps the models up to date, and drops from trials that have ended what only further training needs.

    Networks may be large: the next are written when the last have cost a twentieth of the time.
    """

    def __init__(self, session: Session):
        self.session, self._not_before = session, 0.0
        self._written: dict[str, tuple[int, int | None]] = {}
        self._ended = {number for number, trial in session.ledger.trials.items() if trial.ended}
        described = {
            "name": session.data.name,
            "fingerprint": session.queue.fingerprint,
            "train_tracklets": len(session.data.train),
            "protocol": session.data.protocol,
        }
        self._origin = Origin(session.plan, session.ledger, described, code_version())

    def poll(self) -> None:
        """Writes them if it is time. Raises OSError, StudyError."""
        started = time.monotonic()
        if started >= self._not_before:
            self.write()
            now = time.monotonic()
            self._not_before = now + (now - started) / _TIME_SHARE

    def write(self) -> None:
        """Writes them, if they are others than before. Raises OSError, StudyError."""
        self._shrink()
        trial = leading(of_session(self.session))
        if trial is None:
            return
        for which in STEPS:
            wanted = trial.number, step_of(trial, which)
            if wanted != self._written.get(which):
                self._origin.write(trial, which)
                self._written[which] = wanted

    def _shrink(self) -> None:
        """Trials that ran to their end have done it themselves; others end without a word to their worker."""
        for number, trial in self.session.ledger.trials.items():
            if trial.state in FINISHED and number not in self._ended and not trial.reused:
                self._ended.add(number)
                steps = {step for which in STEPS if (step := step_of(trial, which)) is not None}
                keep_finished(self._origin.storage(trial), self._origin.stamp(trial), steps)


def _not_kept(trial: TrialRecord, step: int, storage: Storage) -> str:
    if trial.reused:
        return f"trial {trial.number} was taken over ({trial.reused}), and its checkpoints are there"
    steps = checkpoint_steps(storage)
    kept = f"kept are those of {', '.join(map(str, steps))}" if steps else "it has kept none"
    return f"{storage.root}: no checkpoint of merge step {step} that can be read; {kept}"

"""Results that are known already and are taken over instead of computed again.

They are this study's or, with `--reuse`, another's. A trial fits where its digest is the same:
configuration, data and code of `dcreid`. One that was pruned does not: it was not computed to its end.
`--force` takes nothing over.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dcreid.config import Config
from study.errors import StudyError
from study.plan import StudyPlan, trial_digest
from study.record.ledger import Ledger, TrialRecord
from study.source import code_version

RESULTS = ("complete", "diverged")  # states in which nothing is left to compute


@dataclass(frozen=True)
class Found:
    """Results that are known already."""

    source: str  # `study mars-table1, trial 3`
    trial: TrialRecord

    def events(self, number: int, objective: str) -> list[tuple[str, dict[str, Any]]]:
        """The events of the ledger by which trial `number` comes to the same."""
        trial = self.trial
        value = trial.objective_value(objective)
        end = {
            "trial": number, "state": trial.state, "reason": trial.reason, "value": value,
            "after": trial.last_step,
        }  # fmt: skip
        steps = [("step", {"trial": number, "row": trial.steps[step]}) for step in sorted(trial.steps)]
        return [*steps, ("end", end)]


class Library:
    """The finished trials of study folders, by digest; the first study that has one counts.

    notes says, for each study, what of it fits, or why nothing does.
    """

    def __init__(self, folders: list[str], fingerprint: str, code: str):
        self.notes: list[str] = []
        self._found: dict[str, Found] = {}
        for folder in map(Path, folders):
            try:
                description = json.loads((folder / "study.json").read_text())
                ledger = Ledger(folder / "ledger.jsonl", read_only=True)
                same_data = description["dataset"]["fingerprint"] == fingerprint
            except (OSError, ValueError, KeyError, TypeError, StudyError) as error:
                self.notes.append(f"--reuse {folder}: not readable ({error}); nothing is taken over from it")
                continue
            ended = [trial for trial in ledger.trials.values() if trial.state in RESULTS]
            for trial in ended:
                source = f"study {folder.name}, trial {trial.number}"
                self._found.setdefault(trial.digest, Found(source, trial))
            why = "made on other data" if not same_data else f"computed by other code of dcreid than {code}"
            fits = "" if same_data and description.get("code") == code else f": {why}, so that nothing fits"
            self.notes.append(f"--reuse {folder}: {len(ended)} trials with all their results{fits}")

    def find(self, digest: str) -> Found | None:
        """The results of that configuration on these data by this code."""
        return self._found.get(digest)


class KnownResults:
    """What one study need not compute again."""

    def __init__(self, plan: StudyPlan, ledger: Ledger, fingerprint: str):
        self.plan, self.ledger, self.fingerprint = plan, ledger, fingerprint
        self.code = code_version()

    @functools.cached_property
    def library(self) -> Library:
        """The studies that --reuse names; none with --force."""
        return Library([] if self.plan.force else self.plan.reuse, self.fingerprint, self.code)

    def digest(self, config: Config) -> str:
        """Of the configuration on the study's data by the code as it is."""
        return trial_digest(config, self.fingerprint, self.code)

    def twin(self, config: Config) -> TrialRecord | None:
        """A trial of this study that computes the same, or has; None with --force."""
        if self.plan.force:
            return None
        digest = self.digest(config)
        same = (t for t in self.ledger.trials.values() if t.digest == digest and t.state != "failed")
        return next(same, None)

    def find(self, config: Config) -> Found | None:
        """The results of a configuration, where they are known."""
        twin = self.twin(config)
        if twin is not None and twin.state in RESULTS:
            return Found(twin.reused or f"trial {twin.number} of this study", twin)
        return self.library.find(self.digest(config))


def forced_since(ledger: Ledger) -> float:
    """When the round of computing again began: with the first of the forced sessions not yet complete."""
    began = 0.0
    for session in reversed(ledger.sessions):
        if not session.get("forced") or (began and session.get("complete")):
            break
        began = session["time"]
    return float(began)

"""The files of one or several studies, read once: `load(folders)`.

Only the folders are needed, wherever the studies ran. The ledger is the truth and is read where it
is; `results.parquet`, made from it, serves where it was copied without it. Studies are averaged
together only if they share data, gallery, base configuration and the version of dcreid that computed them
(`Group`); all others stay apart. A study that went on under another version is one group, and says so.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from analysis.data.folder import ResultsError, read_description, read_trials
from analysis.data.queries import Queries, read_queries
from dcreid.config import Config, ConfigError, completed
from study.errors import StorageError, StudyError
from study.plan import PAPERS, StudyPlan
from study.record.ledger import FINISHED, TrialRecord
from study.record.schema import check_schema
from study.record.storage import Storage
from study.show.wording import whose

# Training tracklets of the data sets that the paper reports on.
FULL_SIZE = {"mars": 8298, "duke": 2196}
UNKNOWN = "unknown"  # in place of a version
_log = logging.getLogger("dcreid.analysis")
_DESCRIBED = ("name", "fingerprint", "protocol", "train_tracklets", "queries")


@dataclass(frozen=True)
class Study:
    """One study folder with its trials, in the order they were started."""

    folder: Path
    description: dict[str, Any]  # study.json
    plan: StudyPlan
    trials: tuple[TrialRecord, ...]
    sessions: tuple[tuple[float, float], ...] = ()  # start and end, seconds since 1970; none without a ledger
    problems: tuple[str, ...] = ()  # of the ledger
    codes: tuple[str | None, ...] = ()  # the version of dcreid that each session ran, where it says so

    @property
    def name(self) -> str:
        """The study's name: that of its folder."""
        return self.folder.name

    @property
    def data(self) -> dict[str, Any]:
        """What study.json says of the data: name, protocol, counts, fingerprint."""
        described: dict[str, Any] = self.description["dataset"]
        return described

    def stamp(self, trial: TrialRecord) -> dict[str, str]:
        """What the files of a trial say of themselves, where they say anything."""
        return {"configuration": trial.digest}

    def storage(self, trial: int) -> Storage:
        """Where a trial left its checkpoints and joins. Raises StorageError (no such place)."""
        return Storage(self.plan.trial_storage(trial))

    def queries(self, trial: TrialRecord) -> Queries | None:
        """How a trial's queries fared; None where its folder does not hold all that was measured."""
        if trial.number not in self._read:
            self._read[trial.number] = self._queries_of(trial)
        return self._read[trial.number]

    def _queries_of(self, trial: TrialRecord) -> Queries | None:
        try:
            storage = self.storage(trial.number)
        except StorageError:
            return None
        return read_queries(storage, self.stamp(trial), trial.curve())

    @cached_property
    def _read(self) -> dict[int, Queries | None]:
        return {}

    def code(self, trial: TrialRecord) -> str:
        """The version of dcreid that computed a trial, 8 digits; UNKNOWN where that was not recorded.

        Of one that went on under another version, both: `1a2b3c4d then 5e6f7a8b`.
        """
        first = str(self.description.get("code") or UNKNOWN)
        ran = dict(enumerate(self.codes, start=1))
        codes = [ran.get(n) or (UNKNOWN if n > 1 else first) for n in trial.computed_in]
        return " then ".join(dict.fromkeys(code[:8] for code in codes or [first]))

    @cached_property
    def versions(self) -> frozenset[str]:
        """The versions that computed what has ended, as far as they are known."""
        ended = {self.code(trial) for trial in self.trials if trial.state in FINISHED}
        return frozenset(ended - {UNKNOWN}) or frozenset({str(self.description.get("code") or UNKNOWN)[:8]})

    @cached_property
    def setting(self) -> tuple[str, ...]:
        """What two studies must share to be averaged; a network's file counts by its name only."""
        described = [str(self.data[name]) for name in ("name", "fingerprint", "protocol")]
        return (*described, setting(self.plan.base))


@dataclass(frozen=True)
class Group:
    """Studies on the same data, gallery and base configuration, by the same code, under a name to print."""

    name: str
    studies: tuple[Study, ...]

    @cached_property
    def base(self) -> Config:
        """The base configuration, that of a preset with the user's changes."""
        return self.studies[0].plan.config

    @property
    def preset(self) -> str:
        """The method of the base: `paper`, or another."""
        return self.studies[0].plan.preset

    @property
    def whose(self) -> str:
        """Whose configuration the base is: `the paper's`, `preset buc's`"""
        return whose(self.studies[0].plan)

    @cached_property
    def versions_in_words(self) -> str:
        """That several versions of dcreid computed what has ended here, and how much each; else nothing."""
        ended = Counter(s.code(t) for s in self.studies for t in s.trials if t.state in FINISHED)
        if len(ended) < 2:
            return ""
        counted = ", ".join(f"{count} by {code}" for code, count in ended.items())
        return f"runs of {len(ended)} versions of the code are averaged and compared as if of one ({counted})"

    @property
    def has_bound(self) -> bool:
        """Whether a study of the group trains with identities."""
        return any(study.plan.experiments == "bound" for study in self.studies)

    @property
    def dataset(self) -> str:
        """mars, duke, folder or synthetic."""
        return self.base.data.dataset

    @property
    def protocol(self) -> str:
        """The gallery that everything was measured on."""
        return str(self.studies[0].data["protocol"])

    @property
    def train_tracklets(self) -> int:
        """N"""
        return int(self.studies[0].data["train_tracklets"])

    @property
    def is_papers(self) -> bool:
        """Whether the paper's numbers are of this: its method, on its whole data as far as size shows."""
        whole = self.base.data.split == "official" and self.train_tracklets == FULL_SIZE.get(self.dataset)
        return self.preset == PAPERS and whole


@dataclass(frozen=True)
class Results:
    """All studies that were asked for, in groups that may be averaged."""

    groups: tuple[Group, ...]

    @property
    def studies(self) -> tuple[Study, ...]:
        """Every study, in the order given within each group."""
        return tuple(study for group in self.groups for study in group.studies)


def load(folders: Iterable[Path | str], *, finished: bool = True, across_versions: bool = False) -> Results:
    """Reads study folders; unfinished studies give what they have.

    finished: refuse when no trial at all has finished. across_versions: join studies that different versions
    of dcreid computed. Raises ResultsError.
    """
    paths = list(dict.fromkeys(Path(folder).expanduser().resolve() for folder in folders))
    studies = [load_study(path) for path in paths]
    if not studies:
        raise ResultsError("no study given: name one or more study folders")
    if finished and not any(t.state in FINISHED for study in studies for t in study.trials):
        named = ", ".join(str(study.folder) for study in studies)
        raise ResultsError(
            f"{named}: no trial has finished yet ({_states(studies)}); "
            f"continue with python study/run.py --resume {studies[0].folder}"
        )
    groups = _grouped(studies, across_versions)
    for group in groups:
        if group.versions_in_words:
            _log.warning("%s: %s", group.name, group.versions_in_words)
    return Results(tuple(groups))


def load_study(folder: Path) -> Study:
    """Reads one study folder. Raises ResultsError."""
    description = read_description(folder)
    try:
        check_schema(description.get("schema", 1), folder / "study.json")
        plan = StudyPlan.from_dict(description["plan"])
        missing = [name for name in _DESCRIBED if name not in description["dataset"]]
        if missing:
            raise KeyError(missing[0])
        _ = plan.config
        trials, sessions, problems = read_trials(folder)
    except StudyError as error:  # of a newer version, and says so
        raise ResultsError(str(error)) from None
    except (ConfigError, KeyError, TypeError) as error:
        raise ResultsError(
            f"{folder}: written by another version of this code ({type(error).__name__}: {error}); "
            f"read it with commit {description.get('git') or 'of its own time'}"
        ) from None
    moved = dataclasses.replace(plan, studies=str(folder.parent), name=folder.name)
    for problem in problems:
        _log.warning("%s", problem)
    times = tuple((one["time"], one["last"]) for one in sessions)
    codes = tuple(one.get("code") for one in sessions)
    return Study(folder, description, moved, tuple(trials), times, tuple(problems), codes)


def setting(config: Mapping[str, Any]) -> str:
    """Names a (nested) configuration without its seed, whichever version of this code has stored it.

    The network's file counts by its name alone: it lies elsewhere on every machine.
    """
    whole = completed(config)
    network = whole["model"] | {"weights": Path(whole["model"]["weights"]).name}
    content = {**whole, "seed": 0, "model": network}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _grouped(studies: Sequence[Study], across_versions: bool) -> list[Group]:
    members: dict[tuple[object, ...], list[Study]] = {}
    for study in studies:
        version = frozenset[str]() if across_versions else study.versions
        members.setdefault((study.setting, version), []).append(study)
    groups = list(members.values())
    return [Group(_group_name(group[0], groups), tuple(group)) for group in groups]


def _group_name(study: Study, groups: Sequence[Sequence[Study]]) -> str:
    """The data set's name, with what sets it apart from the other groups of that name."""
    name, preset = str(study.data["name"]), study.plan.preset
    others = [group[0] for group in groups if group[0] is not study]
    namesakes = [o for o in others if o.data["name"] == name and o.plan.preset == preset]
    if preset != PAPERS:
        name += f", preset {preset}"
    if not namesakes:
        return name
    own, theirs = study.plan.config.flat(), [other.plan.config.flat() for other in namesakes]
    differing = [key for key in own if key != "seed" and any(flat[key] != own[key] for flat in theirs)]
    marks = [f"{key} {own[key]}" for key in differing[:3]]
    if any(other.data["protocol"] != study.data["protocol"] for other in namesakes):
        marks.append(str(study.data["protocol"]))
    if any(other.setting == study.setting for other in namesakes):
        marks.append(f"code {' and '.join(sorted(study.versions))}")
    return f"{name} ({', '.join(marks) or 'data ' + str(study.data['fingerprint'])})"


def _states(studies: Sequence[Study]) -> str:
    counts = Counter(trial.state for study in studies for trial in study.trials)
    return ", ".join(f"{count} {state}" for state, count in counts.items())

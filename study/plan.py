"""What a study is to do: every option resolved, as one value that the study folder keeps.

Two commands with the same method, data and search make the same study (`StudyPlan.identity`);
how many samples, on what and for how long may differ from one session to the next.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dcreid.checked import bounds, check_types, finite, shown, type_hints
from dcreid.config import Config, ConfigError
from dcreid.presets import PRESETS
from search_spaces.paper import PLANS, PlanItem, item, plan, with_seeds
from search_spaces.space import Space, adapt_space
from study.errors import OptionError

# What may change from one session of a study to the next; all other fields make it this study.
PER_SESSION = (
    *("name", "studies", "cache", "root", "address", "samples", "seeds", "confirm", "given", "pruner"),
    "storage_folder",
    *("grace", "time_budget", "gpu_hours", "reuse", "force", "share", "max_failures", "hang_timeout"),
    *("concurrency", "cpus_per_trial", "gpus_per_trial", "processes_per_trial", "checkpoint_activations"),
    *("patience", "retry_failed"),
    *("asha_eta", "asha_rungs"),
    "optuna_storage",  # made from the ledger, wherever it is wanted
)

SAMPLERS = ("tpe", "random", "gp", "cmaes", "grid")
PRUNERS = ("asha", "median", "none")
# What a study may maximise, and the column of the results that it is.
OBJECTIVES = {"last": "mAP", "best": "mAP", "unlabelled": "unlabelled"}
CHOICES: dict[str, Collection[str]] = {
    "sampler": SAMPLERS,
    "pruner": PRUNERS,
    "objective": OBJECTIVES,
    "experiments": PLANS,
    "preset": PRESETS,
}
# The least and the most of what is a number: beyond it is a slip.
LIMITS: dict[str, tuple[float, float]] = {
    "samples": (1, 100_000),
    "seeds": (1, 1000),
    "gpu_hours": (0.01, 10_000_000),
    "confirm": (0, 1000),
    "grace": (0, 1_000_000),
    "asha_eta": (2, 100),
    "asha_rungs": (1, 10),
    "cpus_per_trial": (0.01, 1024),
    "gpus_per_trial": (0, 64),
    "processes_per_trial": (1, 1024),
    "concurrency": (1, 10_000),
    "max_failures": (0, 1000),
}

_GIVEN: dict[str, Any] = {"experiments": list[str], "changes": dict[str, Any]}

PAPERS = "paper"  # the label of runs of the paper's configuration, and its preset's name
MODELS = "models"  # the study's networks for other programs, in its folder
OUTPUT = "output.log"  # what a trial's workers have printed, in its storage


@dataclass(frozen=True)
class StudyPlan:
    """Everything that `study/run.py` was given, defaults filled in and paths absolute."""

    name: str
    base: dict[str, Any]  # Config of trial 0, nested
    root: str | None  # of the data set
    space: dict[str, Any] | None  # Space to search; None for a plan
    experiments: str | None  # plan of the paper's experiments to run instead of a search
    samples: int  # finished trials wanted
    seeds: int
    objective: str  # of OBJECTIVES
    sampler: str
    pruner: str
    grace: int  # merge steps before a trial may be pruned; 0 = asha's first rung, for median a third of them
    cpus_per_trial: float
    gpus_per_trial: float | None  # None = one where there is one
    concurrency: int | None
    time_budget: float | None  # seconds
    address: str | None
    studies: str
    storage: str | None  # None = in the study folder
    cache: str
    max_failures: int
    share: bool = True  # stages between trials
    gpu_hours: float | None = None  # that all sessions together may spend
    hang_timeout: float = 1800.0  # seconds without a sign of life after which a worker is killed
    patience: float = 900.0  # seconds that what fails for a while is waited for
    force: bool = False  # compute again what has been computed
    retry_failed: bool = False  # take failed trials up again
    reuse: list[str] = dataclasses.field(default_factory=list)  # folders of studies to take results over from
    confirm: int = 0  # best configurations of a search to run again on `seeds` fresh seeds, with trial 0's
    optuna_storage: str | None = None  # URL of a database; None = the journal in the study folder
    processes_per_trial: int | None = None  # None = one for each whole GPU
    preset: str = PAPERS  # the method of trial 0
    # What a search begins with beside trial 0: settings of the paper's tables, the recommended configuration,
    # or the paper's where trial 0 has another preset. Their experiments, and the fields that they change in
    # trial 0's. Decided when the study is created.
    given: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    checkpoint_activations: bool = False
    # Below `storage`; older studies have all of it. Settled when the study is created.
    storage_folder: str = ""
    asha_eta: int = 2  # one trial in so many goes on at a rung
    asha_rungs: int = 3  # at total/η³, total/η², total/η epochs (`study.search.rungs`)

    @property
    def folder(self) -> Path:
        """The study's folder."""
        return Path(self.studies) / self.name

    @property
    def place(self) -> str:
        """Folder or URI that holds the trials' folders, and is this study's alone."""
        if self.storage is None:
            return str(self.folder / "trials")
        return below(self.storage, self.storage_folder) if self.storage_folder else self.storage

    def trial_storage(self, number: int) -> str:
        """Folder or URI in which a trial keeps its checkpoints."""
        return below(self.place, f"{number:04d}")

    def trial_output(self, number: int) -> str:
        """File or URI of what a trial's workers have printed."""
        return below(self.trial_storage(number), OUTPUT)

    @property
    def stage_storage(self) -> str:
        """Folder or URI of the stages that trials share."""
        return below(str(self.folder) if self.storage is None else self.place, "stages")

    @functools.cached_property
    def config(self) -> Config:
        """The base configuration: the preset's, with what the user changed. Trial 0 runs it."""
        return Config.from_dict(self.base)

    @functools.cached_property
    def papers_config(self) -> Config:
        """The paper's configuration, with what the user changed: trial 0's or, beside a preset, trial 1's."""
        given = [item.config for item in self._given_items() if PAPERS in item.experiments]
        return given[0] if given else self.config

    @functools.cached_property
    def search_space(self) -> Space | None:
        """The space, where there is a search, in the form that the sampler takes."""
        return None if self.space is None else adapt_space(Space.from_dict(self.space), self.sampler)

    def in_space(self, config: Config) -> bool:
        """Whether a configuration differs from the base in what is searched, and the seed, alone.

        The paper's, beside another preset, does not: a sampler would take its result for the preset's.
        """
        held, own, space = self.config.flat(), config.flat(), self.search_space
        searched = () if space is None else ("seed", *space.fields)
        return space is not None and all(own[n] == held[n] for n in own if n not in searched)

    def processes(self, gpus: float) -> int:
        """Processes of a trial that has `gpus` GPUs: one for each whole one, or as many as asked for on CPUs.

        Raises OptionError where processes, GPUs and CPUs do not go together.
        """
        asked, cpus = self.processes_per_trial, self.cpus_per_trial
        if gpus > 1 and gpus != int(gpus):
            raise OptionError(f"--gpus-per-trial {gpus:g}: a trial has a part of one GPU, or whole ones")
        if asked is None or asked == max(1, int(gpus)):
            return max(1, int(gpus))
        if gpus:
            raise OptionError(
                f"--processes-per-trial {asked} with --gpus-per-trial {gpus:g}: each process has a GPU of "
                f"its own; give --gpus-per-trial {asked}, or leave --processes-per-trial out"
            )
        if asked > cpus:
            raise OptionError(
                f"--processes-per-trial {asked} with --cpus-per-trial {cpus:g}: without GPUs each process "
                f"needs a CPU core; give --cpus-per-trial {asked}"
            )
        return asked

    def check_gpu_hours(self, gpus: float) -> None:
        """Raises OptionError where trials with `gpus` GPUs would never spend a GPU hour."""
        if self.gpu_hours is not None and not gpus:
            raise OptionError(
                f"--gpu-hours {self.gpu_hours:g}: the trials use no GPU, so that none would ever be spent; "
                "use --time-budget"
            )

    def identity(self) -> dict[str, Any]:
        """What makes it this study and no other.

        Fields at their default are left out, those of the configuration too, so that what an older
        version of this code has stored compares equal.
        """
        standard = {field.name: field.default for field in dataclasses.fields(self)}
        values = dataclasses.asdict(self) | {"base": self.config.difference()}
        if self.space is not None:
            values["space"] = Space.from_dict(self.space).to_dict()
        kept = {name: value for name, value in values.items() if name not in PER_SESSION}
        return {name: value for name, value in kept.items() if value != standard[name]}

    def fixed_items(self) -> list[tuple[str, PlanItem]]:
        """(origin, item) of the runs that nobody draws: the base first, then the plan's, or what is given.

        The base's origin is its preset. It runs on every seed; in a search only its first seed is one of the
        `samples`, with the settings that are given, and with `confirm` the others are those of the
        confirmation.
        """
        seeds = [self.config.seed + i for i in range(1 if self.confirm else self.seeds)]
        if self.experiments is not None:
            return [("plan", item) for item in with_seeds(plan(self.experiments, self.config), seeds)]
        base = PlanItem(config=self.config, experiments=(self.preset,), label=self.preset)
        runs = [(self.preset, run) for run in with_seeds([base], seeds)]
        return [*runs[:1], *(("given", run) for run in self._given_items()), *runs[1:]]

    def _given_items(self) -> list[PlanItem]:
        items = []
        for row in self.given:
            check_types("plan.given", row, _GIVEN, tuple(_GIVEN))
            made = item(self.config, row["changes"], tuple(row["experiments"]))
            name = made.experiments[0]
            items.append(dataclasses.replace(made, label=name) if name in PRESETS else made)
        return items

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; inverse of `from_dict`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> StudyPlan:
        """Rebuilds a plan; fields that an older version did not have get their defaults.

        Raises ConfigError for a field that this code does not have, that is missing or that has no such
        value, whatever it is.
        """
        known = {field.name: field for field in dataclasses.fields(cls)}
        needed = [name for name, field in known.items() if (field.default, field.default_factory) == _MISSING]
        check_types("plan", values, type_hints(cls), needed)
        for name, value in values.items():
            if name not in known:
                raise ConfigError(f"plan.{shown(name)[1:-1]} = {shown(value)}: this code has no such field")
            _check(name, value)
        made = cls(**values)
        _ = made.config, made.search_space, made._given_items()  # raise what is wrong in them
        return made


_MISSING = (dataclasses.MISSING, dataclasses.MISSING)


def _check(name: str, value: Any) -> None:
    """Raises ConfigError where a stored field is not what an option could have given."""
    if isinstance(value, str) and "\0" in value:
        raise ConfigError(f"plan.{name} = {shown(value)}: must not hold the character NUL")
    if name in CHOICES and value not in (*CHOICES[name], None):
        raise ConfigError(f"plan.{name} = {shown(value)}: must be one of {', '.join(CHOICES[name])}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    low, high = LIMITS.get(name, (0, math.inf))
    if isinstance(value, float):
        low = 0  # older versions took smaller ones
    if not finite(value) or not low <= value <= high:
        raise ConfigError(f"plan.{name} = {shown(value)}: must be {bounds(low, high)}")


def trial_digest(config: Config, fingerprint: str, code: str) -> str:
    """64 hex digits of (configuration, data, code): equal digests compute equal results."""
    return hashlib.sha256(f"{config.digest()} {fingerprint} {code}".encode()).hexdigest()


def default_name(dataset: str, identity: dict[str, Any]) -> str:
    """`<data set>-<6 hex digits>`: the same options find the same study again."""
    text = json.dumps(identity, sort_keys=True, default=str)
    return f"{dataset}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def below(root: str, name: str) -> str:
    """A name below a folder or URI, whose options stay at its end: `s3://b/s?region=x` → `s3://b/s/1?region=x`"""
    place, mark, options = root.partition("?") if "://" in root else (root, "", "")
    return f"{place.rstrip('/')}/{name}{mark}{options}"

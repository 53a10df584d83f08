"""The options of `study/run.py` as keywords of Python: they become the command line that says the same.

So there is one parser, one set of checks and messages, and a study that a program makes can be gone on with
by the command that stands in its study.json.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypedDict

from dcreid.checked import has_type, in_words, shown, type_hints
from dcreid.config import Config, ConfigError, fields
from dcreid.presets import laid_over, settings_of
from study.command.method_options import check_value, option_name
from study.errors import OptionError
from study.plan import PAPERS


class SessionOptions(TypedDict, total=False):
    """What may differ from one session of a study to the next; what is left out stays as it was.

    `python study/run.py --help` says what each is; the names are those of its options.
    """

    samples: int  # finished trials wanted, earlier sessions' included
    seeds: int
    confirm: int  # best configurations to run again on fresh seeds
    time_budget: float | str  # seconds, or "45m", "12h"
    gpu_hours: float
    pruner: str  # asha, median, none
    grace: int
    asha_eta: int
    asha_rungs: int
    reuse: list[str | Path]  # studies whose results are taken over
    force: bool
    retry_failed: bool
    data_root: str | Path
    cache: str | Path
    optuna_storage: str
    address: str  # auto or HOST:PORT of a Ray cluster
    cpus_per_trial: float
    gpus_per_trial: float
    processes_per_trial: int
    checkpoint_activations: bool
    concurrency: int  # trials at a time
    share: bool
    max_failures: int
    patience: float | str
    hang_timeout: float | str


class StudyOptions(SessionOptions, total=False):
    """What makes a study, beside the fields of the method."""

    dataset: str  # synthetic, mars, duke, folder
    seed: int
    preset: str  # paper, recommended, buc, dbc, oim
    space: str | Path  # default, full, …, or a TOML file
    plan: str  # experiments to run instead of a search
    sampler: str  # tpe, random, gp, cmaes, grid
    objective: str  # last, best, unlabelled
    tables: bool  # begin with the settings of the paper's tables
    studies: str | Path  # folder of all studies
    storage: str | Path  # where trials keep checkpoints


_SWITCHES = ("force", "retry_failed")  # options without a `--no-`
_OF_THE_METHOD = ("dataset", "seed")  # options of the method that studies are made by


def session_words(options: Mapping[str, Any]) -> list[str]:
    """The command line of a session's options. Raises OptionError."""
    return _words(options, SessionOptions)


def study_words(
    name: str | None, options: Mapping[str, Any], config: Config | Mapping[str, Any] | None
) -> list[str]:
    """The command line that makes a study. Raises OptionError or ConfigError.

    config: fields of the method to hold fixed, by dotted name; or the whole of trial 0's configuration, of
    which the fields that the data set and the preset have otherwise are held.
    """
    words = _words(options, StudyOptions)
    if name is not None:
        words += _option("--name", name)
    if isinstance(config, Config):
        if "preset" not in options:
            words += ["--preset", PAPERS]
        chosen = _differing(config, options.get("preset", PAPERS))
    else:
        chosen = plain_fields(config or {})
    for own in _OF_THE_METHOD:
        field = "data.dataset" if own == "dataset" else own
        if own in options and chosen.pop(field, options[own]) != options[own]:
            raise OptionError(f"{own} = {shown(options[own])}: config has another {field}; give one of them")
    return words + [word for field, value in chosen.items() for word in _field_words(field, value)]


def plain_fields(config: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the method by dotted name, each checked by itself; of NumPy's numbers Python's are made.

    Raises ConfigError.
    """
    if not isinstance(config, Mapping):
        raise ConfigError(f"config = {shown(config)}: must be a Config, or field names and their values")
    plain = {}
    for name, value in config.items():
        if not isinstance(name, str):
            raise ConfigError(f"config: {shown(name)} is no name of a field, such as 'merge.lambda1'")
        plain[name] = value.item() if type(value).__module__ == "numpy" else value
        check_value(name, plain[name])
    return plain


def _words(options: Mapping[str, Any], known: type[Any]) -> list[str]:
    hints, words = type_hints(known), []
    for name, value in options.items():
        if name not in hints:
            raise OptionError(_unknown(name, hints))
        if not has_type(value, hints[name]):
            raise OptionError(f"{name} = {shown(value)}: must be {in_words(hints[name])}")
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            words += [option] if value else [] if name in _SWITCHES else [f"--no-{option[2:]}"]
        else:
            words += [
                w for one in (value if isinstance(value, list) else [value]) for w in _option(option, one)
            ]
    return words


def _unknown(name: str, known: Iterable[str]) -> str:
    if name in type_hints(StudyOptions):
        return f"{name}: cannot change in a study that there is already; create another"
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"{name}: there is no such option; did you mean {near[0]}?"
    of_the_method = [field for field in fields() if name in (field, field.rpartition(".")[2])]
    if of_the_method:
        return f"{name}: a field of the method; give it as config={{'{of_the_method[0]}': …}}"
    return f"{name}: there is no such option; they are {', '.join(known)}"


def _option(option: str, value: Any) -> list[str]:
    text = repr(value) if isinstance(value, float) else str(value)
    return [f"{option}={text}"] if text.startswith("-") or not text else [option, text]


def _field_words(field: str, value: Any) -> list[str]:
    option = option_name(field)
    if isinstance(value, bool):
        return [option if value else f"--no-{option[2:]}"]
    return _option(option, value)


def _differing(config: Config, preset: str) -> dict[str, Any]:
    """The fields to hold so that trial 0 of a preset is this configuration, its data set among them."""
    own, held = config.flat(), {"data.dataset": config.data.dataset}
    while True:
        there = laid_over(settings_of(config.data.dataset), preset, held).flat()
        missing = {name: value for name, value in own.items() if value != there[name]}
        if not missing:
            return held
        held |= missing

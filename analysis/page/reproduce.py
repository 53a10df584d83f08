"""The command that computes a configuration again, one option for each value that is not its data set's."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from analysis.data.results import Group
from analysis.data.runs import Run
from dcreid.config import Config
from dcreid.presets import settings_of
from study.command.method_options import option_name


@dataclass(frozen=True)
class Recipe:
    """Runs of one configuration: what they are called, which they were, how to compute them again."""

    experiments: tuple[str, ...]
    seeds: tuple[int, ...]
    trials: tuple[str, ...]  # study/number
    command: str


def recipes(runs: Sequence[Run], group: Group) -> list[Recipe]:
    """One per configuration, in the order in which they first ran."""
    settings: dict[str, list[Run]] = {}
    for run in runs:
        settings.setdefault(run.setting, []).append(run)
    made = []
    for members in settings.values():
        seeds = tuple(sorted(run.trial.seed for run in members))
        root = members[0].study.plan.root
        commands = [
            command(members[0].config.replace(seed=first), root, count) for first, count in _ranges(seeds)
        ]
        experiments = tuple(dict.fromkeys(name for run in members for name in run.experiments))
        trials = tuple(f"{run.study.name}/{run.trial.number}" for run in members)
        made.append(Recipe(experiments, seeds, trials, "; ".join(commands)))
    return made


def command(config: Config, root: str | None, seeds: int = 1) -> str:
    """Runs exactly this configuration, and with `seeds` the following seeds too.

    The plan fig3 is the base configuration alone. A configuration that leaks is refused as a base and
    comes with the others of the leak audit.
    """
    leaks = config.train.memory_init == "previous_rows"
    words = ["python", "study/run.py", "--plan", "leak_audit" if leaks else "fig3", "--seeds", str(seeds)]
    words += ["--dataset", config.data.dataset]
    if root is not None:
        words += ["--data-root", root]
    audited = ("train.memory_init", "train.leak_audit", "data.shuffle_tracklets") if leaks else ()
    standard = settings_of(config.data.dataset).flat()
    for name, value in config.flat().items():
        elsewhere = ".synthetic." in name and config.data.dataset != "synthetic"
        if value == standard[name] or name == "data.dataset" or name in audited or elsewhere:
            continue
        if isinstance(value, bool):
            words.append(option_name(name) if value else option_name(name).replace("--", "--no-", 1))
        else:
            words += [option_name(name), str(value)]
    return shlex.join(words)


def _ranges(seeds: Iterable[int]) -> list[tuple[int, int]]:
    """(first, count) of every run of consecutive numbers."""
    found: list[tuple[int, int]] = []
    for seed in seeds:
        if found and seed == sum(found[-1]):
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((seed, 1))
    return found

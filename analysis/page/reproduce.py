"""The command that computes a configuration again, by its preset and what differs from that."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.data.results import Group
from analysis.data.runs import Run
from dcreid.config import Config
from dcreid.presets import PRESETS, laid_over, settings_of
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
        plan, config = members[0].study.plan, members[0].config
        named = "bound" if config.trains_with_identities else "fig3"
        base = plan.config if named == "bound" else config  # which the plan lays the identities over
        commands = [
            command(base.replace(seed=first), plan.root, count, named) for first, count in _ranges(seeds)
        ]
        experiments = tuple(dict.fromkeys(name for run in members for name in run.experiments))
        trials = tuple(f"{run.study.name}/{run.trial.number}" for run in members)
        made.append(Recipe(experiments, seeds, trials, "; ".join(commands)))
    return made


def command(config: Config, root: str | None, seeds: int = 1, plan: str = "fig3") -> str:
    """Runs a plan over this configuration, and with `seeds` over the following seeds too.

    The plan fig3 is the base configuration alone. A configuration that leaks is refused as a base and
    comes with the others of the leak audit.
    """
    leaks = config.train.memory_init == "previous_rows"
    words = ["python", "study/run.py", "--plan", "leak_audit" if leaks else plan, "--seeds", str(seeds)]
    words += ["--dataset", config.data.dataset]
    if root is not None:
        words += ["--data-root", root]
    if leaks:
        right = settings_of(config.data.dataset).flat()
        audited = ("train.memory_init", "train.leak_audit", "data.shuffle_tracklets")
        config = config.replace(**{name: right[name] for name in audited})
    names = ["paper"] if leaks else list(PRESETS)
    return shlex.join(words + min((_method(config, name) for name in names), key=len))


def _method(config: Config, preset: str) -> list[str]:
    """Options that make a configuration of a preset."""
    held, base = config.flat(), settings_of(config.data.dataset)
    if config.data.dataset != "synthetic":
        held |= {name: value for name, value in base.flat().items() if ".synthetic." in name}
    chosen: dict[str, Any] = {}
    while differing := _differing(laid_over(base, preset, chosen).flat(), held):
        chosen |= differing  # more than once: what a preset sets may follow what was chosen
    words = [] if preset == "paper" else ["--preset", preset]
    for name in held:
        if name in chosen:
            words += _option(name, chosen[name])
    return words


def _differing(made: Mapping[str, Any], held: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in held.items() if value != made[name]}


def _option(name: str, value: Any) -> list[str]:
    option = option_name(name)
    if isinstance(value, bool):
        return [option if value else option.replace("--", "--no-", 1)]
    return [option, str(value)]


def _ranges(seeds: Iterable[int]) -> list[tuple[int, int]]:
    """(first, count) of every run of consecutive numbers."""
    found: list[tuple[int, int]] = []
    for seed in seeds:
        if found and seed == sum(found[-1]):
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((seed, 1))
    return found

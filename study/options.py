"""The command line of `study/run.py`: every field of the method's Config and the study's own options.

Options of the method are made from the fields of `dcreid.config`, with their help, type and range,
so that a new field is an option at once. A value that cannot be used is refused with the option's
name, the value and what is allowed.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import re
import shlex
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dcreid.config import Config, ConfigError, allowed, fields, preset
from search_spaces.optuna import SPACES, load_space
from search_spaces.paper import PLANS
from study.plan import StudyPlan, default_name

SAMPLERS = ("tpe", "random", "gp", "cmaes", "grid")
PRUNERS = ("asha", "median", "none")
_DEFAULT_SAMPLES = {"synthetic": 6}
_GROUPS = {
    "data": "data",
    "model": "network",
    "train": "training",
    "merge": "merging",
    "evaluate": "evaluation",
}
# Of which a session may have others than the one before.
_SESSION_OPTIONS = (
    *("samples", "seeds", "pruner", "grace", "cpus_per_trial", "gpus_per_trial"),
    *("concurrency", "time_budget", "address", "max_failures"),
)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class OptionError(Exception):
    """Options that do not go together; the message says which and what to do."""


def parser() -> argparse.ArgumentParser:
    """All options, grouped; config options carry no default, so that what was given is known."""
    top = argparse.ArgumentParser(
        prog="python study/run.py",
        usage="%(prog)s [OPTION ...]",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _study_options(top)
    data = top.add_argument_group("data")
    data.add_argument(
        "--data-root", metavar="DIR", help="folder of the data set (the same path on every node)"
    )
    groups: dict[str, argparse._ArgumentGroup] = {"data": data}
    for name, field in fields().items():
        section = "synthetic data" if ".synthetic." in name else _GROUPS.get(name.split(".")[0], "data")
        group = groups[section] if section in groups else top.add_argument_group(section)
        groups[section] = group
        _config_option(group, name, field)
    return top


def option_name(field: str) -> str:
    """The option of a dotted config field: `merge.lambda1` is --lambda1."""
    special = {"merge.method": "merge-method", "evaluate.eval_every": "eval-every"}
    if field in special:
        return f"--{special[field]}"
    leaf = field.rsplit(".", 1)[-1].replace("_", "-")
    return f"--synthetic-{leaf}" if ".synthetic." in field else f"--{leaf}"


def resolve(given: argparse.Namespace) -> StudyPlan:
    """The plan that the options mean. Raises OptionError or ConfigError."""
    chosen = {name: getattr(given, name) for name in fields() if getattr(given, name, None) is not None}
    dataset = chosen.pop("data.dataset", "synthetic")
    base = preset(dataset).replace(**chosen)
    weights = base.model.weights
    if weights not in ("imagenet", "none"):
        if not Path(weights).expanduser().is_file():
            raise OptionError(
                f"--weights {weights}: no such file (imagenet, none, or the path of a state dict)"
            )
        base = base.replace(**{"model.weights": str(Path(weights).expanduser().resolve())})
    root = _data_root(given, dataset)
    space = None
    if given.plan is None:
        # What the user fixed is not searched.
        space = load_space(given.space).without(chosen)
        if not space.priors:
            raise OptionError(f"--space {given.space}: every parameter in it was given as an option")
    samples = given.samples if given.samples is not None else _DEFAULT_SAMPLES.get(dataset, 50)
    plan = StudyPlan(
        name="",
        base=base.to_dict(),
        root=None if root is None else str(root),
        space=None if space is None else space.to_dict(),
        experiments=given.plan,
        samples=samples,
        seeds=given.seeds,
        objective=given.objective,
        sampler=given.sampler,
        pruner=given.pruner if given.plan is None else "none",
        grace=given.grace,
        cpus_per_trial=given.cpus_per_trial,
        gpus_per_trial=given.gpus_per_trial,
        concurrency=given.concurrency,
        time_budget=given.time_budget,
        address=given.address,
        studies=str(Path(given.studies).expanduser().resolve()),
        storage=_storage(given.storage),
        cache=str(Path(given.cache).expanduser().resolve()),
        max_failures=given.max_failures,
    )
    return dataclasses.replace(
        plan, name=given.name or default_name(dataset, plan.identity() | {"root": plan.root})
    )


def _data_root(given: argparse.Namespace, dataset: str) -> Path | None:
    if dataset == "synthetic":
        if given.data_root is not None:
            raise OptionError("--data-root: the synthetic data set is drawn, not read; add --dataset mars, …")
        return None
    if given.data_root is None:
        raise OptionError(f"--dataset {dataset} needs --data-root, the folder in which it lies")
    return Path(given.data_root).expanduser().resolve()


def _storage(given: str | None) -> str | None:
    if given is None or "://" in given:
        return given
    return str(Path(given).expanduser().resolve())


def overrides(plan: StudyPlan, given: argparse.Namespace, argv: Sequence[str]) -> StudyPlan:
    """A resumed study's plan with the per-session options that stand on the command line."""
    told = {token.split("=")[0] for token in argv if token.startswith("--")}
    changes = {}
    for name in _SESSION_OPTIONS:
        option = f"--{name.replace('_', '-')}"
        if option in told:
            changes[name] = getattr(given, name)
            told.discard(option)
    if "--data-root" in told:
        root = _data_root(given, plan.config.data.dataset)
        changes["root"] = None if root is None else str(root)
    if "--cache" in told:
        changes["cache"] = str(Path(given.cache).expanduser().resolve())
    rest = told - {"--resume", "--studies", "--data-root", "--dry-run", "--cache"}
    if rest:
        raise OptionError(
            f"{sorted(rest)[0]} cannot change in a study that is resumed; start one with --name"
        )
    # A budget belongs to one session; the one before spent its own.
    return dataclasses.replace(plan, **({"time_budget": None} | changes))


def command_line(argv: Sequence[str]) -> str:
    """The command as the user would type it again."""
    return shlex.join(["python", "study/run.py", *argv])


def _config_option(group: argparse._ArgumentGroup, name: str, field: dataclasses.Field[Any]) -> None:
    hint = _hint(name)
    text, default = field.metadata["help"], f" [{_defaults(name)}]"
    if hint is bool:
        group.add_argument(
            option_name(name),
            dest=name,
            action=argparse.BooleanOptionalAction,
            default=None,
            help=_escape(text + default),
        )
        return
    choices, extent = field.metadata["choices"], allowed(field)
    group.add_argument(
        option_name(name),
        dest=name,
        type=_converter(name, hint, field),
        metavar="|".join(choices) if choices else hint.__name__.upper(),
        help=_escape((text if choices or not extent else f"{text}, {extent}") + default),
    )


def _defaults(name: str) -> str:
    """The presets' values: `256; synthetic: 64`, MARS's first."""
    if name == "data.dataset":
        return "synthetic"
    values = {dataset: _value(held[name]) for dataset, held in _presets().items()}
    if ".synthetic." in name:
        return values["synthetic"]
    others = [f"{data}: {value}" for data, value in values.items() if value != values["mars"]]
    return "; ".join([values["mars"], *others])


@functools.cache
def _presets() -> dict[str, dict[str, Any]]:
    return {dataset: preset(dataset).flat() for dataset in ("mars", "duke", "synthetic")}


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _hint(name: str) -> Any:
    cls: Any = Config
    *groups, leaf = name.split(".")
    for group in groups:
        cls = typing.get_type_hints(cls)[group]
    hint = typing.get_type_hints(cls)[leaf]
    return typing.get_args(hint)[0] if isinstance(hint, types.UnionType) else hint


def _converter(name: str, hint: Any, field: dataclasses.Field[Any]) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        try:
            value = hint(text)
            Config().replace(**{name: value})
        except ConfigError as error:
            if "leak_audit" in str(error):  # allowed together with --leak-audit; checked when all is known
                return value
            raise argparse.ArgumentTypeError(f"{text!r}: must be {allowed(field) or 'finite'}") from None
        except ValueError:
            kind = {"int": "a whole number", "float": "a number"}[hint.__name__]
            extent = allowed(field)
            raise argparse.ArgumentTypeError(
                f"{text!r} is not {kind}{f' {extent}' if extent else ''}"
            ) from None
        return value

    return convert


def _number(kind: type, low: float, high: float | None = None, above: bool = False) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            word = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} is not {word}") from None
        if not (value > low if above else value >= low) or (high is not None and value > high):
            bound = f"{'>' if above else '>='} {low:g}" + (f" and <= {high:g}" if high is not None else "")
            raise argparse.ArgumentTypeError(f"{text!r}: must be {bound}")
        return value

    return convert


def _duration(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    if not match or float(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r}: a time such as 90s, 45m, 12h or 2d")
    return float(match[1]) * _UNITS[match[2] or "s"]


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text):
        raise argparse.ArgumentTypeError(f"{text!r}: letters, digits, '.', '_' and '-' only")
    return text


def _escape(text: str) -> str:
    return text.replace("%", "%%")


def _study_options(top: argparse.ArgumentParser) -> None:
    study = top.add_argument_group("study")
    study.add_argument(
        "--name", type=_name, help="name of the study's folder [data set and a hash of the options]"
    )
    study.add_argument(
        "--resume", metavar="STUDY", help="continue a study: its name, or the path of its folder"
    )
    study.add_argument(
        "--samples",
        type=_number(int, 1),
        metavar="N",
        help="finished trials wanted, earlier sessions' included [50; synthetic: 6]",
    )
    study.add_argument(
        "--seeds",
        type=_number(int, 1),
        default=1,
        metavar="N",
        help="seeds for the paper's configuration, or for every configuration of a plan, from --seed on [1]",
    )
    study.add_argument(
        "--dry-run",
        action="store_true",
        help="print the plan, the first configurations and what they cost; start nothing",
    )
    study.add_argument(
        "--time-budget",
        type=_duration,
        metavar="TIME",
        help="stop between merge steps after 90s, 45m, 12h, 2d",
    )
    study.add_argument("--studies", default="studies", metavar="DIR", help="folder of all studies [studies]")
    study.add_argument(
        "--storage",
        metavar="DIR|URI",
        help="where trials keep checkpoints, any URI of pyarrow's [in the study]",
    )
    study.add_argument(
        "--cache", default=".cache", metavar="DIR", help="packed frames, on a disk of each machine [.cache]"
    )
    search = top.add_argument_group("search")
    search.add_argument(
        "--space",
        default="default",
        metavar="NAME|FILE",
        help=f"what is searched: {', '.join(SPACES)}, or a TOML file [default]; options given are held fixed",
    )
    search.add_argument(
        "--plan",
        choices=PLANS,
        help="run the paper's experiments instead of a search",
        metavar="|".join(PLANS),
    )
    search.add_argument("--sampler", choices=SAMPLERS, default="tpe", help="Optuna's sampler [tpe]")
    search.add_argument("--pruner", choices=PRUNERS, default="asha", help="which trials end early [asha]")
    search.add_argument(
        "--grace",
        type=_number(int, 0),
        default=0,
        metavar="N",
        help="merge steps before a trial may be pruned [0 = a third of them]",
    )
    search.add_argument(
        "--objective",
        choices=("last", "best"),
        default="last",
        help="mAP the search maximises: of the last step, or of the best (chosen with test labels) [last]",
    )
    _cluster_options(top)


def _cluster_options(top: argparse.ArgumentParser) -> None:
    where = top.add_argument_group("where it runs")
    where.add_argument("--address", metavar="ADDRESS", help="Ray cluster: auto, or HOST:PORT [a local one]")
    where.add_argument(
        "--cpus-per-trial", type=_number(float, 0, above=True), default=1.0, metavar="N", help="CPU cores [1]"
    )
    where.add_argument(
        "--gpus-per-trial",
        type=_number(float, 0),
        metavar="N",
        help="GPUs, fractions share one [1 where the cluster has any, else 0]",
    )
    where.add_argument(
        "--concurrency", type=_number(int, 1), metavar="N", help="trials at a time [what the resources allow]"
    )
    where.add_argument(
        "--max-failures",
        type=_number(int, 0),
        default=3,
        metavar="N",
        help="times a trial that crashed is tried again from its checkpoint [3]",
    )


_ABOUT = """\
Runs Algorithm 1 (unsupervised video person re-identification by bottom-up
clustering) as a Ray Tune study, searched by Optuna. Without options: the
embedded synthetic data, in a few minutes on a laptop.

  python study/run.py                                    # see it work
  python study/run.py --dataset mars --data-root MARS    # the paper's data
  python study/run.py --dataset mars --data-root MARS --plan table1 --seeds 3
  python study/run.py --resume STUDY                     # go on

Trial 0 is always the paper's configuration. The same command again continues
the study. An option of the method that is given is held fixed; the rest of
the space is searched. Defaults stand in brackets: those for MARS first."""

"""Options of a study: what it runs, how it searches and where."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import Any

from dcreid.checked import ConfigError, bounds, number, one_of, shown
from dcreid.presets import PRESETS
from search_spaces.paper import PLANS
from search_spaces.spaces import SPACES
from study.plan import LIMITS, OBJECTIVES, PRUNERS, SAMPLERS

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST = 10_000 * 86400  # seconds


def add_study_options(top: argparse.ArgumentParser) -> None:
    study = top.add_argument_group("study")
    study.add_argument(
        "--name", type=_name, help="name of the study's folder [data set and a hash of the options]"
    )
    study.add_argument(
        "--resume", metavar="STUDY", help="continue a study: its name, or the path of its folder"
    )
    study.add_argument(
        "--samples",
        type=_number(int, "samples"),
        metavar="N",
        help="finished trials wanted, earlier sessions' included [50; synthetic: 6]",
    )
    study.add_argument(
        "--seeds",
        type=_number(int, "seeds"),
        default=1,
        metavar="N",
        help="seeds for trial 0's configuration, or for every configuration of a plan, from --seed on [1]",
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
    study.add_argument(
        "--gpu-hours",
        type=_number(float, "gpu_hours"),
        metavar="H",
        help="stop between merge steps when the study, all its sessions together, has spent H GPU hours",
    )
    study.add_argument(
        "--reuse",
        action="append",
        default=[],
        metavar="STUDY",
        help="take results over from this study (name or path; may be repeated) instead of computing them",
    )
    study.add_argument(
        "--force",
        action="store_true",
        help="compute again what has been computed (shared stages as well: with --no-share)",
    )
    study.add_argument(
        "--retry-failed",
        action="store_true",
        help="take failed trials up again, from their checkpoints, instead of replacing them",
    )
    study.add_argument("--studies", default="studies", metavar="DIR", help="folder of all studies [studies]")
    study.add_argument(
        "--storage",
        metavar="DIR|URI",
        help="where trials keep checkpoints, any URI of pyarrow's [in the study]",
    )
    study.add_argument(
        "--optuna-storage",
        type=_database,
        metavar="URL",
        help="Optuna's study in a database of SQLAlchemy's, $NAME for the password; journal: in the study "
        "[journal]",
    )
    study.add_argument(
        "--cache", default=".cache", metavar="DIR", help="packed frames, on a disk of each machine [.cache]"
    )
    search = top.add_argument_group("search")
    search.add_argument(
        "--preset",
        type=_preset,
        metavar="|".join(PRESETS),
        help="the method that trial 0 runs, with the frames and epochs it was published with; options "
        f"override it, and trial 1 is the paper's configuration: {_presets()} [paper; without labels, and "
        "without --space and --plan: recommended]",
    )
    search.add_argument(
        "--space",
        metavar="NAME|FILE",
        help=f"what is searched: {', '.join(SPACES)} (all choices), or a TOML file; options given are held "
        "fixed [default; without labels, and without --preset and --plan: full]",
    )
    search.add_argument(
        "--tables",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="begin a search of 20 samples or more in the default space with the settings of the paper's "
        "Tables 1 to 3, and one in the space full with the recommended configuration [yes]",
    )
    search.add_argument(
        "--plan",
        choices=PLANS,
        metavar="NAME",
        help="run given experiments instead of a search: "
        + "; ".join(f"{name} = {plan.help}" for name, plan in PLANS.items()),
    )
    search.add_argument(
        "--confirm",
        type=_number(int, "confirm"),
        default=0,
        metavar="K",
        help="run the K best configurations of the finished search, trial 0's and the paper's again on "
        "--seeds fresh seeds [0]",
    )
    search.add_argument("--sampler", choices=SAMPLERS, default="tpe", help="Optuna's sampler [tpe]")
    search.add_argument("--pruner", choices=PRUNERS, default="asha", help="which trials end early [asha]")
    search.add_argument(
        "--grace",
        type=_number(int, "grace"),
        default=0,
        metavar="N",
        help="merge steps before a trial may be pruned [0 = those of --asha-rungs; median: a third of them]",
    )
    search.add_argument(
        "--asha-eta",
        type=_number(int, "asha_eta"),
        default=2,
        metavar="N",
        help="one trial in so many goes on at each rung [2]",
    )
    search.add_argument(
        "--asha-rungs",
        type=_number(int, "asha_rungs"),
        default=3,
        metavar="K",
        help="rungs, in epochs trained: the N-th part of all, the N-th part of that, … (N of --asha-eta) [3]",
    )
    search.add_argument(
        "--objective",
        choices=OBJECTIVES,
        help="what the search maximises: mAP of the last step, or of the best (chosen with test labels), or "
        "the highest score without labels of any step [last; without labels: unlabelled]",
    )
    _cluster_options(top)


def _cluster_options(top: argparse.ArgumentParser) -> None:
    where = top.add_argument_group("where it runs")
    where.add_argument(
        "--address",
        type=_address,
        metavar="auto|HOST:PORT|ray://HOST:PORT",
        help="the Ray cluster that this runs in; with ray:// one that is to run it [a local one]",
    )
    where.add_argument(
        "--cpus-per-trial",
        type=_number(float, "cpus_per_trial"),
        default=1.0,
        metavar="N",
        help="CPU cores [1]",
    )
    where.add_argument(
        "--gpus-per-trial",
        type=_number(float, "gpus_per_trial"),
        metavar="N",
        help="GPUs, fractions share one [1 where the cluster has any, else 0]",
    )
    where.add_argument(
        "--processes-per-trial",
        type=_number(int, "processes_per_trial"),
        metavar="N",
        help="processes that share a trial's batches, each with its own GPU or cores [one per whole GPU]",
    )
    where.add_argument(
        "--checkpoint-activations",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="compute activations again in the backward pass: a fraction of the GPU memory, more time, the "
        "same weights [no]",
    )
    where.add_argument(
        "--concurrency",
        type=_number(int, "concurrency"),
        metavar="N",
        help="trials at a time [what the resources allow]",
    )
    where.add_argument(
        "--share",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="trials take over stages of training that they have in common [yes]",
    )
    where.add_argument(
        "--max-failures",
        type=_number(int, "max_failures"),
        default=3,
        metavar="N",
        help="crashes in a row, no merge step between them, after which a trial is still tried again [3]",
    )
    where.add_argument(
        "--patience",
        type=_duration,
        default=900.0,
        metavar="TIME",
        help="how long trials wait for a storage that does not answer, and a study on one machine for a "
        "place to run on [15m]",
    )
    where.add_argument(
        "--hang-timeout",
        type=_duration,
        default=1800.0,
        metavar="TIME",
        help="a worker that gives no sign of life for so long is killed and counts as crashed [30m]",
    )


def _presets() -> str:
    return "; ".join(f"{name} = {preset.help}" for name, preset in PRESETS.items())


def _preset(text: str) -> str:
    if text not in PRESETS:
        raise argparse.ArgumentTypeError(f"{shown(text)}: {one_of(text, PRESETS)}")
    return text


def _number(kind: type[int] | type[float], field: str) -> Callable[[str], Any]:
    low, high = LIMITS[field]

    def convert(text: str) -> Any:
        try:
            value = number(kind, text)
        except ConfigError as error:
            raise argparse.ArgumentTypeError(f"{error}; it must be {bounds(low, high)}") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{shown(text)}: must be {bounds(low, high)}")
        return value

    return convert


def _duration(text: str) -> float:
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhd]?)", text)
    seconds = float(match[1]) * _UNITS[match[2] or "s"] if match else 0.0
    if not 0 < seconds <= _LONGEST:
        raise argparse.ArgumentTypeError(f"{shown(text)}: a time such as 90s, 45m, 12h or 2d, at most 10000d")
    return seconds


def _database(text: str) -> str | None:
    return None if text == "journal" else text


def _address(text: str) -> str:
    found = re.fullmatch(r"[^/\s]+:([0-9]{1,5})|ray://[^/:\s]+(?::([0-9]{1,5}))?/?", text)
    if text != "auto" and (found is None or int(found[1] or found[2] or 1) not in range(1, 65536)):
        raise argparse.ArgumentTypeError(
            f"{shown(text)}: auto, HOST:PORT of the cluster's head, or ray://HOST:PORT from outside"
        )
    return text


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{,99}", text):
        raise argparse.ArgumentTypeError(
            f"{shown(text)}: letters, digits, '.', '_' and '-' only, at most 100, a letter or digit first"
        )
    return text

"""From options to the plan that they mean; a study that goes on has its own plan, and options change it."""

from __future__ import annotations

import argparse
import dataclasses
import os
import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from dcreid.config import Config, ConfigError, fields
from dcreid.data.readers.folder import has_test_split
from dcreid.data.readers.layout import LAYOUTS
from dcreid.paths import user_path
from dcreid.presets import laid_over, settings_of
from search_spaces.paper import table_settings
from search_spaces.rivals import RIVAL_PLANS
from search_spaces.spaces import load_space
from study.errors import OptionError
from study.plan import PAPERS, PER_SESSION, StudyPlan, default_name
from study.record.folder import find_study, read_plan

_DEFAULT_SAMPLES = {"synthetic": 6}
# From so many samples on a search begins with the settings of the paper's tables.
TABLES_FROM = 20
# Fields that may change from one session to the next but do not hold their option as it is given.
_NOT_AS_GIVEN = ("name", "studies", "cache", "root", "reuse", "given", "storage_folder")


def resolve(given: argparse.Namespace) -> StudyPlan:
    """The plan that the options mean. Raises OptionError or ConfigError."""
    given = _decided(given)
    dataset, chosen = _chosen(given)
    base = laid_over(settings_of(dataset), given.preset, chosen)
    if base.trains_with_identities:
        raise OptionError(
            "--merge-method identities: trains with identities, and no search or plan starts from that; use "
            "--plan bound, which lays them over what else is given"
        )
    root = _data_root(given, dataset)
    space = None
    if given.plan is None:
        # What the user fixed is not searched.
        space = load_space(given.space).without(chosen).fitted(base)
        if not space.priors:
            raise OptionError(f"--space {given.space}: every parameter in it was given as an option")
    samples = _samples(given, dataset)
    as_given = {
        f.name: getattr(given, f.name) for f in dataclasses.fields(StudyPlan) if hasattr(given, f.name)
    }
    resolved: dict[str, Any] = {
        "name": "",
        "base": base.to_dict(),
        "root": None if root is None else str(root),
        "space": None if space is None else space.to_dict(),
        "experiments": given.plan,
        "samples": samples,
        "pruner": given.pruner if given.plan is None else "none",
        "studies": _lasting("--studies", given.studies),
        "storage": _storage(given.storage),
        "cache": _lasting("--cache", given.cache),
        "reuse": _reused(given),
        "given": [] if given.plan is not None else _given(given, base, samples, chosen),
    }
    plan = StudyPlan(**as_given | resolved)
    _check_preset(plan)
    _check_budget(plan)
    _check_seeds(plan)
    _check_confirm(plan)
    _check_processes(plan)
    _check_activations(plan)
    named = given.name
    if named is None:
        named = default_name(dataset, plan.identity() | {"root": plan.root})
        if not (Path(plan.studies) / named).is_dir():
            named = find_study(plan) or named
    _check_folder(f"--name {named}", Path(plan.studies) / named)
    # One --storage serves many studies: each has a folder of its own there.
    return dataclasses.replace(plan, name=named, storage_folder="" if plan.storage is None else named)


def settings_left_out(given: argparse.Namespace) -> list[str]:
    """What a search would begin with, and leaves out because its fields were given, in words."""
    if given.resume is not None or given.plan is not None:
        return []
    given = _decided(given)
    dataset, chosen = _chosen(given)
    if given.tables and given.preset == PAPERS and given.space == "full":
        return _recommended(settings_of(dataset).replace(**chosen), chosen)[1]
    left_out = _tables(given, settings_of(dataset).replace(**chosen), _samples(given, dataset), chosen)[1]
    return [f"left out of the paper's tables: {setting}" for setting in left_out]


def _chosen(given: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """The data set, and the other method options on the command line by field. Raises OptionError."""
    chosen = {name: getattr(given, name) for name in fields() if getattr(given, name, None) is not None}
    if "model.weights" in chosen:
        chosen["model.weights"] = weights_found(chosen["model.weights"])
    return chosen.pop("data.dataset", "synthetic"), chosen


def weights_found(weights: str) -> str:
    """`imagenet`, `none`, or the absolute path of a file. Raises OptionError where there is none."""
    if weights in ("imagenet", "none"):
        return weights
    path = user_path("--weights", weights)
    if not path.is_file():
        raise OptionError(f"--weights {weights}: no such file (imagenet, none, or the path of a state dict)")
    return str(path.resolve())


def _decided(given: argparse.Namespace) -> argparse.Namespace:
    """The options with what the data decide where nobody does: objective, preset and space.

    Raises OptionError for an objective that the data have no labels for.
    """
    dataset, chosen = _chosen(given)
    root = _data_root(given, dataset) if dataset == "folder" else None
    decided = {"objective": "last", "preset": PAPERS, "space": "default"}
    if root is not None and not has_test_split(root):
        if given.objective in ("last", "best"):
            raise OptionError(
                f"--objective {given.objective}: needs mAP, and the data have no labelled test split (query/ "
                "and gallery/); leave it out"
            )
        decided["objective"] = "unlabelled"
        if given.preset is None and given.space is None and given.plan is None:
            decided |= {"preset": "recommended", "space": "full"}
            _check_recommended(settings_of(dataset), chosen)
    values = vars(given)
    left_out = {name: value for name, value in decided.items() if values[name] is None}  # "" is refused later
    return argparse.Namespace(**values | left_out)


def _check_recommended(settings: Config, chosen: Mapping[str, Any]) -> None:
    try:
        laid_over(settings, "recommended", chosen)
    except ConfigError as error:
        raise OptionError(
            "without labels trial 0 is the recommended configuration, which does not go with the options "
            f"given: {error}; give --preset {PAPERS}, or leave them out"
        ) from None


def _samples(given: argparse.Namespace, dataset: str) -> int:
    return _DEFAULT_SAMPLES.get(dataset, 50) if given.samples is None else int(given.samples)


def _given(
    given: argparse.Namespace, base: Config, samples: int, chosen: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """What a search begins with after trial 0.

    In the space full the recommended configuration, in the default one the tables' settings; beside a
    preset the paper's.
    """
    if given.preset != PAPERS:
        return _preset_beside(PAPERS, base, chosen)
    if given.tables and given.space == "full":
        return _recommended(base, chosen)[0]
    return _tables(given, base, samples, chosen)[0]


def _preset_beside(name: str, base: Config, chosen: Mapping[str, Any]) -> list[dict[str, Any]]:
    held, own = base.flat(), laid_over(settings_of(base.data.dataset), name, chosen).flat()
    changes = {field: value for field, value in own.items() if value != held[field]}
    return [{"experiments": [name], "changes": changes}] if changes else []


def _recommended(base: Config, chosen: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """The recommended configuration beside the base, or why it is left out."""
    try:
        return _preset_beside("recommended", base, chosen), []
    except ConfigError as error:
        return [], [f"left out, the recommended configuration: {error}"]


def _tables(
    given: argparse.Namespace, base: Config, samples: int, chosen: Collection[str]
) -> tuple[list[dict[str, Any]], list[str]]:
    """The settings of the paper's tables that the search begins with, and those left out."""
    if not given.tables or given.preset != "paper" or given.space != "default" or samples < TABLES_FROM:
        return [], []
    return table_settings(base, chosen)


def _data_root(given: argparse.Namespace, dataset: str) -> Path | None:
    """The data set's folder: --data-root, else $DCREID_DATA/<data set>, else data/<data set> here."""
    if dataset == "synthetic":
        if given.data_root is not None:
            raise OptionError("--data-root: the synthetic data set is drawn, not read; add --dataset mars, …")
        return None
    if given.data_root is not None:
        return user_path("--data-root", given.data_root).resolve()
    everywhere, here = os.environ.get("DCREID_DATA"), Path("data", dataset)
    places = [user_path("DCREID_DATA", everywhere) / dataset] if everywhere else []
    for place in (*places, here):
        if place.is_dir():
            return place.resolve()
    first = str(places[0]) if places else f"$DCREID_DATA/{dataset} (DCREID_DATA is not set)"
    raise OptionError(
        f"--dataset {dataset}: not found in {first}, nor in {here.resolve()}; put or link it there, or say "
        f"where it is: --data-root FOLDER, with {LAYOUTS[dataset]} below it"
    )


def _lasting(option: str, given: str) -> str:
    """The absolute path of a folder that outlives a job of Ray's. Raises OptionError."""
    folder = user_path(option, given).resolve()
    if "runtime_resources" in folder.parts:
        raise OptionError(f"{option} {given}: {folder} is deleted with the job; give a folder that stays")
    _check_folder(f"{option} {given}", folder)
    return str(folder)


def _check_folder(option: str, folder: Path) -> None:
    """Raises OptionError where a file is in the way of a folder."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise OptionError(f"{option}: {there} is a file, where a folder is needed; name another")


def _reused(given: argparse.Namespace) -> list[str]:
    return [str(read_plan(name, given.studies, "--reuse").folder) for name in given.reuse]


def _check_preset(plan: StudyPlan) -> None:
    if plan.experiments in RIVAL_PLANS and plan.preset != PAPERS:
        raise OptionError(
            f"--preset {plan.preset} with --plan {plan.experiments}: the plan runs every preset; give one of "
            "the two"
        )


def _check_budget(plan: StudyPlan) -> None:
    if plan.gpus_per_trial is not None:
        plan.check_gpu_hours(plan.gpus_per_trial)


def _check_processes(plan: StudyPlan) -> None:
    if plan.gpus_per_trial is not None:  # else it depends on the cluster, which is not known yet
        plan.processes(plan.gpus_per_trial)


def _check_activations(plan: StudyPlan) -> None:
    check_activations(plan, plan.config)


def check_activations(plan: StudyPlan, config: Config) -> None:
    """Raises OptionError where a configuration does not go with --checkpoint-activations."""
    if plan.checkpoint_activations and config.train.compile:
        raise OptionError("--checkpoint-activations does not go with --compile; leave one of them out")


def options_in(argv: Sequence[str]) -> set[str]:
    """The options of a command line, without their values."""
    return {word.split("=")[0] for word in argv if word.startswith("--")}


def _check_seeds(plan: StudyPlan) -> None:
    last = fields()["seed"].metadata["high"]
    if plan.config.seed + 2 * plan.seeds > last:  # the confirmation's come after them
        raise OptionError(f"--seed {plan.config.seed} with --seeds {plan.seeds}: seeds end at {last}")


def _check_confirm(plan: StudyPlan) -> None:
    if plan.confirm and plan.space is None:
        raise OptionError("--confirm belongs to a search: a --plan runs everything on all of --seeds")
    if plan.confirm and plan.seeds < 2:
        raise OptionError(f"--confirm {plan.confirm} needs --seeds 2 or more: one run has no interval")


def _storage(given: str | None) -> str | None:
    if given is None or "://" in given:
        if given is not None:
            _check_uri(given)
        return given
    return _lasting("--storage", given)


def _check_uri(uri: str) -> None:
    """Raises OptionError for a URI that no storage can have; pyarrow finds that out when it writes."""
    try:
        parts = urlsplit(uri)
        servers = [f"//{place}" for place in parse_qs(parts.query).get("endpoint_override", ())]
        _ = parts.port, [urlsplit(server).port for server in servers]
    except ValueError as error:
        raise OptionError(f"--storage {uri}: not the URI of a storage ({error})") from None
    if parts.scheme != "file" and not parts.netloc:
        raise OptionError(f"--storage {uri}: names no bucket or host; such as s3://BUCKET/FOLDER")


def overrides(plan: StudyPlan, given: argparse.Namespace, argv: Sequence[str]) -> StudyPlan:
    """A resumed study's plan with the per-session options that stand on the command line."""
    given_options = options_in(argv)
    changes = {}
    for name in PER_SESSION:
        option = name.replace("_", "-")
        if name not in _NOT_AS_GIVEN and given_options & {f"--{option}", f"--no-{option}"}:
            changes[name] = getattr(given, name)
            given_options -= {f"--{option}", f"--no-{option}"}
    if "--data-root" in given_options:
        root = _data_root(given, plan.config.data.dataset)
        changes["root"] = None if root is None else str(root)
    if "--cache" in given_options:
        changes["cache"] = _lasting("--cache", given.cache)
    if "--reuse" in given_options:
        changes["reuse"] = _reused(given)
    rest = given_options - {"--resume", "--studies", "--data-root", "--dry-run", "--cache", "--reuse"}
    if "--name" in rest:
        raise OptionError(f"--name {given.name} with --resume {given.resume}: each names a study; give one")
    if rest:
        raise OptionError(
            f"{sorted(rest)[0]} cannot change in a study that is resumed; start one with --name"
        )
    # These belong to one session: the one before has spent its time, and computed again what it was to.
    plan = dataclasses.replace(
        plan, **({"time_budget": None, "force": False, "retry_failed": False} | changes)
    )
    _check_budget(plan)
    _check_seeds(plan)
    _check_confirm(plan)
    _check_processes(plan)
    _check_activations(plan)
    return plan


def command_line(argv: Sequence[str]) -> str:
    """The command as the user would type it again."""
    return shlex.join(["python", "study/run.py", *argv])

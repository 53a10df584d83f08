"""The study folder: self-describing, and owned by one driver at a time.

study.json        what the study is, on what data, and every session that worked on it
ledger.jsonl      the truth (study/record/ledger.py)
results.parquet   one row per trial and merge step, for pandas (study/record/results.py)
classes.csv       the classes of the trial and step chosen without labels (study/record/classes.py)
optuna.journal    Optuna's storage (study/search/optuna_study.py)
trials/           checkpoints, unless --storage put them elsewhere
ray/              Tune's own files and TensorBoard logs, one folder per session
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dcreid.config import Config, ConfigError
from dcreid.data.tracklets import TrackletDataset
from dcreid.paths import user_path
from study.errors import StudyError
from study.plan import StudyPlan
from study.record.description import parse, plan_of
from study.record.schema import SCHEMA, check_schema
from study.record.storage import Storage
from study.source import code_version, git_commit

_PACKAGES = ("torch", "torchvision", "numpy", "scipy", "ray", "optuna", "pandas", "matplotlib", "pyarrow")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the study for this process. Raises StudyError naming the driver that has it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock, holder = FileLock(folder / ".lock"), folder / ".holder"
    try:
        lock.acquire(timeout=1)  # `driver_of` may be looking at it
    except Timeout:
        by = holder.read_text() if holder.is_file() else "another process"
        raise StudyError(
            f"{folder} is being run by {by}; wait for it, stop it, or use another --name"
        ) from None
    try:
        started = time.strftime("%Y-%m-%d %H:%M:%S")
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()} since {started}")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def driver_of(folder: Path) -> str | None:
    """The driver that is working on the study, in words; None where there is none. Writes nothing."""
    try:
        driver = (folder / ".holder").read_text()
    except FileNotFoundError:
        return None
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):  # held, or not ours to open
        return driver
    lock.release()
    return None  # it was killed


def describe(plan: StudyPlan, data: TrackletDataset, command: str) -> dict[str, Any]:
    """What study.json holds of a session's plan and data."""
    return {
        "schema": SCHEMA,
        "plan": plan.to_dict(),
        "dataset": {
            "name": data.name,
            "fingerprint": data.fingerprint(),
            "protocol": data.protocol,
            "train_tracklets": len(data.train),
            "test_tracklets": 0 if data.test is None else len(data.test),
            "queries": len(data.query),
            "labelled": data.test is not None,
            "problems": list(data.problems),
        },
        "command": command,
        "code": code_version(),
        "git": git_commit(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "hardware": hardware(),
    }


def check_same(folder: Path, plan: StudyPlan, data: TrackletDataset) -> list[str]:
    """Raises StudyError if the folder holds another study; returns notes on what has changed harmlessly."""
    path = folder / "study.json"
    if not path.is_file():
        return []
    old, before = _read(path, "use another --name")
    differing = _differences(before.identity(), plan.identity())
    if differing:
        more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
        raise StudyError(
            f"{folder} holds another study: {', '.join(differing[:3])}{more}; use another --name"
        )
    if old["dataset"]["fingerprint"] != data.fingerprint():
        raise StudyError(
            f"{folder} was made on other data (fingerprint {old['dataset']['fingerprint']}, here "
            f"{data.fingerprint()}): frames, tracklets or labels have changed; use another --name"
        )
    if old.get("code") != code_version():
        return [
            "the code of dcreid has changed since the study began: finished trials count as they are, and "
            "trials under way go on from their checkpoints, so that old and new ones may differ by the "
            "change; shared stages and --reuse take nothing over from the older code"
        ]
    return []


def as_created(plan: StudyPlan) -> StudyPlan:
    """The plan with the settings that its study was created with, where the folder holds one already."""
    path = plan.folder / "study.json"
    if not path.is_file():
        return plan
    created = _read(path, "use another --name")[1]
    return dataclasses.replace(plan, given=created.given, storage_folder=created.storage_folder)


def _read(path: Path, mend: str) -> tuple[dict[str, Any], StudyPlan]:
    """A study.json and the plan in it. Raises StudyError, naming a field that this code cannot take."""
    try:
        content = parse(path.read_text(encoding="utf-8"))
        check_schema(content.get("schema", 1), path)
        plan = plan_of(content)
    except ConfigError as error:
        raise StudyError(
            f"{path}: this code cannot run what the study was made with: {error}; go on with the code of "
            f"commit {str(content.get('git') or 'its day')[:12]}, restore the file, or {mend}"
        ) from None
    except ValueError as error:
        raise StudyError(f"{path}: not readable ({error}); restore it, or {mend}") from None
    return content, plan


def _differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Every field that two identities differ in, from what to what."""
    standard, differing = Config().flat(), []
    for name in dict.fromkeys([*before, *now]):
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        if name == "base":
            there, here = standard | before[name], standard | now[name]
            differing += [f"{f} {there[f]} there, {here[f]} here" for f in standard if there[f] != here[f]]
        elif name == "space" and old and new:
            differing.append(f"another search space ({old['name']} there, {new['name']} here)")
        else:
            kind = {"space": "a search", "experiments": "no plan"}.get(name, "none")
            differing.append(f"{name} {_short(old, kind)} there, {_short(new, kind)} here")
    return differing


def _short(value: Any, none: str) -> str:
    return none if value is None else str(value["name"] if isinstance(value, dict) else value)


def write_description(folder: Path, description: dict[str, Any], *, session: bool = True) -> None:
    """Writes study.json, keeping the commands of earlier sessions; session: whether one begins now."""
    path = folder / "study.json"
    old = json.loads(path.read_text()) if path.is_file() else {}
    began = old.get("created", time.time())
    commands = [*old.get("commands", []), *([description["command"]] if session else [])]
    code = old.get("code", description["code"])
    content = {**description, "created": began, "commands": commands, "code": code}
    Storage(str(folder)).write("study.json", json.dumps(content, indent=1).encode())


def read_plan(name: str, studies: str, option: str = "--resume") -> StudyPlan:
    """The plan of the study that `option` names, by name or by path. Raises StudyError."""
    return read_description(name, studies, option)[0]


def read_description(name: str, studies: str, option: str) -> tuple[StudyPlan, dict[str, Any]]:
    """A study's plan and its study.json, by name or by path. Raises StudyError, naming `option`."""
    folder, everything = user_path(option, name), user_path("--studies", studies)
    if not (folder / "study.json").is_file():
        folder = everything / name
    path = folder.resolve() / "study.json"
    if not path.is_file():
        known = sorted(entry.parent.name for entry in everything.glob("*/study.json"))
        raise StudyError(
            f"{option} {name}: no study.json in {path.parent}; "
            f"studies in {studies}: {', '.join(known) or 'none'}"
        )
    try:
        description, plan = _read(path, "start another study")
    except StudyError as error:
        raise StudyError(f"{option} {name}: {error}") from None
    # The folder may have been moved since.
    return dataclasses.replace(plan, studies=str(path.parent.parent), name=path.parent.name), description


def find_study(plan: StudyPlan) -> str | None:
    """The name of the study that the same options made before, under a name made from them.

    Such a name depends on the fields that the code had then; so it is found by what it holds.
    """
    named = re.compile(rf"{re.escape(plan.config.data.dataset)}-[0-9a-f]{{6}}")
    wanted = plan.identity()
    for path in sorted(Path(plan.studies).glob("*/study.json")):
        if named.fullmatch(path.parent.name):
            try:
                found = _read(path, "")[1]
            except (StudyError, OSError):
                continue
            if found.identity() == wanted and found.root == plan.root:
                return path.parent.name
    return None


def hardware() -> dict[str, Any]:
    """CPU, memory and GPUs of the driver's machine."""
    import torch  # here: a study is looked at without PyTorch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None
    return {
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "memory_bytes": memory,
        "gpus": gpus,
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None

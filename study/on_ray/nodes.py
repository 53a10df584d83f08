"""The nodes of a cluster: which of them can run trials, and whether these hold the study's data.

Each is looked at before the first trial starts: it must find the data set under the study's path, with
the fingerprint that the driver has found, the weights, and the trials' storage, which it must be able to
write. Nodes that come later are looked at when they come, and those again where a trial has crashed.
One that fails then is filled up, so that trials go elsewhere until it has been mended. A study on one
machine looks at that only when a trial has crashed.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import torch
from ray.autoscaler.sdk import request_resources
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from dcreid.config import Config
from dcreid.data import load_dataset
from dcreid.data.tracklets import DataError
from study.errors import StorageError, StudyError
from study.plan import StudyPlan
from study.record.storage import Storage
from study.source import code_version

_PATIENCE = 900.0  # seconds that a machine may take to come up, or to read the data set
_BETWEEN_LOOKS = 5.0  # seconds between looks at the list of nodes
_AGAIN, _LONGEST = 60.0, 3600.0  # seconds until a node that has failed is looked at again; doubled every time
_TOKEN = ".nodes"  # a file by which a node shows that it sees the driver's storage
_log = logging.getLogger("dcreid.study")


def wait_for_resources(plan: StudyPlan, stopping: Callable[[], bool]) -> float:
    """GPUs of a trial, once some node has room for one; in a cluster an autoscaler is asked for it.

    Raises StudyError where no node has room, instead of waiting for ever.
    """
    cpus, gpus = plan.cpus_per_trial, plan.gpus_per_trial
    if gpus is None:
        # Ray counts the graphics of a Mac as a GPU, which this PyTorch does not use.
        usable = plan.address is not None or torch.version.cuda or torch.version.hip
        gpus = float(plan.processes_per_trial or 1) if usable and _most("GPU") >= 1 else 0.0
    wanted = {"CPU": cpus} | ({"GPU": gpus} if gpus else {})
    if plan.address is not None and not nodes_that_fit(cpus, gpus):
        wanted_text = " and ".join(f"{number:g} {kind}" for kind, number in wanted.items())
        _log.warning("no node has room for a trial (%s); waiting for one", wanted_text)
        request_resources(bundles=[wanted])
        try:
            wait_for(lambda: bool(nodes_that_fit(cpus, gpus)) or stopping())
        finally:
            request_resources(bundles=[])  # or the autoscaler would keep such a node for ever
    if not nodes_that_fit(cpus, gpus) and not stopping():
        for kind, number in wanted.items():
            if number > _most(kind):
                option = f"--{kind.lower()}s-per-trial {number:g}"
                raise StudyError(f"{option}: the largest node of the cluster has {_most(kind):g} {kind}s")
        raise StudyError(f"no node of the cluster has {cpus:g} CPUs and {gpus:g} GPUs together")
    return gpus


def nodes_that_fit(cpus: float, gpus: float) -> list[dict[str, Any]]:
    """Ray's descriptions of the nodes that could run a trial if nothing else ran there."""
    return [node for node in _alive() if _slots(node, cpus, gpus)]


def _alive() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def _most(kind: str) -> float:
    return max((node["Resources"].get(kind, 0.0) for node in _alive()), default=0.0)


def _slots(node: dict[str, Any], cpus: float, gpus: float) -> int:
    have = node["Resources"]
    shares = [have.get(kind, 0.0) / wanted for kind, wanted in (("CPU", cpus), ("GPU", gpus)) if wanted]
    return int(min(shares) + 1e-9)


def wait_for(until: Callable[[], bool]) -> None:
    """Waits until it is so, for as long as a machine may take to come up."""
    deadline = time.monotonic() + _PATIENCE
    while not until() and time.monotonic() < deadline:
        time.sleep(0.5)


@dataclass
class _Node:
    """What is known of a node."""

    key: str  # Ray's name for it
    address: str
    slots: int  # trials that it can run at a time
    asked: Any = None  # reference to the answer that is awaited
    due: float = 0.0  # when it is looked at next
    held: tuple[Any, ...] = ()  # references to tasks that keep trials out
    problem: str = ""  # why
    pause: float = _AGAIN  # seconds until it is looked at again, should it fail


def _on(node: _Node, function: Callable[..., Any], **options: Any) -> Any:
    """A task that runs on this node or not at all."""
    there = NodeAffinitySchedulingStrategy(node.key, soft=False)
    return ray.remote(function).options(max_retries=0, scheduling_strategy=there, **options)


class Nodes:
    """Looks at the nodes of a cluster for one session.

    tell: hears which node is set aside, and why, or that it is given back (None).
    """

    def __init__(
        self, plan: StudyPlan, fingerprint: str, gpus: float, tell: Callable[[str, str | None], None]
    ):
        self.plan, self.fingerprint, self.gpus, self._tell = plan, fingerprint, gpus, tell
        self._nodes: dict[str, _Node] = {}
        self._polled = 0.0
        self._token = None if plan.address is None else f"{os.getpid()} {time.time()}"
        self._place = plan.place

    def check(self, stopping: Callable[[], bool]) -> None:
        """Looks at all. Raises StudyError naming those that cannot run trials; OSError (storage)."""
        Storage(self._place).write(_TOKEN, str(self._token).encode())
        self._meet()
        nodes = list(self._nodes.values())
        for node in nodes:
            self._look(node)
        wait_for(lambda: not self._awaited() or stopping())
        problems = [f"{node.address} {problem}" for node, problem in self._answers() if problem]
        problems += [f"{node.address} does not answer" for node in nodes if node.asked is not None]
        if problems and not stopping():
            raise StudyError(
                f"{len(problems)} of {len(nodes)} nodes cannot run trials: {'; '.join(problems)}"
            )

    def poll(self) -> None:
        """To be called often: meets new nodes, and fills those up that fail."""
        now = time.monotonic()
        if now - self._polled < _BETWEEN_LOOKS:
            return
        self._polled = now
        self._meet()
        for node, problem in self._answers():
            self._judge(node, problem)
        for node in self._nodes.values():
            if node.asked is None and node.due <= now:
                self._look(node)

    def suspect(self, key: str) -> None:
        """A trial has crashed on this node, perhaps for want of its data: it is looked at again.

        key: Ray's name for it; "" = not known which it was.
        """
        for node in self._nodes.values():
            if key in ("", node.key) and not node.held:
                node.due = 0.0

    def failed(self, key: str, problem: str) -> None:
        """A trial has met a failing node: it is set aside, and looked at later, whatever that finds now."""
        node = self._nodes.get(key)
        if node is not None and not node.held:
            self._judge(node, problem)

    def room(self) -> bool:
        """Whether some node is not set aside."""
        return any(not node.held for node in self._nodes.values())

    @property
    def problems(self) -> list[str]:
        """`10.0.0.5 has other data`, for each that is set aside."""
        return [f"{node.address} {node.problem}" for node in self._nodes.values() if node.held]

    def _meet(self) -> None:
        """Keeps the list of nodes, which come and go."""
        cpus = self.plan.cpus_per_trial
        here = {node["NodeID"]: node for node in nodes_that_fit(cpus, self.gpus)}
        for gone in self._nodes.keys() - here.keys():
            self._free(self._nodes.pop(gone))
        for key in here.keys() - self._nodes.keys():
            slots = _slots(here[key], cpus, self.gpus)
            due = float("inf") if self.plan.address is None else 0.0
            self._nodes[key] = _Node(key, here[key]["NodeManagerAddress"], slots, due=due)

    def _look(self, node: _Node) -> None:
        plan, task = self.plan, _on(node, look, num_cpus=0)
        version = code_version()
        node.asked = task.remote(plan.base, plan.root, self.fingerprint, version, self._place, self._token)
        node.due = float("inf")

    def _awaited(self) -> list[Any]:
        asked = [node.asked for node in self._nodes.values() if node.asked is not None]
        return ray.wait(asked, num_returns=len(asked), timeout=0)[1] if asked else []

    def _answers(self) -> Iterator[tuple[_Node, str | None]]:
        """(node, its problem or None) of those that have answered; one that has died does not."""
        awaited = self._awaited()
        for node in [n for n in self._nodes.values() if n.asked is not None and n.asked not in awaited]:
            asked, node.asked = node.asked, None
            try:
                version, problem = ray.get(asked)
            except RayError:
                node.due = time.monotonic() + _BETWEEN_LOOKS
                continue
            if version != torch.__version__:
                _log.warning("%s has torch %s, the driver %s", node.address, version, torch.__version__)
            yield node, problem

    def _judge(self, node: _Node, problem: str | None) -> None:
        if problem is not None:
            node.due, node.pause = time.monotonic() + node.pause, min(2 * node.pause, _LONGEST)
            node.problem = problem
            if not node.held:
                self._fill(node)
                self._tell(node.address, problem)
        elif node.held:
            self._free(node)
            self._tell(node.address, None)

    def _fill(self, node: _Node) -> None:
        """Takes the node's slots, each when it is free.

        By tasks, which wait on the node itself: a placement group would wait at the head, and always
        come after the next trial's.
        """
        task = _on(node, lambda: time.sleep(1e9), num_cpus=self.plan.cpus_per_trial, num_gpus=self.gpus)
        node.held = tuple(task.remote() for _ in range(node.slots))

    def _free(self, node: _Node) -> None:
        for task in node.held:
            ray.cancel(task, force=True)
        node.held = ()


def look(
    base: dict[str, Any], root: str | None, fingerprint: str, code: str, storage: str, token: str | None
) -> tuple[str, str | None]:
    """Runs on a node: its version of torch, and why it cannot run trials (None: it can).

    token: what the driver has written to the storage; None = nothing.
    """
    config = Config.from_dict(base)
    problem = _data_problem(config, root, fingerprint)
    if code_version() != code:
        problem = f"has other code of dcreid ({Path(__file__).parents[2]}) than the driver"
    weights = config.model.weights
    if problem is None and weights not in ("imagenet", "none") and not Path(weights).is_file():
        problem = f"has no --weights {weights}"
    return torch.__version__, problem or _storage_problem(storage, token)


def _data_problem(config: Config, root: str | None, fingerprint: str) -> str | None:
    try:
        found = load_dataset(config.data, None if root is None else Path(root)).fingerprint()
    except (DataError, OSError) as error:
        return f"cannot read the data: {error}"
    if found != fingerprint:
        return f"has other data under --data-root {root}: fingerprint {found}, the driver's is {fingerprint}"
    return None


def _storage_problem(storage: str, token: str | None) -> str | None:
    try:
        place = Storage(storage)
        if token is not None and place.read(_TOKEN) != token.encode():
            return f"does not see the driver's {storage}: it must be on a shared mount, or --storage a URI"
        place.check()
    except (StorageError, OSError) as error:
        return str(error)
    return None

"""The GPUs of the nodes: those that fail are set aside, one by one, until they work again.

Ray gives trials whatever GPU is free, and one on which every trial fails at once is free all the time. So it
is taken by actors of ours, as many as it has room for trials. Ray cannot be asked for a certain GPU: actors
are started on the node until some have got the bad one, and then those that have got another let it go.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

_BETWEEN_LOOKS = 1.0  # seconds
_AGAIN, _LONGEST = 60.0, 3600.0  # seconds until a GPU that has failed is looked at again; doubled every time
_SEARCH = 20.0  # seconds for which GPUs that work are held on the way to one that does not
_PAUSE = 60.0  # seconds after which it is tried again: trials are still using that one
# From ids of GPUs to what is wrong with each; None where it works.
Probe: TypeAlias = Callable[[list[str]], dict[str, str | None]]


@dataclass
class _Gpu:
    """A GPU that is set aside."""

    problem: str
    due: float  # when it is looked at again
    holders: list[Any] = field(default_factory=list)  # actors that have a share of it


@dataclass
class _Node:
    """A node that has GPUs."""

    key: str  # Ray's name for it
    address: str
    count: int  # of its GPUs
    asked: Any = None  # reference to the answer that is awaited
    aside: dict[str, _Gpu] = field(default_factory=dict)  # by id
    coming: list[tuple[Any, Any]] = field(default_factory=list)  # (actor, reference to the GPU that it has)
    unwanted: list[Any] = field(default_factory=list)  # actors that have a share of another GPU
    pauses: dict[str, float] = field(default_factory=dict)  # seconds until the next look, by GPU
    began: float | None = None  # when the search for GPUs to be held began
    not_before: float = 0.0  # when the next one may begin


class Gpus:
    """Looks at the GPUs of all nodes for one session.

    share: GPUs of a trial. probe: looks at GPUs of the machine that it runs on. tell: hears what is set
    aside, and why, or that it is given back (None).
    """

    def __init__(self, share: float, probe: Probe, tell: Callable[[str, str | None], None]):
        self._probe, self._tell = probe, tell
        self._trial, self._share = share, min(share, 1.0)
        self._whole = int(1 / self._share + 1e-9)  # shares of a GPU that trials can get
        self._nodes: dict[str, _Node] = {}
        self._polled = 0.0

    def poll(self) -> None:
        """To be called often: looks at GPUs that have come, or failed, and holds those that fail."""
        now = time.monotonic()
        if now - self._polled < _BETWEEN_LOOKS:
            return
        self._polled = now
        self._meet()
        for node in self._nodes.values():
            self._hear(node, now)
            due = [gpu for gpu, found in node.aside.items() if found.due <= now]
            if due and node.asked is None:
                self._ask(node, due)
            self._hold(node, now)

    def failed(self, node: str, gpus: tuple[str, ...], problem: str) -> None:
        """A trial has met a failing GPU: it is set aside whatever the probe says, and then looked at.

        Of several, which only together have failed, it is left to the probe to say which.
        """
        found = self._nodes.get(node)
        if found is None:
            return
        found.not_before = 0.0
        if len(gpus) == 1:
            if gpus[0] not in found.aside:  # trials that shared it tell one after the other
                self._set_aside(found, gpus[0], problem)
        elif found.asked is None:
            self._ask(found, list(gpus))

    @property
    def settled(self) -> bool:
        """Whether every node has answered, and every GPU that fails is held."""
        nodes = self._nodes.values()
        return bool(nodes) and not any(node.asked or self._missing(node) for node in nodes)

    @property
    def problems(self) -> list[str]:
        """`GPU 3 of 10.0.0.5: CUDA does not start`, for each that is set aside."""
        return [
            f"GPU {gpu} of {node.address}: {found.problem}"
            for node in self._nodes.values()
            for gpu, found in sorted(node.aside.items())
        ]

    def room(self) -> bool:
        """Whether some node has GPUs enough for a trial that are not set aside, as far as is known."""
        most = max((node.count - len(node.aside) for node in self._nodes.values()), default=0)
        return most >= self._trial

    # --- the steps of a turn

    def _meet(self) -> None:
        here = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}  # type: ignore[no-untyped-call]
        for gone in self._nodes.keys() - here.keys():
            del self._nodes[gone]  # and the actors with it
        for key in here.keys() - self._nodes.keys():
            count = int(here[key]["Resources"].get("GPU", 0))
            if count:
                node = self._nodes[key] = _Node(key, here[key]["NodeManagerAddress"], count)
                self._ask(node, None)

    def _ask(self, node: _Node, gpus: list[str] | None) -> None:
        task = ray.remote(look_at_gpus).options(num_cpus=0, max_retries=0, scheduling_strategy=_on(node))
        node.asked = task.remote(self._probe, node.count, gpus)
        for gpu in gpus or ():
            if gpu in node.aside:
                node.aside[gpu].due = float("inf")

    def _hear(self, node: _Node, now: float) -> None:
        if node.asked is None or not ray.wait([node.asked], timeout=0)[0]:
            return
        asked, node.asked = node.asked, None
        try:
            answers: dict[str, str | None] = ray.get(asked)
        except RayError:  # the node is going, or its memory is full: asked again
            for found in node.aside.values():
                found.due = min(found.due, now + _AGAIN)
            return
        for gpu, problem in answers.items():
            if problem is not None:
                self._set_aside(node, gpu, problem)
            elif gpu in node.aside:
                self._give_back(node, gpu)

    def _set_aside(self, node: _Node, gpu: str, problem: str) -> None:
        pause = node.pauses.get(gpu, _AGAIN)
        node.pauses[gpu] = min(2 * pause, _LONGEST)
        before = node.aside.get(gpu)
        node.aside[gpu] = _Gpu(problem, time.monotonic() + pause, [] if before is None else before.holders)
        if before is None:
            self._tell(f"GPU {gpu} of {node.address}", problem)

    def _give_back(self, node: _Node, gpu: str) -> None:
        for actor in node.aside.pop(gpu).holders:
            ray.kill(actor)
        self._tell(f"GPU {gpu} of {node.address}", None)

    def _missing(self, node: _Node) -> int:
        """Shares of GPUs that are set aside which are not held yet."""
        return sum(self._whole - len(gpu.holders) for gpu in node.aside.values())

    def _hold(self, node: _Node, now: float) -> None:
        """Takes hold of GPUs that are set aside, as far as they are free."""
        self._sort(node)
        missing = self._missing(node)
        if not missing:
            self._let_go(node)
        elif node.began is not None and now - node.began > _SEARCH:
            self._let_go(node)
            node.not_before = now + _PAUSE
        elif now >= node.not_before:
            node.began = node.began or now
            for _ in range(missing + len(node.unwanted) - len(node.coming)):
                self._start(node)

    def _sort(self, node: _Node) -> None:
        """Finds out which GPUs the actors have got that were started."""
        coming, node.coming = node.coming, []
        for actor, reference in coming:
            if not ray.wait([reference], timeout=0)[0]:
                node.coming.append((actor, reference))
                continue
            try:
                (gpu,) = ray.get(reference)
            except RayError:
                continue
            held = node.aside.get(gpu)
            (node.unwanted if held is None else held.holders).append(actor)

    def _let_go(self, node: _Node) -> None:
        for actor in (*node.unwanted, *(actor for actor, _ in node.coming)):
            ray.kill(actor)
        node.unwanted, node.coming, node.began = [], [], None

    def _start(self, node: _Node) -> None:
        holder: Any = ray.remote(_Holder)
        there = _on(node)
        actor = holder.options(num_cpus=0, num_gpus=self._share, scheduling_strategy=there).remote()
        node.coming.append((actor, actor.gpus.remote()))


class _Holder:
    """An actor that has a share of a GPU, and does nothing with it."""

    def gpus(self) -> list[str]:
        """The ids of the GPUs that it has."""
        return [str(gpu) for gpu in ray.get_runtime_context().get_accelerator_ids()["GPU"]]


def _on(node: _Node) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(node.key, soft=False)


def look_at_gpus(probe: Probe, count: int, gpus: list[str] | None) -> dict[str, str | None]:
    """Runs on a node: what is wrong with its GPUs, by Ray's ids. gpus: those to look at; None = all."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    ids = visible.split(",") if visible else [str(i) for i in range(count)]
    return probe(ids[:count] if gpus is None else gpus)

"""Ray's giving out of GPUs, made up: whatever is free, the lowest number first, to actors before trials."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from ray.exceptions import RayError


class Reference:
    """What a call is going to return."""

    def __init__(self) -> None:
        self.value: Any = None
        self.ready = False

    def set(self, value: Any) -> None:
        self.value, self.ready = value, True


class MadeRay:
    """Stands in for the module `ray`: nodes with GPUs, tasks that run at once, actors that wait."""

    def __init__(self, **gpus: int):
        self.free = {key: [1.0] * count for key, count in gpus.items()}
        self.taken: dict[int, tuple[str, int, float]] = {}  # by actor or trial
        self.waiting: list[tuple[SimpleNamespace, str, float]] = []
        self.asked: list[tuple[str, Any]] = []  # (node, GPUs) that were looked at
        self.lost: set[str] = set()  # nodes that do not answer
        self._keys = itertools.count()

    # --- as Ray has it

    def nodes(self) -> list[dict[str, Any]]:
        names = ("NodeID", "NodeManagerAddress", "Alive", "Resources")
        return [
            dict(zip(names, (key, f"10.0.0.{i}", True, {"GPU": len(free)}), strict=True))
            for i, (key, free) in enumerate(self.free.items())
        ]

    def remote(self, what: Callable[..., Any]) -> Any:
        def options(**given: Any) -> Any:
            node = given["scheduling_strategy"].node_id
            if isinstance(what, type):
                return SimpleNamespace(remote=lambda: self._actor(node, given["num_gpus"]))
            return SimpleNamespace(remote=lambda *arguments: self._task(node, what, arguments))

        return SimpleNamespace(options=options)

    def wait(self, references: list[Reference], timeout: float) -> tuple[list[Reference], list[Reference]]:
        ready = [reference for reference in references if reference.ready]
        return ready, [reference for reference in references if not reference.ready]

    def get(self, reference: Reference) -> Any:
        if isinstance(reference.value, Exception):
            raise reference.value
        return reference.value

    def kill(self, actor: SimpleNamespace) -> None:
        self.waiting = [entry for entry in self.waiting if entry[0] is not actor]
        self.release(actor.key)

    # --- as a test has it

    def take(self, share: float = 1.0, node: str | None = None) -> tuple[int, str, int] | None:
        """(key, node, GPU) for a trial; None where nothing is free."""
        for place in self.free if node is None else (node,):
            key = next(self._keys)
            gpu = self._allocate(key, place, share)
            if gpu is not None:
                return key, place, gpu
        return None

    def release(self, key: int) -> None:
        """Frees what a trial or an actor had, for those that wait."""
        if key in self.taken:
            node, gpu, share = self.taken.pop(key)
            self.free[node][gpu] += share
        waiting, self.waiting = self.waiting, []
        for actor, place, share in waiting:
            self._place(actor, place, share)

    def _allocate(self, key: int, node: str, share: float) -> int | None:
        for gpu, free in enumerate(self.free[node]):
            if free >= share - 1e-9:
                self.free[node][gpu] -= share
                self.taken[key] = node, gpu, share
                return gpu
        return None

    def _actor(self, node: str, share: float) -> SimpleNamespace:
        answer = Reference()
        method = SimpleNamespace(remote=lambda: answer)
        actor = SimpleNamespace(key=next(self._keys), answer=answer, gpus=method)
        self._place(actor, node, share)
        return actor

    def _place(self, actor: SimpleNamespace, node: str, share: float) -> None:
        gpu = self._allocate(actor.key, node, share)
        if gpu is None:
            self.waiting.append((actor, node, share))
        else:
            actor.answer.set([str(gpu)])

    def _task(self, node: str, function: Callable[..., Any], arguments: Any) -> Reference:
        self.asked.append((node, arguments[-1]))
        answer = Reference()
        answer.set(RayError("lost") if node in self.lost else function(*arguments))
        return answer

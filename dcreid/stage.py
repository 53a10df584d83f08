"""A stage that has been trained and not merged yet: its cost, and what its network yields."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from dcreid.evaluation.partitions import Partition
from dcreid.evaluation.retrieval import QueryResults
from dcreid.evaluation.unlabelled import ClassScores, NetworkScores, combined
from dcreid.steps import MergeStep
from dcreid.training import StageResult

RetrievalKind: TypeAlias = tuple[str, int, bool]


def _no_seconds() -> dict[str, float]:
    return {"train": 0.0, "features": 0.0, "evaluate": 0.0, "scores": 0.0}


@dataclass
class TrainedStage:
    """What is known of the stage before its merge, and does not depend on the merge criterion."""

    result: StageResult
    seconds: dict[str, float] = field(default_factory=_no_seconds)  # spent by this run, by part of the step
    saved_seconds: float = 0.0  # spent by the run that the stage was adopted from
    pooled: Float[Tensor, "n d"] | None = None  # features of the training tracklets; None = not measured yet
    halves: Float[Tensor, "2 n d"] | None = None  # of either half of their frames, of length 1
    scores: NetworkScores = field(default_factory=NetworkScores)
    retrieval: QueryResults | None = None
    # Gallery, most frames, whether on normalised features too; None = not measured, or not due.
    retrieval_of: RetrievalKind | None = None

    def report(
        self,
        step: int,
        before: Partition,
        after: Partition,
        scores: ClassScores,
        gpu_memory_bytes: int | None,
    ) -> MergeStep:
        """The report of the merge step: trained on the classes `before`, merged into those `after`."""
        train = self.seconds["train"]
        found = dataclasses.asdict(self.scores) | dataclasses.asdict(scores)
        measured: dict[str, Any] = {
            **({} if self.retrieval is None else dataclasses.asdict(self.retrieval.metrics())),
            **{f"{name}_before": value for name, value in before.values().items()},
            **after.values(),
            **found,
            "unlabelled": combined(found),
            **{f"seconds_{part}": spent for part, spent in self.seconds.items()},
        }
        return MergeStep(
            step=step,
            classes_before=before.classes,
            classes_after=after.classes,
            labels_before=before.name,
            labels_after=after.name,
            alpha=self.result.alpha,
            lr=self.result.lr,
            loss=self.result.loss,
            frames_per_second=self.result.frames / train if train else 0.0,
            saved_seconds=self.saved_seconds,
            gpu_memory_bytes=gpu_memory_bytes,
            **measured,
        )

    def shared_state(self) -> dict[str, Any]:
        """What another run needs to go on from the stage, network and memory aside."""
        assert self.pooled is not None and self.halves is not None
        return {
            "stage": dataclasses.asdict(self.result),
            "pooled": self.pooled.cpu(),
            "halves": self.halves.cpu(),
            "scores": dataclasses.asdict(self.scores),
            "retrieval": None if self.retrieval is None else dataclasses.asdict(self.retrieval),
            "retrieval_of": self.retrieval_of,
            "seconds": dict(self.seconds),
        }

    @classmethod
    def adopted(
        cls, shared: dict[str, Any], retrieval_due: RetrievalKind | None, device: torch.device
    ) -> TrainedStage:
        """The stage of another run's `shared_state`; its retrieval only if it is the one that is due here."""
        spent = shared["seconds"]
        stage = cls(
            StageResult(**shared["stage"]),
            saved_seconds=spent["train"] + spent["features"],
            pooled=shared["pooled"].to(device),
            halves=shared["halves"].to(device),
            scores=NetworkScores(**shared["scores"]),
        )
        of = shared["retrieval_of"]
        if of is not None and tuple(of) == retrieval_due:
            stage.retrieval_of = tuple(of)
            stage.retrieval = None if shared["retrieval"] is None else QueryResults(**shared["retrieval"])
            stage.saved_seconds += spent["evaluate"]
        return stage

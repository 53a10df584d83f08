"""What Algorithm 1 reports of a merge step, how many steps there are, and the clock they are timed by."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from dcreid.evaluation.partitions import Partition
from dcreid.evaluation.retrieval import QueryResults
from dcreid.parallel import Ranks
from dcreid.training import StageResult


@dataclass(frozen=True)
class MergeStep:
    """One merge step. Metrics are fractions; None where the data has no labels or it was not evaluated."""

    step: int  # 1, 2, …
    classes_before: int
    classes_after: int
    alpha: float  # α of the stage's memory updates
    lr: float  # learning rate of new layers in the stage's last epoch
    loss: float  # mean of Eq (2) over the stage's last epoch; nan without training
    mAP: float | None
    mAP_trapezoid: float | None
    rank1: float | None
    rank5: float | None
    rank10: float | None
    rank20: float | None
    queries: int | None
    queries_skipped: int | None  # queries with no match in the gallery, not counted
    class_size_max: int
    class_size_median: float
    purity: float | None
    nmi: float | None
    ari: float | None
    pairwise_f: float | None
    seconds_train: float
    seconds_features: float
    seconds_merge: float
    seconds_evaluate: float
    frames_per_second: float  # training frames per second of the stage
    gpu_memory_bytes: int | None  # peak of the step on the first GPU; None without CUDA
    saved_seconds: float = 0.0  # spent by another run on what this one took over (`Algorithm.adopt`)
    # The labels that the stage was trained on; those above are of the labels that its merge made.
    labels_before: str | None = None  # name of the partition (`partition_name`)
    labels_after: str | None = None
    class_size_max_before: int | None = None
    class_size_median_before: float | None = None
    purity_before: float | None = None
    nmi_before: float | None = None
    ari_before: float | None = None
    pairwise_f_before: float | None = None


@dataclass
class TrainedStage:
    """A stage trained and not merged yet, and what its network gives, whatever is merged next."""

    result: StageResult
    seconds: dict[str, float]  # spent on it here so far, by part: train, features, merge, evaluate
    saved_seconds: float = 0.0
    pooled: Float[Tensor, "n d"] | None = None  # of the training tracklets; None = not measured yet
    retrieval: QueryResults | None = None
    retrieval_of: tuple[str, int] | None = None  # gallery, most frames; None = not measured, or not due

    def report(
        self, step: int, before: Partition, after: Partition, gpu_memory_bytes: int | None
    ) -> MergeStep:
        """The merge step that the stage came to: trained on `before`, merged into `after`."""
        optional = [field.name for field in dataclasses.fields(MergeStep) if "None" in str(field.type)]
        values: dict[str, Any] = dict.fromkeys(optional)
        values |= {} if self.retrieval is None else dataclasses.asdict(self.retrieval.metrics())
        values |= {f"seconds_{part}": spent for part, spent in self.seconds.items()}
        train = self.seconds["train"]
        values |= {
            **{f"{name}_before": value for name, value in before.values().items()},
            **after.values(),
            "step": step,
            "classes_before": before.classes,
            "classes_after": after.classes,
            "labels_before": before.name,
            "labels_after": after.name,
            "alpha": self.result.alpha,
            "lr": self.result.lr,
            "loss": self.result.loss,
            "frames_per_second": self.result.frames / train if train else 0.0,
            "saved_seconds": self.saved_seconds,
            "gpu_memory_bytes": gpu_memory_bytes,
        }
        return MergeStep(**values)


class Clock:
    """Seconds of the first rank, when the device has done what it was given; and its peak memory."""

    def __init__(self, device: torch.device, ranks: Ranks):
        self._cuda, self._device, self._ranks = device.type == "cuda", device, ranks

    def now(self) -> float:
        """Seconds since some moment."""
        if self._cuda:
            torch.cuda.synchronize(self._device)
        return self._ranks.on_rank_0(time.perf_counter)

    @contextmanager
    def timed(self, seconds: dict[str, float], part: str) -> Iterator[None]:
        """Puts what is done inside down as seconds[part]."""
        started = self.now()
        yield
        seconds[part] = self.now() - started

    def reset_peak_memory(self) -> None:
        """From here on the peak is another."""
        if self._cuda:
            torch.cuda.reset_peak_memory_stats(self._device)

    def peak_memory(self) -> int | None:
        """Bytes on the first rank's GPU; None without CUDA."""
        if not self._cuda:
            return None
        return self._ranks.on_rank_0(lambda: int(torch.cuda.max_memory_allocated(self._device)))

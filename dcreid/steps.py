"""What Algorithm 1 reports of a merge step."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class MergeStep:
    """One merge step. Metrics are fractions; None where the data has no labels or it was not evaluated."""

    step: int  # 1, 2, …
    classes_before: int
    classes_after: int
    alpha: float  # α of the stage's memory updates
    lr: float  # learning rate of new layers in the stage's last epoch
    loss: float  # mean of Eq (2) over the stage's last epoch; nan without training
    mAP: float | None = None
    mAP_trapezoid: float | None = None
    rank1: float | None = None
    rank5: float | None = None
    rank10: float | None = None
    rank20: float | None = None
    queries: int | None = None
    queries_skipped: int | None = None  # queries with no match in the gallery, not counted
    mAP_camera_normalised: float | None = None  # of test features normalised per camera, where asked for
    rank1_camera_normalised: float | None = None
    class_size_max: int
    class_size_median: float
    purity: float | None = None
    nmi: float | None = None
    ari: float | None = None
    pairwise_f: float | None = None
    seconds_train: float
    seconds_features: float
    seconds_merge: float
    seconds_evaluate: float
    frames_per_second: float  # training frames per second of the stage
    gpu_memory_bytes: int | None = None  # peak of the step on the first GPU; None without CUDA
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
    # Scores that need no identity (`dcreid/evaluation/unlabelled.py`): of the stage's network, and of the
    # classes that the merge has made. None = could not be taken.
    self_retrieval: float | None = None
    stability: float | None = None
    camera_excess: float | None = None
    join_reliability: float | None = None
    size_balance: float | None = None
    silhouette: float | None = None
    exclusivity: float | None = None
    same_camera: float | None = None
    unlabelled: float | None = None  # `combined` from these
    seconds_scores: float = 0.0

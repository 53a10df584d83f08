"""Every choice of the method in one frozen, hashable value.

A run is defined by its `Config`: with equal digests, data and code versions, two runs compute the same.
The digest covers only what differs from the defaults, so a field may be added later without changing
digests, if its default is the former behaviour. Where the data lies, the device and the number of
processes are no part of it; `Algorithm` takes them as arguments.

Field help texts name the paper's symbol or section. Defaults are the paper's values or, where the
paper is silent, the decision explained in the README ("Where the paper is silent").
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dcreid.checked import Checked, flatten, from_mapping, setting, type_hints, with_defaults
from dcreid.checked import ConfigError as ConfigError

_MANY = 1_000_000  # of what is counted: beyond it a number is a slip


@dataclass(frozen=True)
class SyntheticConfig(Checked):
    """The embedded data set of drawn pedestrians (`dcreid.data.synthetic.dataset`)."""

    shape: str = setting(
        "even",
        "tracklets per training identity: even, or mars = MARS's own counts (625 people, 8,298)",
        choices=("even", "mars"),
    )
    train_identities: int = setting(32, "identities in the training split (shape even)", low=2, high=_MANY)
    test_identities: int = setting(24, "identities in the test split", low=2, high=_MANY)
    tracklets: int = setting(6, "tracklets per identity (in training: shape even)", low=2, high=_MANY)
    cameras: int = setting(4, "cameras (MARS has 6)", low=2, high=64)
    frames: int = setting(
        8, "frames per tracklet (median; lengths vary by half around it)", low=1, high=_MANY
    )
    difficulty: float = setting(
        0.5, "0 = every camera alike, 1 = strong camera, light, pose and occlusion changes", low=0.0, high=1.0
    )
    lookalikes: float = setting(
        0.3, "share of identities that differ from another in one trait only", low=0.0, high=1.0
    )
    seed: int = setting(0, "seed of the people and cameras drawn", low=0)


@dataclass(frozen=True)
class DataConfig(Checked):
    """Which tracklets, and how their frames reach the network."""

    dataset: str = setting("synthetic", "data set", choices=("synthetic", "mars", "duke", "folder"))
    height: int = setting(256, "frame height in pixels", low=16, high=2048)
    width: int = setting(128, "frame width in pixels", low=8, high=2048)
    frames: int = setting(8, "frames drawn per tracklet in a training batch", low=1, high=1024)
    frame_sampling: str = setting(
        "segments",
        "how they are drawn: one at random from each of equal segments; each at random from all; or "
        "distinct = at random from all, none twice while there are enough (BUC, DBC)",
        choices=("segments", "random", "distinct"),
    )
    eval_frames: int = setting(
        0, "frames per tracklet for clustering and evaluation, evenly spaced; 0 = all", low=0, high=_MANY
    )
    eval_mirror: bool = setting(
        False,
        "features for clustering and evaluation are the mean of each frame's and its mirror image's, at "
        "twice the cost",
    )
    flip: float = setting(0.5, "probability of mirroring a tracklet in training", low=0.0, high=1.0)
    shift: float = setting(
        0.05, "largest random shift in training, as a share of height and width", low=0.0, high=0.5
    )
    crop: float = setting(
        1.0,
        "smallest area of a random crop in training, of height to width 2 to 3; 1 = none (BUC, DBC: 0.64)",
        low=0.1,
        high=1.0,
    )
    augment_per: str = setting(
        "tracklet",
        "what is mirrored, shifted and cropped alike: all frames of a tracklet, or each frame for itself "
        "(BUC, DBC)",
        choices=("tracklet", "frame"),
    )
    shuffle_tracklets: bool = setting(
        True, "permute the training tracklets by seed, so that their order cannot leak"
    )
    gallery: str = setting(
        "official",
        "gallery rows: official = every test row, junk ignored per query; no_junk; no_queries; neither",
        choices=("official", "no_junk", "no_queries", "neither"),
    )
    split: str = setting(
        "official",
        "official = the data set's training and test split; first_half = train on one half of the training "
        "identities, measure on the other; second_half = the other way round",
        choices=("official", "first_half", "second_half"),
    )
    synthetic: SyntheticConfig = dataclasses.field(default_factory=SyntheticConfig)


@dataclass(frozen=True)
class ModelConfig(Checked):
    """The backbone φ(θ; x) and what stands between it and the memory."""

    backbone: str = setting("resnet50", "torchvision classification network")
    weights: str = setting("imagenet", "imagenet, none, or the path of a state dict")
    frozen_stages: int = setting(
        0, "leading backbone stages kept fixed, batch norm included", low=0, high=1000
    )
    batch_norm: str = setting(
        "adapt",
        "statistics of the backbone's batch norm in training: adapt = of the batch; frozen = those of its "
        "weights, while scale and shift are trained (goes with --clip-norm)",
        choices=("adapt", "frozen"),
    )
    last_stride: int = setting(
        2,
        "stride of the backbone's last reduction; 1 = a map of twice the size (re-ID practice)",
        choices=(2, 1),
    )
    head: str = setting(
        "none",
        "none: pooled features meet the memory (paper); embedding: linear, batch norm, dropout between, L2 "
        "behind; buc: as BUC's and DBC's code, dropout behind L2 and their initial weights",
        choices=("none", "embedding", "buc"),
    )
    embedding_dim: int = setting(2048, "width of the head", low=1, high=65_536)
    dropout: float = setting(0.5, "dropout of the head", low=0.0, high=0.95)


@dataclass(frozen=True)
class TrainConfig(Checked):
    """The stages of training between merges, and the feature memory."""

    batch_size: int = setting(64, "tracklets per batch", low=2, high=_MANY)
    sampler: str = setting(
        "tracklets",
        "what makes a batch: tracklets = every tracklet once per epoch; classes = P classes of K tracklets, "
        "from different cameras first, N draws per epoch",
        choices=("tracklets", "classes"),
    )
    tracklets_per_class: int = setting(
        4, "K of sampler classes; where a class has fewer, clips of the same ones", low=1, high=1024
    )
    drop_last: bool = setting(False, "leave an epoch's last batch out where it is not full (BUC, DBC)")
    first_epochs: int = setting(30, "epochs of the first stage", low=0, high=_MANY)
    later_epochs: int = setting(3, "epochs of every later stage", low=0, high=_MANY)
    lr: float = setting(0.1, "learning rate of new layers", above=0.0)
    backbone_lr_factor: float = setting(0.1, "share of lr that pre-trained layers get", low=0.0)
    lr_decay_epoch: int = setting(
        15, "epoch of the first stage after which lr is multiplied by lr_decay", low=1, high=_MANY
    )
    lr_decay: float = setting(0.1, "factor at lr_decay_epoch", above=0.0, high=1.0)
    later_lr: str = setting(
        "decayed", "later stages' rate: decayed = lr * lr_decay, restart = lr", choices=("decayed", "restart")
    )
    clip_norm: float = setting(0.0, "largest norm of the gradients of all weights; 0 = any", low=0.0)
    momentum: float = setting(0.9, "SGD momentum (Nesterov when > 0)", low=0.0, high=0.999)
    weight_decay: float = setting(5e-4, "SGD weight decay", low=0.0)
    temperature: float = setting(0.1, "τ of Eq (1)", above=0.0)
    alpha: float = setting(0.5, "end value of the memory update rate α", low=0.0, high=1.0)
    alpha_schedule: str = setting(
        "linear",
        "α per stage: linear = stage·α·pm clipped to α, fixed, cosine; printed = (stage - 1)·α·pm, as "
        "Algorithm 1's line 6 sets it after the merge before",
        choices=("linear", "fixed", "cosine", "printed"),
    )
    memory_init: str = setting(
        "members",
        "memory rows after a merge: members = mean of the members' features; zeros (BUC); carry = the merged "
        "classes' rows, averaged by size (Algorithm 1's line 6 as printed); old_classes = means over the "
        "classes before the merge, so that rows and labels do not match (DBC's code); previous_rows = by "
        "index from the step before (leaks labels; only for a leak audit)",
        choices=("members", "zeros", "carry", "old_classes", "previous_rows"),
    )
    camera_proxies: bool = setting(
        False, "add the losses over one row per class and camera to Eq (2) (CAP, arXiv 2012.10674)"
    )
    leak_audit: bool = setting(
        False,
        "permit what lets identities reach training, to measure what that is worth: memory rows that leak "
        "them, and method identities",
    )
    precision: str = setting(
        "auto",
        "of the backbone (all else is full float32): auto = bf16 autocast on CUDA, fp32 elsewhere; "
        "tf32 = fp32, but on CUDA its convolutions in TF32",
        choices=("auto", "fp32", "tf32", "bf16"),
    )
    channels_last: bool = setting(True, "channels-last convolutions")
    compile: bool = setting(False, "torch.compile the backbone")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.memory_init == "previous_rows" and not self.leak_audit:
            raise ConfigError(
                "TrainConfig.memory_init = 'previous_rows': leaks labels through the order of the tracklets; "
                "it is allowed only with leak_audit = true"
            )
        if self.sampler == "classes" and self.batch_size % self.tracklets_per_class:
            raise ConfigError(
                f"TrainConfig.batch_size = {self.batch_size}: sampler classes needs a multiple of "
                f"tracklets_per_class = {self.tracklets_per_class}"
            )

    @property
    def first_rows(self) -> str:
        """What the memory's rows begin as, whatever merges make of them: members or zeros."""
        return "zeros" if self.memory_init in ("zeros", "old_classes") else "members"

    def draws(self, n: int) -> int:
        """Tracklets that an epoch trains on, of n: all, but for what `drop_last` leaves out."""
        return n - n % self.batch_size if self.drop_last else n

    def check_batches(self, n: int) -> None:
        """Raises ConfigError where `drop_last` leaves nothing of n training tracklets."""
        if not self.draws(n):
            raise ConfigError(
                f"train.drop_last: the {n:,} training tracklets do not fill one batch of train.batch_size = "
                f"{self.batch_size:,}, so that nothing would be trained; make batches smaller"
            )


@dataclass(frozen=True)
class MergeConfig(Checked):
    """The merge criterion, Eqs (3)-(7)."""

    merge_rate: float = setting(0.05, "pm: share of the tracklets merged per step", above=0.0, high=0.5)
    lambda1: float = setting(0.06, "λ1, weight of the intra-class dispersions in Eq (7)", low=0.0)
    lambda2: float = setting(0.003, "λ2, weight of the class sizes in Eq (7)", low=0.0)
    intra: str = setting(
        "samples",
        "Eq (3): samples = sum over ordered pairs / n (as printed), pairs = / n²",
        choices=("samples", "pairs"),
    )
    distance: str = setting(
        "euclidean",
        "distance of Eqs (3), (4): euclidean (0 to 2); squared (BUC, DBC; 0 to 4); jaccard = of the "
        "k-reciprocal neighbours (0 to 1)",
        choices=("euclidean", "squared", "jaccard"),
    )
    k1: int = setting(20, "nearest others that Jaccard neighbourhoods are made of", low=1, high=_MANY)
    k2: int = setting(
        6, "tracklets that a Jaccard neighbourhood is averaged over, its own included", low=1, high=_MANY
    )
    camera_normalise: bool = setting(
        False, "remove mean and deviation of each camera from the features before the distances"
    )
    linkage: str = setting(
        "average",
        "distance of two classes: average over all pairs of tracklets, Eq (4), or nearest pair (BUC)",
        choices=("average", "nearest"),
    )
    method: str = setting(
        "once",
        "once = one D per step, joins may chain; star = one D, what was joined away is passed over (DBC); "
        "exact = D recomputed after every join; anew = exact, but from single tracklets at every step; "
        "identities = no merge: the training identities are the classes (a bound, for --plan bound alone)",
        choices=("once", "star", "exact", "anew", "identities"),
    )
    max_steps: int = setting(0, "stop merging after this many steps; 0 = until C <= m", low=0, high=_MANY)
    classes: int = setting(
        0,
        "merge until exactly so many classes are left, in as many steps as that takes (max_steps does not "
        "count then); 0 = as max_steps says",
        low=0,
        high=_MANY,
    )
    regroup_steps: int = setting(
        0,
        "further steps after the last merge, with as many classes: method anew makes them again, the others "
        "keep them",
        low=0,
        high=_MANY,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.distance == "jaccard" and self.k2 > self.k1:
            raise ConfigError(f"MergeConfig.k2 = {self.k2}: must be at most k1 = {self.k1}")
        if self.classes == 1:
            raise ConfigError("MergeConfig.classes = 1: must be 0, or at least 2")

    def check_classes(self, n: int) -> None:
        """Raises ConfigError where n training tracklets cannot be merged into `classes`."""
        if self.classes >= n:
            raise ConfigError(
                f"merge.classes = {self.classes:,}: must be less than the number of training tracklets, {n:,}"
            )

    def joins_per_step(self, n: int) -> int:
        """m = ⌊N · pm⌋, at least 1; the small number keeps 100 · 0.29 from being 28.999…"""
        return max(1, math.floor(n * self.merge_rate + 1e-9))

    def merge_steps(self, n: int) -> int:
        """Steps of a run on n tracklets: those that leave fewer classes, then `regroup_steps`."""
        return self.joining_steps(n) + self.regroup_steps

    def joining_steps(self, n: int) -> int:
        """Those that leave fewer classes: one while C > m, at most `max_steps`; or while C > `classes`."""
        m = self.joins_per_step(n)
        if self.classes:
            return math.ceil((n - self.classes) / m)
        steps = max(0, math.ceil(n / m) - 1)
        return min(steps, self.max_steps) if self.max_steps else steps

    def joins(self, n: int, step: int) -> int:
        """Joins of merge step 1, 2, …: m, in the last of them no more than `classes` allow; then none."""
        if step > self.joining_steps(n):
            return 0
        m = self.joins_per_step(n)
        return min(m, n - (step - 1) * m - self.classes) if self.classes else m


@dataclass(frozen=True)
class EvalConfig(Checked):
    """When retrieval is measured."""

    eval_every: int = setting(
        1, "evaluate every so many merge steps (the last is always evaluated)", low=1, high=_MANY
    )
    camera_normalise: bool = setting(
        False,
        "measure retrieval a second time, with mean and deviation of each camera removed from the test "
        "features (columns of their own)",
    )


@dataclass(frozen=True)
class Config(Checked):
    """One run of Algorithm 1, complete."""

    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    merge: MergeConfig = dataclasses.field(default_factory=MergeConfig)
    evaluate: EvalConfig = dataclasses.field(default_factory=EvalConfig)
    seed: int = setting(0, "seed of everything drawn at random in a run", low=0, high=2**31 - 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        kept = self.train.memory_init
        if self.merge.method == "anew" and kept in ("carry", "old_classes", "previous_rows"):
            raise ConfigError(
                f"train.memory_init = {kept!r} takes rows over from the classes before, and merge.method = "
                "'anew' makes its classes from single tracklets: use members or zeros, or another method"
            )
        if self.trains_with_identities and not self.train.leak_audit:
            raise ConfigError(
                "merge.method = 'identities': trains with identities, which is no result of the method; it "
                "is allowed only with leak_audit = true, as the plan bound sets it"
            )
        if kept == "old_classes" and not self.data.shuffle_tracklets and not self.train.leak_audit:
            raise ConfigError(
                "train.memory_init = 'old_classes' with data.shuffle_tracklets = false: leaks labels through "
                "the order of the tracklets; it is allowed only with leak_audit = true"
            )

    @property
    def trains_with_identities(self) -> bool:
        """Whether a run is the bound (`dcreid/bound.py`), and no result of the method."""
        return self.merge.method == "identities"

    def to_dict(self) -> dict[str, Any]:
        """Nested plain dictionaries, ready for JSON; inverse of `from_dict`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """Rebuilds a configuration; raises ConfigError for unknown names or values out of range."""
        return from_mapping(cls, values, "Config")

    def replace(self, **changes: Any) -> Config:
        """A copy with dotted fields changed: `config.replace(**{"merge.lambda1": 0.1, "seed": 3})`."""
        values = self.to_dict()
        for name, value in changes.items():
            *groups, leaf = name.split(".")
            target = values
            for group in groups:
                target = target.get(group) if isinstance(target, dict) else None  # type: ignore[assignment]
            if not isinstance(target, dict) or leaf not in target or isinstance(target[leaf], dict):
                raise ConfigError(f"unknown field {name!r}: {_closest(name, self)}")
            target[leaf] = value
        return self.from_dict(values)

    def flat(self) -> dict[str, Any]:
        """Dotted field names to values, in declaration order."""
        return flatten(self.to_dict())

    def difference(self) -> dict[str, Any]:
        """Dotted names and values of the fields that do not have their default."""
        defaults = flatten(_defaults())
        return {name: value for name, value in self.flat().items() if value != defaults[name]}

    def digest(self) -> str:
        """64 hex digits that name the difference from the defaults.

        Equal for equal values, whatever the order or process; a field added later changes no digest
        of a configuration that leaves it at its default.
        """
        text = json.dumps(self.difference(), sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()


def fields(cls: type[Any] = Config, prefix: str = "") -> dict[str, dataclasses.Field[Any]]:
    """The dataclass fields of a configuration class that are no groups, by dotted name."""
    hints, found = type_hints(cls), {}
    for field in dataclasses.fields(cls):
        if dataclasses.is_dataclass(hints[field.name]):
            found.update(fields(hints[field.name], f"{prefix}{field.name}."))
        else:
            found[prefix + field.name] = field
    return found


def completed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Stored values of an older version (nested, as from `Config.to_dict`) with the fields added since.

    Those get their defaults. Nothing is checked: unknown fields stay.
    """
    return with_defaults(values, _defaults())


@functools.cache
def _defaults() -> dict[str, Any]:
    return Config().to_dict()


def _closest(name: str, config: Config) -> str:
    import difflib

    near = difflib.get_close_matches(name, config.flat(), n=3, cutoff=0.4)
    return f"did you mean {', '.join(near)}?" if near else "see --help for the names"

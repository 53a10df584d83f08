"""Algorithm 1 for anyone's Ray Tune, with Tune's own schedulers, searchers and loggers.

    from ray import tune
    import study

    function = study.trainable({"train.first_epochs": 10}, data_root="/data/MARS")
    tuner = tune.Tuner(
        tune.with_resources(function, {"cpu": 4, "gpu": 1}),
        param_space={"merge.lambda1": tune.loguniform(1e-3, 0.3)},
        tune_config=tune.TuneConfig(metric="mAP", mode="max", num_samples=20),
    )
    best = tuner.fit().get_best_result()
    model = study.load_model(best.checkpoint)      # dcreid.model.Model: to embed, search, save and export

Every merge step is a report with `training_iteration` = step and a checkpoint. A study of our own
(`study/run.py`) also shares stages, waits for storages and keeps a record; this is for those who have a
Tuner of their own.
"""

from __future__ import annotations

import logging
import math
import pickle
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ray import tune

from dcreid.algorithm import Algorithm
from dcreid.checked import ConfigError, one_of
from dcreid.config import Config, completed, fields
from dcreid.data import load_dataset
from dcreid.data.readers.layout import guess_layout
from dcreid.evaluation.unlabelled import combined
from dcreid.model import Card, Model, measured
from dcreid.paths import user_path
from dcreid.presets import PRESETS, laid_over, settings_of
from dcreid.training import DivergedError
from study.errors import GPUError, StudyError, first_line
from study.source import code_version
from study.worker.algorithm_rows import algorithm_rows, load_same_data, make_algorithm
from study.worker.cuda import problem_of

# Fields that a checkpoint may be continued with other values of (as PBT does): from its next stage on all of
# them act, and none of them decides what a checkpoint holds or how it was measured.
_CHANGEABLE = (
    *("data.frames", "data.frame_sampling", "data.flip", "data.shift", "data.crop", "data.augment_per"),
    "model.dropout",
    *("train.batch_size", "train.sampler", "train.tracklets_per_class", "train.drop_last"),
    *("train.later_epochs", "train.lr", "train.backbone_lr_factor", "train.lr_decay", "train.later_lr"),
    *("train.clip_norm", "train.momentum", "train.weight_decay"),
    *("train.temperature", "train.alpha", "train.alpha_schedule", "train.memory_init"),
    *("merge.lambda1", "merge.lambda2", "merge.intra", "merge.distance", "merge.k1", "merge.k2"),
    *("merge.camera_normalise", "merge.linkage", "merge.method"),
)

FIXED_FIELDS: tuple[str, ...] = tuple(name for name in fields() if name not in _CHANGEABLE)
"""Fields that must be the same where a checkpoint is continued, by PBT or by a restored Tuner.

They decide which tracklets there are and in which order (`data.*`, `seed`), the network (`model.*`), how
many merge steps there are and of how many joins (`merge.merge_rate`, `max_steps`, `classes`,
`regroup_steps`), which rows the memory has (`train.camera_proxies`), how a step is measured (`evaluate.*`,
`data.eval_frames`, `data.eval_mirror`) or how numbers are rounded (`train.precision`); or they act on the
first stage alone, which lies behind every checkpoint (`train.first_epochs`, `train.lr_decay_epoch`).
"""

_READS = ("data.dataset", "data.split", "data.gallery", "data.synthetic.")  # fields that name other data
# What a diverged training has come to: the worst value of each.
_OF_LABELS = (
    *("mAP", "mAP_trapezoid", "rank1", "rank5", "rank10", "rank20"),
    *("purity", "nmi", "ari", "pairwise_f"),
)
_OF_SCORES = ("unlabelled", "self_retrieval", "stability", "join_reliability", "size_balance", "silhouette")
_STATE = "state.pt"
_STAMP = "stamp"
_log = logging.getLogger("dcreid.study")


def trainable(
    base: Config | Mapping[str, Any] | str = "paper",
    *,
    data_root: str | Path | None = None,
    cache: str | Path = ".cache",
) -> Callable[[dict[str, Any]], None]:
    """A function for `tune.Tuner`, whose `param_space` names fields: `{"merge.lambda1": tune.uniform(0, 1)}`.

    base: what all trials have in common. A configuration; or fields that differ from the settings that
    `study/run.py` starts from, by dotted name; or the name of a preset.
    data_root: folder of the data set; None = the embedded data. cache: folder for packed frames, on a disk of
    each machine, as `--cache` of `study/run.py`; not used for the embedded data. All paths are the same on
    all machines of a cluster.

    A trial that Tune gives a GPU trains there, any other on as many threads as it has CPUs. Raises
    ConfigError, StudyError or DataError, before Tune starts, where these cannot be used; a value in Tune's
    own `config` that cannot be used fails its trial before anything is trained.
    """
    config = _base(base, data_root)
    _check_root(config.data.dataset, data_root)
    root = _absolute("data_root", data_root)
    config = _trial_config(config, {"model.weights": _weights(config.model.weights)})
    data = load_dataset(config.data, None if root is None else Path(root))
    config.train.check_batches(len(data.train))
    config.merge.check_classes(len(data.train))
    # Plain values alone: this is pickled into every trial.
    values, fingerprint = config.to_dict(), data.fingerprint()
    packed = None if root is None else _absolute("cache", cache)

    def dcreid(config: dict[str, Any]) -> None:
        _run(config, values, root, fingerprint, packed)

    return dcreid


def load_checkpoint(checkpoint: tune.Checkpoint | str | Path) -> tuple[Config, dict[str, Any]]:
    """The configuration and the state (as of `Algorithm.state_dict`) in a checkpoint of `trainable`'s.

    checkpoint: Tune's, such as `result.checkpoint`, or its folder. The state also says, under `stamp`, which
    data and which version of dcreid it is of. Raises StudyError.
    """
    in_folder = isinstance(checkpoint, str | Path)
    opened: Any = tune.Checkpoint.from_directory(str(checkpoint)) if in_folder else checkpoint
    try:
        with opened.as_directory() as folder:
            state = torch.load(Path(folder, _STATE), map_location="cpu", weights_only=True)
        return Config.from_dict(completed(state["config"])), state
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, LookupError, TypeError) as error:
        why = first_line(error, type(error).__name__)
        raise StudyError(f"{opened.path}: is no checkpoint of study.trainable ({why})") from None


def load_model(checkpoint: tune.Checkpoint | str | Path) -> Model:
    """The network in a checkpoint of `trainable`'s, with its card. Raises StudyError."""
    config, state = load_checkpoint(checkpoint)
    step, stamp = len(state["history"]), state[_STAMP]
    row = state["history"][-1] if step else dict(state["untrained"] or {})
    card = Card(
        config=config,
        code=stamp["code"],
        data=stamp["name"],
        fingerprint=stamp["data"],
        chosen=f"merge step {step}, of a checkpoint from a Tuner",
        scores=measured(row),
        untrained=measured({**(state["untrained"] or {}), **state["untrained_scores"]}),
        step=step,
    )
    return Model.of(state["backbone"], card)


def _base(base: Config | Mapping[str, Any] | str, data_root: str | Path | None) -> Config:
    if isinstance(base, Config):
        return base
    dataset = "synthetic" if data_root is None else guess_layout(user_path("data_root", str(data_root)))
    if isinstance(base, str):
        if base not in PRESETS:
            raise StudyError(f"base: there is no preset {base!r}; {one_of(base, PRESETS)}")
        return laid_over(settings_of(dataset), base)
    settings = settings_of(base.get("data.dataset", dataset))
    return settings.replace(**{name: value for name, value in base.items() if name != "data.dataset"})


def _check_root(dataset: str, data_root: str | Path | None) -> None:
    if dataset == "synthetic":
        if data_root is not None:
            raise StudyError(
                f"data_root {data_root}: the data set synthetic is drawn, not read; leave it out"
            )
    elif data_root is None:
        raise StudyError(f"data_root: name the folder of the data set {dataset}")


def _absolute(argument: str, path: str | Path | None) -> str | None:
    """A path that holds in a trial too, which works in a folder of its own."""
    return None if path is None else str(user_path(argument, str(path)).resolve())


def _weights(weights: str) -> str:
    if weights in ("imagenet", "none"):
        return weights
    path = user_path("model.weights", weights).resolve()
    if not path.is_file():
        raise StudyError(f"model.weights = {weights}: no such file (imagenet, none, or a state dict's path)")
    return str(path)


def _trial_config(base: Config, settings: Mapping[str, Any]) -> Config:
    """The base with Tune's settings by dotted name. Raises ConfigError, which names the field."""
    for name in settings:
        if name.startswith(_READS):
            raise ConfigError(
                f"{name}: decides which data are read, and trainable() has read them; give it in its base"
            )
    # Samplers may give NumPy's numbers.
    plain = {name: v.item() if isinstance(v, np.generic) else v for name, v in settings.items()}
    config = base.replace(**plain)
    if config.trains_with_identities:
        raise ConfigError("merge.method = 'identities': is a bound and no result; `--plan bound` runs it")
    return config


def _run(
    settings: Mapping[str, Any], base: dict[str, Any], root: str | None, fingerprint: str, cache: str | None
) -> None:
    """A trial: from Tune's checkpoint on, if there is one. Raises what ends it, in words."""
    config = _trial_config(Config.from_dict(base), settings)
    checkpoint = tune.get_checkpoint()
    state = None if checkpoint is None else _continued(checkpoint, config, fingerprint)
    device = _device(tune.get_context().get_trial_resources().required_resources)
    algorithm = make_algorithm(
        config,
        load_same_data(config, root, fingerprint),
        device=device,
        cache=None if cache is None else Path(cache),
    )
    for problem in algorithm.problems:
        _log.warning("%s", problem)
    if state is not None:
        algorithm.load_state_dict(state)
    stamp = {"data": fingerprint, "code": code_version(), "name": algorithm.data.name}
    try:
        for row in algorithm_rows(algorithm, algorithm.steps_done):
            # Schedulers and searchers want their metric in every report: what is not measured
            # (evaluate.eval_every) is not reported.
            if algorithm.data.labelled and row["mAP"] is None:
                continue
            with tempfile.TemporaryDirectory(prefix="dcreid-checkpoint-") as folder:
                torch.save(algorithm.state_dict() | {_STAMP: stamp}, Path(folder, _STATE))
                tune.report(_reported(row, algorithm), checkpoint=tune.Checkpoint.from_directory(folder))
    except DivergedError as error:
        _log.warning("%s", error)
        tune.report(_diverged(algorithm, error))


def _continued(checkpoint: tune.Checkpoint, config: Config, fingerprint: str) -> dict[str, Any]:
    """The state to go on from. Raises ConfigError where a fixed field is another now, StudyError."""
    before, state = load_checkpoint(checkpoint)
    held, now = before.flat(), config.flat()
    differing = [name for name in FIXED_FIELDS if held[name] != now[name]]
    if differing:
        changes = ", ".join(f"{name} (was {held[name]!r}, is now {now[name]!r})" for name in differing)
        raise ConfigError(
            f"a checkpoint cannot be continued with another {changes}: leave that out of what is mutated, or "
            "start a new trial (study.FIXED_FIELDS lists such fields)"
        )
    if state[_STAMP]["data"] != fingerprint:
        raise StudyError("a checkpoint of other data cannot be continued: they have changed since")
    return state


def _device(resources: Mapping[str, float]) -> torch.device:
    """Where a trial with these resources of Tune's computes. Raises GPUError, StudyError."""
    gpus = resources.get("GPU", 0)
    if gpus > 1:
        raise StudyError(f"a trial trains on one GPU and has been given {gpus:g}; give it 1, or a share")
    if not gpus:
        torch.set_num_threads(max(1, int(resources.get("CPU", 1))))
        return torch.device("cpu")
    device = torch.device("cuda")
    problem = problem_of(device)
    if problem is not None:
        raise GPUError(problem)
    return device


def _reported(row: dict[str, Any], algorithm: Algorithm) -> dict[str, Any]:
    """What Tune is told of a merge step: what was measured there, and the untrained network beside it."""
    metrics, scores = algorithm.before_training, vars(algorithm.untrained_scores)
    untrained = {
        "untrained_mAP": None if metrics is None else metrics.mAP,
        "untrained_unlabelled": combined(scores),
    }
    found = {name: value for name, value in (row | untrained).items() if value is not None}
    # Its own count would begin anew with every worker.
    return found | {"training_iteration": row["step"]}


def _diverged(algorithm: Algorithm, error: DivergedError) -> dict[str, Any]:
    """The step at which a training has diverged: the worst of everything, so that nobody prefers it."""
    worst = _OF_SCORES + (_OF_LABELS if algorithm.data.labelled else ())
    step = algorithm.steps_done + 1
    return {
        **dict.fromkeys(worst, 0.0),
        "loss": math.inf,
        "step": step,
        "total_steps": algorithm.total_steps,
        "diverged": str(error),
        "training_iteration": step,
    }

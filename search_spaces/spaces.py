"""The named spaces, and a user's own from a TOML file.

Why the default ranges (distances between unit vectors lie in [0, 2], d_ab mostly in 0.5 to 1):

* λ1 (paper 0.06): 0.003 to 1, or 0. With Eq (3)'s printed 1/n a class of 13 has d of about 7.5, so the
  term λ1·d goes from 0.02, next to nothing, to far above any d_ab. With 1/n² the term is n times
  smaller; the upper end then still weighs as much as d_ab.
* λ2 (paper 0.003): 0.0003 to 0.1, or 0. For two classes of 13 the term is 26 λ2: from 0.008 to 2.6, more
  than any distance: sizes alone decide.
* τ (paper 0.1; Table 3 goes from 0.05 to 0.3): 0.03 to 0.3, where training collapses.
* α (paper 0.5 and 0.4): end value 0.1 to 0.9, growing linearly, by a cosine, or fixed.

`full` has every choice that decides accuracy at about the same cost. Its ranges hold the paper's values,
those of BUC's and DBC's code, and current practice:

* λ1 and λ2 weigh beside d_ab, and their ranges serve all distances: joined in one run by SciPy's average
  linkage, classes of 1,251 tracklets of MARS (MobileNetV2's ImageNet weights, 64×32) have d_ab from 0.41 to
  0.86 (euclidean), 0.17 to 0.73 (squared) and 0.11 to 0.90 (jaccard). So a λ weighs alike in each within
  a factor of two, and the ranges span two and a half decades.
* τ as above. α from 0 (a row is the newest feature; practice: 0.1, fixed), also as Algorithm 1 prints it.
* Distance, Eq (3)'s denominator, linkage, way of merging: all there are. For jaccard k1 10 to 40 (practice:
  20, 30) and k2 1 to 10 (practice: 6). Camera normalisation.
* pm (paper 0.05): 0.04 to 0.2, some 24 merge steps to 4.
* Batches: every tracklet once, or P classes of K = 2, 4 or 8 (practice: 4). Camera proxies. Memory
  rows after a merge: members, zeros (BUC), and where classes grow out of those before (with any method but
  anew) carry and old_classes (DBC).
* lr (paper 0.1): 0.003 to 0.1; the backbone's share of it (paper 0.1): 0.01 to 0.3. Beyond three times the
  paper's product pre-trained weights are lost in the first epoch, and a search would spend most of its
  trials there. Gradients clipped to a norm of 1 to 20, or not; always with frozen batch norm, whose first
  gradients are ten times as large and end the training otherwise. Later stages' rate.
* Network: batch norm, last stride, head (BUC: its own, 2,048 wide, dropout 0.5).
* Frames: smallest area of a crop 0.5 to 1 (paper: 1, none; BUC: 0.64); frames varied alike for a
  tracklet or each for itself, and how they are drawn.

What buys accuracy with time or memory is not in it, for a search would always buy: epochs, frames, batch
size, eval_frames, height, width, backbone. Nor are `frozen_stages`, which mean another thing in every
backbone (batch norm, lr and the backbone's share say how far it may move), weight decay and momentum,
which hardly act in so few epochs. Choices that no configuration with the options given can have are left
out: K = 8 with batches of 12, anew with rows that are carried over.

A user's file has one table per field; `kind` follows from the field where it is left out:

    [merge.lambda1]
    low = 0.01
    high = 0.2
    log = true
    zero = true
    grid = [0, 0.03, 0.06, 0.12]

    [model.head]
    choices = ["none", "embedding"]

    [model.dropout]
    low = 0.0
    high = 0.8
    when = { "model.head" = "embedding" }      # or one of several: ["embedding", "buc"]
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dcreid.checked import one_of, shown
from dcreid.config import ConfigError, fields
from dcreid.paths import user_path
from search_spaces.prior import Prior, check_field
from search_spaces.space import Space

LAMBDAS = (
    Prior(
        "merge.lambda1",
        "float",
        0.003,
        1.0,
        log=True,
        zero=True,
        grid=(0.0, 0.01, 0.03, 0.06, 0.1, 0.2, 0.5),
    ),
    Prior(
        "merge.lambda2",
        "float",
        0.0003,
        0.1,
        log=True,
        zero=True,
        grid=(0.0, 0.001, 0.003, 0.01, 0.03),
    ),
)
TEMPERATURE = (Prior("train.temperature", "float", 0.03, 0.3, log=True, grid=(0.05, 0.08, 0.1, 0.15, 0.3)),)
ALPHA = (
    Prior("train.alpha_schedule", "categorical", choices=("linear", "fixed", "cosine")),
    Prior("train.alpha", "float", 0.1, 0.9, grid=(0.2, 0.4, 0.5, 0.6, 0.8)),
)
METHOD = (
    Prior("merge.intra", "categorical", choices=("samples", "pairs")),
    Prior("merge.method", "categorical", choices=("once", "exact")),
    Prior("merge.distance", "categorical", choices=("euclidean", "squared")),
    Prior("merge.merge_rate", "float", 0.02, 0.2, log=True, grid=(0.03, 0.05, 0.1)),
)
TRAINING = (
    Prior("train.lr", "float", 0.003, 0.3, log=True, grid=(0.01, 0.03, 0.1)),
    Prior("train.backbone_lr_factor", "float", 0.01, 1.0, log=True, grid=(0.03, 0.1, 0.3)),
    Prior("train.weight_decay", "float", 1e-5, 1e-2, log=True, grid=(5e-4,)),
    Prior("train.first_epochs", "int", 2, 60, log=True, grid=(15, 30)),
    Prior("train.later_epochs", "int", 1, 10, log=True, grid=(1, 3)),
    Prior("train.later_lr", "categorical", choices=("decayed", "restart")),
    Prior("model.head", "categorical", choices=("none", "embedding")),
    Prior(
        "model.embedding_dim",
        "categorical",
        choices=(256, 512, 1024, 2048),
        when=("model.head", "embedding"),
        grid=(512, 2048),
    ),
    Prior("model.dropout", "float", 0.0, 0.8, when=("model.head", "embedding"), grid=(0.0, 0.5)),
)

_HEADED = ("model.head", ("embedding", "buc"))
FULL = (
    *(*LAMBDAS, *TEMPERATURE),
    Prior("train.alpha_schedule", "categorical", choices=("linear", "fixed", "cosine", "printed")),
    Prior("train.alpha", "float", 0.0, 0.9, grid=(0.1, 0.5)),
    Prior("merge.intra", "categorical", choices=("samples", "pairs")),
    Prior("merge.distance", "categorical", choices=("euclidean", "squared", "jaccard")),
    Prior("merge.k1", "int", 10, 40, log=True, when=("merge.distance", "jaccard"), grid=(10, 20)),
    Prior("merge.k2", "int", 1, 10, when=("merge.distance", "jaccard"), grid=(6,)),
    Prior("merge.camera_normalise", "categorical", choices=(False, True)),
    Prior("merge.linkage", "categorical", choices=("average", "nearest")),
    Prior("merge.method", "categorical", choices=("once", "star", "exact", "anew")),
    Prior("merge.merge_rate", "float", 0.04, 0.2, log=True, grid=(0.05, 0.1)),
    Prior("train.sampler", "categorical", choices=("tracklets", "classes")),
    Prior("train.tracklets_per_class", "categorical", choices=(2, 4, 8), when=("train.sampler", "classes")),
    Prior("train.camera_proxies", "categorical", choices=(False, True)),
    Prior(
        "train.memory_init",
        "categorical",
        choices=("members", "zeros", "carry", "old_classes"),
        when=("merge.method", ("once", "star", "exact")),
    ),
    Prior(
        "train.memory_init",
        "categorical",
        choices=("members", "zeros"),
        when=("merge.method", "anew"),
        suffix="anew",
    ),
    Prior("model.batch_norm", "categorical", choices=("adapt", "frozen")),
    Prior("train.lr", "float", 0.003, 0.1, log=True, grid=(0.02, 0.1)),
    Prior("train.backbone_lr_factor", "float", 0.01, 0.3, log=True, grid=(0.1,)),
    Prior(
        "train.clip_norm",
        "float",
        1.0,
        20.0,
        log=True,
        zero=True,
        when=("model.batch_norm", "adapt"),
        grid=(0.0, 5.0),
    ),
    Prior(
        "train.clip_norm",
        "float",
        1.0,
        20.0,
        log=True,
        when=("model.batch_norm", "frozen"),
        suffix="frozen",
        grid=(5.0,),
    ),
    Prior("train.later_lr", "categorical", choices=("decayed", "restart")),
    Prior("model.last_stride", "categorical", choices=(2, 1)),
    Prior("model.head", "categorical", choices=("none", "embedding", "buc")),
    Prior(
        "model.embedding_dim", "categorical", choices=(256, 512, 1024, 2048), when=_HEADED, grid=(512, 2048)
    ),
    Prior("model.dropout", "float", 0.0, 0.8, when=_HEADED, grid=(0.0, 0.5)),
    Prior("data.crop", "float", 0.5, 1.0, grid=(0.64, 1.0)),
    Prior("data.eval_mirror", "categorical", choices=(False, True)),
    Prior("data.augment_per", "categorical", choices=("tracklet", "frame")),
    Prior("data.frame_sampling", "categorical", choices=("segments", "random", "distinct")),
)

SPACES: dict[str, Space] = {
    space.name: space
    for space in (
        Space("default", LAMBDAS + TEMPERATURE + ALPHA),
        # Nothing here acts before the first merge: all trials share the first stage.
        Space("lambdas", LAMBDAS),
        Space("alpha", ALPHA),
        Space("temperature", TEMPERATURE),
        Space("method", LAMBDAS + TEMPERATURE + ALPHA + METHOD),
        Space("training", TRAINING),
        Space("full", FULL),
    )
}


def load_space(name_or_path: str | Path) -> Space:
    """A named space, or the one in a TOML file (see the top of this file).

    Raises:
        ConfigError: no such name or file, not TOML, an unknown field or key, a value out of range.
    """
    name = str(name_or_path)
    if name in SPACES:
        return SPACES[name]
    path = user_path("--space", name)
    if not path.is_file():
        raise ConfigError(f"search space {name!r}: {one_of(name, SPACES)}, or the path of a TOML file")
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        space = Space(path.stem, tuple(_prior(field, table) for field, table in _tables(tables)))
    except RecursionError:
        raise ConfigError(f"{path}: nested too deeply for a search space") from None
    except ValueError as error:  # not TOML, not UTF-8, a number of thousands of digits, a ConfigError
        raise ConfigError(f"{path}: {error}") from None
    if not space.priors:
        raise ConfigError(f"{path}: no field in it; write a table for each, such as [merge.lambda1]")
    return space


def _tables(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each field with its table, written as [merge.lambda1] or as ["merge.lambda1"]."""
    for key, value in table.items():
        name = prefix + key
        if isinstance(value, dict) and any(known.startswith(f"{name}.") for known in fields()):
            yield from _tables(value, f"{name}.")
            continue
        check_field(name)
        if not isinstance(value, dict):
            raise ConfigError(f"search space, {name}: must be a table, as in [{name}] low = ... high = ...")
        yield name, value


def _prior(field: str, table: dict[str, Any]) -> Prior:
    keys = [entry.name for entry in dataclasses.fields(Prior) if entry.name not in ("field", "suffix")]
    unknown = sorted(set(table) - set(keys))
    if unknown:
        near = difflib.get_close_matches(unknown[0], keys, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it must be one of {', '.join(keys)}"
        raise ConfigError(f"search space, {field}: unknown key {shown(unknown[0])}: {hint}")
    held = type(fields()[field].default).__name__
    values = {"kind": held if held in ("float", "int") and "choices" not in table else "categorical", **table}
    when = values.get("when")
    if when is not None:
        if not isinstance(when, dict) or len(when) != 1:
            raise ConfigError(
                f'search space, {field}: when must look like {{ "model.head" = "embedding" }}, or have a '
                "list of values"
            )
        values["when"] = next(iter(when.items()))
    for key, form in (("choices", list), ("grid", list), ("log", bool), ("zero", bool)):
        if not isinstance(values.get(key, form()), form):
            raise ConfigError(
                f"search space, {field}: {key} = {shown(values[key])}: must be a TOML {form.__name__}"
            )
    return Prior(field, **values)

"""The paper's tables and figures as one plan: which configurations to run, each once.

Grids hold absolute values, the paper's where it prints them, and always the base's own value as well:
with the base's λ1 set to 0.1, Fig 4 has its points and 0.1. So the base, the *final setting*, is a point
of every table and figure; it is run once and comes first. The plan `bound` alone does not have it.

The points of Figs 4 and 5 are not printed, apart from the optimum. Ours: 0, the optimum, and roughly
even steps in log scale from a sixth (λ1) or a tenth (λ2) of it to ten times it. Nor does it print how it came
by α's end values, 0.5 on MARS and 0.4 on DukeMTMC-VideoReID: `paper` has tenths from 0.1 to 0.9. α's other
schedules (`alpha`), `choices`, `leak_audit` and `bound` go beyond the paper and are not in it.

Choices: what the paper leaves open or takes from elsewhere, one at a time against the base, to see what
each is worth on the data at hand.

Leak audit: memory rows taken over by index from the step before leak identities when the tracklets of
a person lie side by side. One factor at a time is turned from right to leaking; `leak` turns both that
it takes; `public_code` adds what DBC's published code does besides: λ1 and λ2 not applied, and 1/n²
(without λ1 that changes nothing; it is set to name the code as it is). All rows are this method with one slip
or several. `previous_rows` keeps old rows, cut to the new number of classes; what DBC's code does is
`old_classes`, and DBC as a method is the preset `dbc` (`search_spaces.rivals`).

Bound: the base with the training identities as classes (`dcreid/bound.py`), from the first merge step on; so
no epoch comes before that. The rate is held; of pre-trained weights, whose features collapsed in the first
stage at 0.02, it is at most BOUND_LR. All else is the base's, the number of steps too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dcreid.checked import one_of
from dcreid.config import Config, ConfigError
from search_spaces.rivals import RIVAL_LABELS, rival_rows
from search_spaces.symbols import SYMBOLS

TABLE3_TEMPERATURES = (0.05, 0.08, 0.1, 0.3)
FIG4_LAMBDA1 = (0.0, 0.01, 0.03, 0.06, 0.1, 0.2, 0.3, 0.6)
FIG5_LAMBDA2 = (0.0, 0.0003, 0.001, 0.002, 0.003, 0.006, 0.01, 0.03)
ALPHA_ENDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

BOUND = "bound/identities"
BOUND_LABEL = "trained with identities (a bound)"
BOUND_NOTE = (
    "--plan bound trains with the identities of the training tracklets: it shows what network and recipe "
    "come to with right classes, and is no result of the method"
)
BOUND_LR = 0.004
# The experiment that is the base alone, a point of every table and figure.
FINAL = "fig3/final"
# Table 1: experiment to the criterion's name and its changes to the base.
CRITERIA: dict[str, tuple[str, dict[str, Any]]] = {
    "table1/baseline": ("baseline (λ1 = λ2 = 0)", {"merge.lambda1": 0.0, "merge.lambda2": 0.0}),
    "table1/lambda1": ("baseline + λ1", {"merge.lambda2": 0.0}),
    "table1/lambda1_lambda2": ("baseline + λ1 + λ2", {}),
}

_NAMES = {
    **SYMBOLS,
    "merge.intra": "Eq (3)",
    "train.memory_init": "memory rows",
    "data.shuffle_tracklets": "shuffled tracklets",
}
# Rows that differ from the base in many fields.
_LABELS = {**RIVAL_LABELS, BOUND: BOUND_LABEL}
# Named in the value of memory_init already.
_UNLABELLED = ("train.leak_audit", "seed")

# experiment name, changes to the base
_Row = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class PlanItem:
    """A configuration to run, the experiments it is a point of (`fig4/0.03`), and a label to print."""

    config: Config
    experiments: tuple[str, ...]
    label: str


def plan(name: str, base: Config) -> list[PlanItem]:
    """The configurations behind a plan of `PLANS`, without duplicates, the final setting first.

    `base` is the data set's settings with the user's changes; a plan varies its own fields only.

    Raises:
        ConfigError: an unknown plan, or a base that leaks (only the leak audit's own rows may).
    """
    if name not in PLANS:
        raise ConfigError(f"plan = {name!r}: {one_of(name, PLANS)}")
    if base.trains_with_identities:
        raise ConfigError(
            "merge.method = 'identities' trains with identities: no plan starts from it; use another method "
            "(the plan bound sets identities)"
        )
    if base.train.memory_init == "previous_rows":
        raise ConfigError(
            "train.memory_init = 'previous_rows' leaks labels: no plan starts from it; "
            "use members or zeros (the plan leak_audit sets previous_rows where it is measured)"
        )
    items: dict[str, PlanItem] = {}
    for experiment, changes in PLANS[name].rows(base):
        made = item(base, changes, (experiment,))
        if changes and experiment in _LABELS:
            made = dataclasses.replace(made, label=_LABELS[experiment])
        known = items.get(made.config.digest())
        if known is not None:
            made = dataclasses.replace(known, experiments=(*known.experiments, experiment))
        items[made.config.digest()] = made
    # A stable sort: only the final setting moves, to the front.
    return sorted(items.values(), key=lambda one: one.config != base)


def item(base: Config, changes: Mapping[str, Any], experiments: tuple[str, ...]) -> PlanItem:
    """The base with some fields changed, under the label that these make."""
    config = base.replace(**changes)
    return PlanItem(config, experiments, _label(base, config))


def table_settings(base: Config, fixed: Collection[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """The settings of Tables 1 to 3 beside the base, as (experiments, changes), and those left out, in words.

    A setting that changes a field which the user has fixed is left out.
    """
    settings: list[dict[str, Any]] = []
    left_out: list[str] = []
    for one in plan("tables", base):
        changes = {name: value for name, value in one.config.flat().items() if value != base.flat()[name]}
        held = [name for name in changes if name in fixed]
        if held:
            symbols = ", ".join(_NAMES.get(name, name) for name in held)
            left_out.append(f"{' and '.join(one.experiments)} ({one.label}): {symbols} was given")
        elif changes:
            settings.append({"experiments": list(one.experiments), "changes": changes})
    return settings, left_out


def with_seeds(items: Iterable[PlanItem], seeds: Sequence[int]) -> list[PlanItem]:
    """The plan once per seed, all of the first seed before any of the second: one seed is a whole table.

    Raises:
        ConfigError: no seed, one given twice, or one out of range.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise ConfigError(f"seeds = {list(seeds)!r}: must be one or more different numbers")
    items = list(items)
    return [dataclasses.replace(one, config=one.config.replace(seed=s)) for s in seeds for one in items]


def _label(base: Config, config: Config) -> str:
    held = base.flat()
    changed = [
        f"{_NAMES.get(field, field)} = {_text(value)}"
        for field, value in config.flat().items()
        if value != held[field] and field not in _UNLABELLED
    ]
    return ", ".join(changed) or "final setting"


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _curve(base: Config, prefix: str, field: str, values: Sequence[Any]) -> Iterator[_Row]:
    """One row per value of a field, the base's own value included; numbers ascend."""
    own = base.flat()[field]
    points = list(values) if own in values else [*values, own]
    if isinstance(own, float):
        points.sort()
    for value in points:
        yield f"{prefix}/{_text(value)}", {field: value}


def _table1(base: Config) -> Iterator[_Row]:
    for experiment, (_, changes) in CRITERIA.items():
        yield experiment, changes


def _table2(base: Config) -> Iterator[_Row]:
    yield from _curve(base, "table2", "train.alpha_schedule", ("fixed", "linear"))


def _table3(base: Config) -> Iterator[_Row]:
    yield from _curve(base, "table3", "train.temperature", TABLE3_TEMPERATURES)


def _tables(base: Config) -> Iterator[_Row]:
    for rows in (_table1, _table2, _table3):
        yield from rows(base)


def _fig3(base: Config) -> Iterator[_Row]:
    yield FINAL, {}


def _fig4(base: Config) -> Iterator[_Row]:
    yield from _curve(base, "fig4", "merge.lambda1", FIG4_LAMBDA1)


def _fig5(base: Config) -> Iterator[_Row]:
    yield from _curve(base, "fig5", "merge.lambda2", FIG5_LAMBDA2)


def _paper(base: Config) -> Iterator[_Row]:
    for rows in (_tables, _fig3, _fig4, _fig5, _alpha_ends):
        yield from rows(base)


def _alpha_ends(base: Config) -> Iterator[_Row]:
    yield from _curve(base, "alpha", "train.alpha", ALPHA_ENDS)


def _alpha(base: Config) -> Iterator[_Row]:
    yield from _alpha_ends(base)
    yield from _curve(base, "alpha", "train.alpha_schedule", ("linear", "fixed", "cosine"))


def _leak_audit(base: Config) -> Iterator[_Row]:
    right = {"data.shuffle_tracklets": True}
    in_order = {"data.shuffle_tracklets": False}
    old_rows = {"train.memory_init": "previous_rows", "train.leak_audit": True}
    no_lambda = {"merge.lambda1": 0.0, "merge.lambda2": 0.0}
    other_intra = {"merge.intra": "pairs" if base.merge.intra == "samples" else "samples"}
    yield "leak_audit/right", right
    yield "leak_audit/zero_rows", right | {"train.memory_init": "zeros"}
    yield "leak_audit/previous_rows", right | old_rows
    yield "leak_audit/identity_order", in_order
    yield "leak_audit/lambda_not_applied", right | no_lambda
    yield f"leak_audit/intra_{other_intra['merge.intra']}", right | other_intra
    yield "leak_audit/leak", in_order | old_rows
    yield "leak_audit/public_code", in_order | old_rows | no_lambda | {"merge.intra": "pairs"}


def _bound(base: Config) -> Iterator[_Row]:
    pretrained, rate = base.model.weights != "none", base.train.lr
    yield (
        BOUND,
        {
            "merge.method": "identities",
            "train.leak_audit": True,
            "train.first_epochs": 0,
            "train.lr": min(rate, BOUND_LR) if pretrained else rate,
            "train.later_lr": "restart",
        },
    )


def _choices(base: Config) -> Iterator[_Row]:
    """The base, then one field at a time turned the other way, whichever way the base has it."""
    from dcreid.network.backbone import stage_count  # torch, which the names of the plans do not need

    held = base.flat()

    def other(field: str, one: Any, two: Any) -> dict[str, Any]:
        return {field: two if held[field] == one else one}

    yield "choices/default", {}
    yield "choices/intra", other("merge.intra", "samples", "pairs")
    yield "choices/distance", other("merge.distance", "euclidean", "squared")
    yield "choices/method", other("merge.method", "once", "exact")
    yield "choices/memory_rows", other("train.memory_init", "members", "zeros")
    yield "choices/later_rate", other("train.later_lr", "decayed", "restart")
    yield "choices/head", other("model.head", "none", "embedding")
    yield "choices/rate", {"train.lr": held["train.lr"] / 5}
    yield "choices/frozen", other("model.frozen_stages", 0, stage_count(base.model.backbone) // 2)
    yield "choices/frames", {"data.frames": max(1, held["data.frames"] // 2)}
    yield "choices/sampling", other("data.frame_sampling", "segments", "random")
    yield "choices/augmentation", {"data.flip": 0.0, "data.shift": 0.0}


def _practice(base: Config) -> Iterator[_Row]:
    """The base, then one choice at a time that others make: of public code, or of re-ID practice."""
    neither = {"merge.lambda1": 0.0, "merge.lambda2": 0.0}
    yield "practice/default", {}
    yield "practice/batch_norm", {"model.batch_norm": "frozen", "train.clip_norm": 5.0}
    yield "practice/clip", {"train.clip_norm": 5.0}
    yield "practice/last_stride", {"model.last_stride": 1}
    yield "practice/later_rate", {"train.later_lr": "restart"}
    yield "practice/mirrored", {"data.eval_mirror": True}
    yield "practice/proxies", {"train.camera_proxies": True}
    yield "practice/sampler", {"train.sampler": "classes"}
    yield "practice/temperature", {"train.temperature": 0.05}
    yield "practice/alpha", {"train.alpha_schedule": "fixed", "train.alpha": 0.1}
    yield "practice/printed", {"train.alpha_schedule": "printed"}
    yield "practice/carry", {"train.memory_init": "carry"}
    yield "practice/one_frame", {"data.frames": 1}
    yield "practice/distinct", {"data.frame_sampling": "distinct"}
    yield "practice/crop", {"data.crop": 0.64}
    yield "practice/augment_per", {"data.augment_per": "frame"}
    yield "practice/head", {"model.head": "buc"}
    yield "practice/drop_last", {"train.drop_last": True}
    yield "practice/criterion", neither
    yield "practice/jaccard", {"merge.distance": "jaccard", **neither}
    yield "practice/camera_normalise", {"merge.camera_normalise": True}
    yield "practice/linkage", {"merge.linkage": "nearest"}
    yield "practice/star", {"merge.method": "star"}
    yield "practice/anew", {"merge.method": "anew"}


def _rivals(base: Config) -> Iterator[_Row]:
    yield from rival_rows("rivals", base)


def _rivals_published(base: Config) -> Iterator[_Row]:
    yield from rival_rows("rivals-published", base)


@dataclass(frozen=True)
class _Plan:
    help: str
    rows: Callable[[Config], Iterator[_Row]]


PLANS: dict[str, _Plan] = {
    "paper": _Plan("Tables 1 to 3, Figs 3 to 5 and α's end value, every configuration once", _paper),
    "tables": _Plan("Tables 1 to 3 alone, seven settings", _tables),
    "table1": _Plan("the criterion: neither λ, λ1, λ1 and λ2", _table1),
    "table2": _Plan("memory update rate: fixed against linearly growing", _table2),
    "table3": _Plan("temperature τ", _table3),
    "fig3": _Plan("the final setting, step by step", _fig3),
    "fig4": _Plan("λ1 varied, λ2 held", _fig4),
    "fig5": _Plan("λ2 varied, λ1 held", _fig5),
    "alpha": _Plan("end value and schedule of α", _alpha),
    "choices": _Plan("what the paper leaves open, one choice at a time", _choices),
    "practice": _Plan("what public code and re-ID practice do otherwise, one choice at a time", _practice),
    "leak_audit": _Plan(
        "what leaking labels through the memory rows is worth, in this method: previous_rows keeps old rows, "
        "cut to C, and public_code adds slips of DBC's code; neither is DBC",
        _leak_audit,
    ),
    "bound": _Plan(
        "what the network and the recipe come to with the training identities as classes: no result of the "
        "method",
        _bound,
    ),
    "rivals": _Plan("this method, BUC, DBC and OIM with the same frames and epochs", _rivals),
    "rivals-published": _Plan("the same, each with its own frames and epochs", _rivals_published),
}

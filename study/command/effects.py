"""Options that would do nothing are refused: who gives one expects something of it.

What the data have no cameras or no labels for is told and switched off instead: the same command serves
other data, and a search tries it among others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from dcreid.config import fields
from dcreid.data.cameras import PER_CAMERA, acting_per_camera, switched_off
from dcreid.data.tracklets import TrackletDataset
from dcreid.presets import PRESETS
from search_spaces.rivals import RIVAL_PLANS
from study.command.method_options import option_name
from study.command.resolve import TABLES_FROM
from study.errors import OptionError
from study.plan import PAPERS, StudyPlan


def check_effects(options: Collection[str], plan: StudyPlan) -> None:
    """Raises OptionError for one of `options`, as they were given, that has no effect on this plan."""
    if "--reuse" in options and str(plan.folder) in plan.reuse:
        raise OptionError(f"--reuse {plan.folder}: is this study, whose trials count anyway; leave it out")
    for idle, why in _without_effect(plan):
        for option in idle:
            if option in options:
                raise OptionError(f"{option} has no effect: {why}; leave it out")


def off_on_these_data(plan: StudyPlan, data: TrackletDataset) -> tuple[str, ...]:
    """What some trial of the plan asks for and these data do not allow, a line for each reason."""
    asked = {name for _, item in plan.fixed_items() for name in acting_per_camera(item.config)}
    if plan.search_space is not None:
        asked |= set(plan.search_space.fields) & set(PER_CAMERA)
    return switched_off(asked, data)


def left_unfrozen(plan: StudyPlan) -> tuple[str, ...]:
    """What presets would freeze and random weights must not have frozen, a line for each of a preset's."""
    beside = [name for row in plan.given for name in row["experiments"] if name in PRESETS]
    names = PRESETS if plan.experiments in RIVAL_PLANS else (plan.preset, *beside)
    return tuple(
        f"preset {name}: its {option_name(field)} is left out, because the network's weights are random: "
        "all of it has to learn"
        for name in names
        for field in PRESETS[name].unfrozen(plan.config)
    )


def _without_effect(plan: StudyPlan) -> Iterator[tuple[Collection[str], str]]:
    config = plan.config
    if plan.experiments is not None:
        of_searches = ("--samples", "--sampler", "--pruner", "--grace", "--space", "--tables", "--no-tables")
        yield (*of_searches, *_OF_ASHA), "a --plan runs all its experiments to their ends, on each of --seeds"
    elif plan.preset != PAPERS:
        yield ("--tables",), f"beside --preset {plan.preset} a search is given the paper's configuration only"
    elif (name := (plan.space or {})["name"]) != "full" and (plan.samples < TABLES_FROM or name != "default"):
        yield (
            ("--tables",),
            f"it belongs to the space full, or to {TABLES_FROM} samples or more in the default space",
        )
    if config.merge.classes:
        yield ("--max-steps",), "--classes says when the merging ends"
        if plan.preset == "oim":
            yield ("--classes",), "preset oim merges nothing"
    yield from _set_by_the_bound(plan)
    if plan.pruner in _OF_OTHER_PRUNERS:
        yield _OF_OTHER_PRUNERS[plan.pruner]
    if config.data.dataset != "synthetic":
        drawn = [option_name(name) for name in fields() if ".synthetic." in name]
        yield drawn, f"the data set is {config.data.dataset}, not synthetic"
    elif config.data.synthetic.shape == "mars":
        yield ("--synthetic-train-identities",), "--synthetic-shape mars has as many as MARS"
    for needed, values, fields_idle, why in _NEEDED:
        yield [option_name(name) for name in fields_idle if not _acts(plan, name, needed, values)], why


def _set_by_the_bound(plan: StudyPlan) -> Iterator[tuple[Collection[str], str]]:
    if plan.experiments == "bound":
        own, base = plan.fixed_items()[0][1].config.flat(), plan.config.flat()
        for name, value in own.items():
            if value != base[name]:
                yield (option_name(name),), f"--plan bound sets {name} = {value}"


_OF_ASHA = ("--asha-eta", "--asha-rungs")
_OF_OTHER_PRUNERS = {
    "none": (("--grace", *_OF_ASHA), "no trial is pruned (--pruner none)"),
    "median": (_OF_ASHA, "it belongs to --pruner asha"),
}
# A field and the values without which others do nothing.
_NEEDED: tuple[tuple[str, tuple[Any, ...], tuple[str, ...], str], ...] = (
    (
        "merge.method",
        ("once", "star", "exact", "anew"),
        (
            *("merge.lambda1", "merge.lambda2", "merge.intra", "merge.distance", "merge.linkage"),
            *("merge.k1", "merge.k2", "merge.camera_normalise", "merge.classes"),
        ),
        "nothing is merged, the identities are the classes (--plan bound)",
    ),
    ("merge.distance", ("jaccard",), ("merge.k1", "merge.k2"), "the distance is not --distance jaccard"),
    (
        "train.sampler",
        ("classes",),
        ("train.tracklets_per_class",),
        "batches are not made by --batch-sampler classes",
    ),
    (
        "model.head",
        ("embedding", "buc"),
        ("model.embedding_dim", "model.dropout"),
        "there is no head that it would act on (--head embedding or buc)",
    ),
)


def _acts(plan: StudyPlan, name: str, needed: str, values: Collection[Any]) -> bool:
    """Whether some trial has one of these values of `needed`, and the base's own value of the field."""
    base = plan.config.flat()
    if plan.search_space is not None:
        return base[needed] in values or needed in plan.search_space.fields
    runs = (item.config.flat() for _, item in plan.fixed_items())
    return any(run[needed] in values and run[name] == base[name] for run in runs)

"""What an experiment measured, as cells and numbers of a table, and what the caption says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.data.published import Published
from analysis.data.results import Group
from analysis.data.runs import NORMALISED, Run, of_experiment, steps_told, why_missing
from study.plan import PAPERS
from study.record.intervals import MISSING, Estimate, estimate
from study.show.wording import NORMALISED as NORMALISED_HEADINGS
from study.show.wording import NORMALISED_MEANS

MEASURES = ("rank1", "mAP_trapezoid", "mAP")
SELECTED_MEANS = "selected: the step with the highest score without labels"
HEADINGS = {
    "rank1": "rank-1",
    "rank5": "rank-5",
    "rank10": "rank-10",
    "mAP_trapezoid": "mAP trapezoid",
    "mAP": "mAP",
    **NORMALISED_HEADINGS,
}


def measures_of(found: Sequence[Run], measures: Sequence[str] = MEASURES) -> tuple[str, ...]:
    """These measures, and those on test features normalised per camera that some run has."""
    return (*measures, *(name for name in NORMALISED if any(run.curve(name) for run in found)))


def means(
    found: Sequence[Run], experiment: str, at: str, measures: Sequence[str] = MEASURES
) -> dict[str, Estimate]:
    """Measure to its mean over seeds, in percent, at the best, the last or the selected step."""
    return {name: estimate(of_experiment(found, experiment, name, at)) for name in measures}


def cells(measured: Mapping[str, Estimate], group: Group, experiment: str) -> list[str]:
    """Means with intervals, or why there are none."""
    if not any(value.n for value in measured.values()):
        return [why_missing(group, experiment), *[MISSING] * (len(measured) - 1)]
    return [value.text() for value in measured.values()]


def numbers(
    experiment: str, at: str, measured: Mapping[str, Estimate], printed: Published | None = None
) -> dict[str, Any]:
    """The same as a row of numbers, with what the paper printed at the best step."""
    row: dict[str, Any] = {"experiment": experiment, "at": at, "runs": measured["rank1"].n}
    for name, value in measured.items():
        row |= value.columns(name)
    if printed is not None and at == "best":
        row |= {"paper_rank1": printed.rank1, "paper_mAP": printed.mAP}
    return row


def caption(
    group: Group, found: Sequence[Run], published: bool, comparable: bool, plan: str = "tables"
) -> str:
    """What the cells are; published: beside the paper's, comparable: on its data and of its method.

    plan: what to run on more seeds.
    """
    text = (
        f"Percent, mean ± 95 % t interval over seeds. Gallery: {group.protocol}. best: the merge step with "
        "the highest mAP, chosen with test labels as the paper does; last: the last step, chosen without."
    )
    if "selected" in steps_told(found):
        text += f" {SELECTED_MEANS}."
    if len(measures_of(found)) > len(MEASURES):
        text += f" {NORMALISED_MEANS}."
    if any(run.diverged for run in found):
        text += " A run whose training diverged counts as 0 from there on."
    if published and found and max(Counter(run.setting for run in found).values()) == 1:
        text += f" One run of each setting: no interval and no verdict (more seeds: --plan {plan} --seeds 5)."
    if published:
        text += " The paper's mAP is of the trapezoid kind and of the best step."
    if published and group.preset != PAPERS:
        text += f" The paper's numbers are of its own method, these runs vary the preset {group.preset}."
    if published and group.base.data.split != "official":
        text += (
            " The paper's numbers are of the test split and only for orientation: these runs are trained on "
            "one half of the training identities and measured on the other "
            f"(--split {group.base.data.split})."
        )
    elif published and group.preset == PAPERS and not comparable:
        text += (
            " The paper's numbers are of other data and only for orientation: MARS has 8,298 training "
            f"tracklets, DukeMTMC-VideoReID 2,196, this {group.train_tracklets:,}."
        )
    return text
